"""Report of an experiment: tables in Markdown, tests, plots."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from inverso._files import replacing
from inverso.experiments._pictures import FOLDER, load_pictures, slug
from inverso.experiments._plots import bars, curve_figure
from inverso.experiments._results import ENVIRONMENT, PHOTOS, Results, code_of
from inverso.experiments.groups import Groups
from inverso.experiments.runner import Finished
from inverso.experiments.scores import Metric, as_metric
from inverso.experiments.statistics import difference_interval, group_p_value, holm, mean_interval, paired_p_value
from inverso.experiments.table import Experiment
from inverso.images.plotting import grid
from inverso.jobs._settings import read_json

_SIGNIFICANT = 0.05
_WITHIN = 0.1
_TESTS = (
    "Difference of the means with its 95 % interval (t; Welch's between groups). p: two-sided permutation test, exact "
    "or with 9,999 resamples and a fixed seed; p (Holm): corrected for all tests of the table. Bold: p (Holm) below "
    "0.05."
)


def write_report(out: str | Path, finished: Finished, *, groups: Groups | None = None) -> Path:
    """Write `table.md`, `comparisons.csv` and the plots of a results folder.

    Args:
        out: Folder of the results.
        finished: Result of `run`.
        groups: Groups of photos to compare; by default the experiment's own, if it has any.

    Returns:
        The path of `table.md`.
    """
    out = Path(out)
    experiment, results = finished.experiment, finished.results
    metrics = _metrics_of(experiment)
    plots = _draw_plots(out, experiment, results)
    if groups is None and experiment.groups is not None:
        groups = experiment.groups(finished.photos)
    environment = read_json(out / ENVIRONMENT)
    parts = [
        _head(experiment, environment),
        *(_metric_part(experiment, results, metric, plots) for metric in metrics),
        *_missing_metrics(metrics),
        _cost_part(experiment, results),
        *(_comparison_part(experiment, results, metric) for metric in _tested(experiment)),
        _case_part(experiment, results),
        *(_group_part(experiment, results, groups, metric) for metric in metrics if groups),
        "" if experiment.appendix is None else experiment.appendix(finished, out),
    ]
    _write_text(out / "table.md", "\n\n".join(part for part in parts if part) + "\n")
    _write_comparisons(out / "comparisons.csv", experiment, results)
    for case in experiment.cases:
        pictures = load_pictures(out, case.title, list(experiment.methods))
        if pictures:
            _save(grid(pictures), out / FOLDER / f"{slug(case.title)}.png")
    return out / "table.md"


def _metrics_of(experiment: Experiment) -> list[Metric]:
    """List the metrics of an experiment."""
    return [as_metric(metric) for metric in experiment.metrics]


def _head(experiment: Experiment, environment: Mapping[str, Any]) -> str:
    settings, runs = environment["settings"], environment["runs"]
    last = runs[-1]
    lines = [f"# {experiment.name.upper()}: {experiment.title}", experiment.question]
    if experiment.source:
        lines.append(f"After {experiment.source}.")
    if settings["fast"]:
        lines.append("**A rehearsal with a handful of steps (`--fast`): these numbers mean nothing.**")
    made = next((run["command"] for run in reversed(runs) if run["command"]), "")
    if made:
        lines.append(f"```sh\n{made}\n```")
    accelerator = last["accelerator"] or last["device"]
    lines.append(
        f"n = {len(settings[PHOTOS])} photos{_cut(settings['size'])}, each with a mask and noise of its own seed (seed "
        f"{settings['seed']}); "
        f"{_prior(settings)}{code_of(environment)}, "
        f"torch {last['torch']}, {accelerator}, {last['threads']} threads."
    )
    return "\n\n".join(lines)


def _cut(size: str | int) -> str:
    """Say what was left of the photos."""
    if isinstance(size, int):
        return f", cropped to the {size} x {size} pixels in the middle"
    return ", their central squares resized to the prior's side" if size == "prior" else ""


def _prior(settings: Mapping[str, Any]) -> str:
    return "" if settings["prior"] is None else f"prior `{settings['prior']}` (weights {settings['weights']}); "


def _metric_part(experiment: Experiment, results: Results, metric: Metric, plots: Mapping[str, Sequence[Path]]) -> str:
    rows = [
        [case.title, *_best_in_bold([_sample(results, case.title, m, metric.name) for m in experiment.methods], metric)]
        for case in experiment.cases
    ]
    better = "lower" if metric.lower_is_better else "higher"
    images = [f"![{metric.title}](plots/{path.name})" for path in plots[metric.name]]
    note = f"Mean ± half the width of the 95 % t interval over photos; {better} is better, the best mean is bold."
    return "\n\n".join([f"## {metric.title}", markdown_table(["measured", *experiment.methods], rows), note, *images])


def _missing_metrics(metrics: Sequence[Metric]) -> list[str]:
    if any(metric.name == "lpips" for metric in metrics):
        return []
    return ["LPIPS is left out: its package or weights are missing here, or the images are too small for it."]


def _cost_part(experiment: Experiment, results: Results) -> str:
    rows = []
    for method in experiment.methods:
        chosen = [row.values for row in results.rows if row.method == method]
        seconds, evaluations = (mean_interval([v[name] for v in chosen]).mean for name in ("seconds", "evaluations"))
        rows.append([method, f"{seconds:.3g}", f"{evaluations:.0f}"])
    parts = [
        "## Cost",
        markdown_table(["method", "seconds per photo", "evaluations per photo"], rows),
        "Mean over all cases. An evaluation is a pass through the network. Stages that methods share ran once, and "
        "count for each of them.",
    ]
    if any(curve.over == "methods" for curve in experiment.curves):
        parts.append(_cheapest(experiment, results))
    first = next(iter(experiment.methods))
    stored = {case.title: _sample(results, case.title, first, "bytes") for case in experiment.cases}
    known = [[title, f"{values[0]:.0f}"] for title, values in stored.items() if values]
    if known:
        parts.append(markdown_table(["measured", "bytes per photo"], known))
    return "\n\n".join(parts)


def _cheapest(experiment: Experiment, results: Results) -> str:
    """Return, per case, the method with the fewest evaluations that is close to the best."""
    metric = as_metric(experiment.metrics[0]).name
    rows = []
    for case in experiment.cases:
        means = {m: mean_interval(_sample(results, case.title, m, metric)).mean for m in experiment.methods}
        costs = {m: mean_interval(_sample(results, case.title, m, "evaluations")).mean for m in experiment.methods}
        best = max(means, key=lambda m: means[m])
        near = [m for m in means if means[m] >= means[best] - _WITHIN]
        cheapest = min(near, key=lambda m: costs[m])
        rows.append([case.title, best, f"{costs[best]:.0f}", cheapest, f"{costs[cheapest]:.0f}"])
    titles = ["measured", "best", "evaluations", f"cheapest within {_WITHIN} dB", "evaluations"]
    return markdown_table(titles, rows)


def _tested(experiment: Experiment) -> list[Metric]:
    metrics = _metrics_of(experiment)
    if experiment.tested is None:
        return metrics[:1]
    return [metric for name in experiment.tested for metric in metrics if metric.name == name]


def _comparison_part(experiment: Experiment, results: Results, metric: Metric) -> str:
    tests = [
        _paired(results, (case.title, first), (case.title, second), metric, [case.title, f"{first} against {second}"])
        for case in experiment.cases
        for first, second in experiment.comparisons
    ]
    title = "Methods against each other"
    if metric != _metrics_of(experiment)[0]:
        title = f"{title}: {metric.title}"
    return _test_table(title, ["measured", "methods"], metric, tests)


def _case_part(experiment: Experiment, results: Results) -> str:
    metric = _metrics_of(experiment)[0]
    tests = [
        _paired(results, (first, method), (second, method), metric, [f"{first} against {second}", method])
        for first, second in experiment.case_comparisons
        for method in experiment.methods
    ]
    return _test_table("Measurements against each other", ["measured", "method"], metric, tests)


def _group_part(experiment: Experiment, results: Results, groups: Groups, metric: Metric) -> str:
    parts = [f"## Groups of photos: {metric.title}"]
    tests: list[_Test] = []
    for case in experiment.cases:
        rows = []
        for group, members in groups.items():
            columns = [results.values(case.title, method, metric.name) for method in experiment.methods]
            inside = [[value for photo, value in column.items() if photo in members] for column in columns]
            outside = [[value for photo, value in column.items() if photo not in members] for column in columns]
            if not inside[0]:
                continue
            rows.append([group, str(len(inside[0])), *_best_in_bold(inside, metric)])
            tests += [
                _against_others(a, b, [case.title, group, method])
                for a, b, method in zip(inside, outside, experiment.methods, strict=True)
                if b
            ]
        parts += [f"**{case.title}**", markdown_table(["group", "n", *experiment.methods], rows)]
    parts.append(_test_table("Group against the other photos", ["measured", "group", "method"], metric, tests, level=3))
    return "\n\n".join(parts)


@dataclass(frozen=True)
class _Test:
    """One test: the compared methods, the difference with its interval, and the p-value."""

    names: list[str]
    difference: float
    half_width: float
    p: float


def _paired(
    results: Results, first: tuple[str, str], second: tuple[str, str], metric: Metric, names: list[str]
) -> _Test:
    a, b = (results.values(*which, metric.name) for which in (first, second))
    one, other = list(a.values()), [b[photo] for photo in a]
    p = paired_p_value(one, other)
    if math.isnan(p):
        return _Test(names, float("nan"), float("nan"), p)
    interval = mean_interval([x - y for x, y in zip(one, other, strict=True)])
    return _Test(names, interval.mean, interval.half_width, p)


def _against_others(inside: Sequence[float], outside: Sequence[float], names: list[str]) -> _Test:
    interval = difference_interval(inside, outside)
    return _Test(names, interval.mean, interval.half_width, group_p_value(inside, outside))


def _test_table(title: str, keys: list[str], metric: Metric, tests: Sequence[_Test], *, level: int = 2) -> str:
    if not tests:
        return ""
    corrected = holm([test.p for test in tests])
    rows = []
    for test, p in zip(tests, corrected, strict=True):
        difference = _plus_minus(test.difference, test.half_width, metric.digits, sign="+")
        rows.append([*test.names, difference, _p_text(test.p), _bold(_p_text(p)) if p < _SIGNIFICANT else _p_text(p)])
    head = [*keys, f"difference, {metric.title}", "p", "p (Holm)"]
    return "\n\n".join([f"{'#' * level} {title}", markdown_table(head, rows), _TESTS])


def _best_in_bold(samples: Sequence[Sequence[float]], metric: Metric) -> list[str]:
    digits = metric.digits
    intervals = [mean_interval(sample) for sample in samples]
    shown = [round(interval.mean, digits) for interval in intervals]
    best = min(shown) if metric.lower_is_better else max(shown)
    texts = [_plus_minus(interval.mean, interval.half_width, digits) for interval in intervals]
    return [_bold(text) if mean == best else text for text, mean in zip(texts, shown, strict=True)]


def _sample(results: Results, case: str, method: str, column: str) -> list[float]:
    return [value for value in results.values(case, method, column).values() if not math.isnan(value)]


def _plus_minus(mean: float, half_width: float, digits: int, *, sign: str = "") -> str:
    if math.isnan(mean):
        return "–"
    width = "" if math.isnan(half_width) else f" ± {half_width:.{digits}f}"
    return f"{mean:{sign}.{digits}f}{width}"


def _p_text(p: float) -> str:
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _bold(text: str) -> str:
    return f"**{text}**"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write rows with a head as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _write_comparisons(path: Path, experiment: Experiment, results: Results) -> None:
    """Test every pair of methods in every case and metric; p-values are corrected within a case and metric."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["metric", "case", "first", "second", "difference", "half_width", "p", "p_holm"])
        for metric in _metrics_of(experiment):
            for case in experiment.cases:
                pairs = list(combinations(experiment.methods, 2))
                tests = [_paired(results, (case.title, a), (case.title, b), metric, [a, b]) for a, b in pairs]
                for test, p in zip(tests, holm([test.p for test in tests]), strict=True):
                    numbers = (f"{value:.6g}" for value in (test.difference, test.half_width, test.p, p))
                    writer.writerow([metric.name, case.title, *test.names, *numbers])


def _draw_plots(out: Path, experiment: Experiment, results: Results) -> dict[str, list[Path]]:
    """Draw bars and curves of every metric; picture grids are stored separately, since they show the photos."""
    (out / "plots").mkdir(exist_ok=True)
    drawn: dict[str, list[Path]] = {}
    for metric in _metrics_of(experiment):
        name = metric.name
        figures = {f"bars-{name}": bars(experiment, results, metric)} if not experiment.curves else {}
        figures |= {f"{c.name}-{name}": curve_figure(experiment, results, c, metric) for c in experiment.curves}
        drawn[name] = [out / "plots" / f"{slug(file)}.png" for file in figures]
        for path, figure in zip(drawn[name], figures.values(), strict=True):
            _save(figure, path)
    return drawn


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - a matplotlib figure, which is not imported here
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

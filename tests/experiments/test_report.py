"""Tables, tests and plots, from results that are made up."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from inverso.experiments import Case, Curve, Experiment, write_report
from inverso.experiments._plots import bars, curve_figure
from inverso.experiments._results import Results, Row, record_run
from inverso.experiments.photos import Photos
from inverso.experiments.runner import Finished
from inverso.experiments.scores import _METRICS, Metric
from inverso.operators import Bicubic

CASES = (Case("x2", Bicubic(2)), Case("x4", Bicubic(4)))
PHOTOS = tuple(f"{k}.png" for k in range(8))

MADE_UP = Experiment(
    "made-up",
    "Made up",
    "Is it so?",
    "nowhere",
    CASES,
    {"plain": "pinv", "good": "csgm", "even": "ia"},
    metrics=("psnr", "lpips"),
    comparisons=(("good", "plain"), ("even", "good")),
    case_comparisons=(("x2", "x4"),),
)


def value(case: int, photo: int, method: str, metric: str) -> float:
    """PSNR: good is 2 dB above plain, even is the same as good on average; x4 is 5 dB below x2."""
    level = 20 + photo - 5 * case
    psnr = {"plain": level, "good": level + 2, "even": level + 2 + (-1) ** photo}[method]
    return psnr if metric == "psnr" else 1 - psnr / 100


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    results = Results.open(
        tmp_path / "results.csv", ("psnr", "lpips", "seconds", "evaluations", "bytes"), methods=list(MADE_UP.methods)
    )
    costs = {"plain": (0.5, 0), "good": (3.0, 100), "even": (9.0, 300)}
    results.append(
        [
            Row(
                case.title,
                photo,
                method,
                k,
                {
                    **{metric: value(c, k, method, metric) for metric in MADE_UP.metrics},
                    **dict(zip(("seconds", "evaluations"), costs[method], strict=True)),
                    "bytes": 77.0 if c == 0 else math.nan,
                },
            )
            for c, case in enumerate(CASES)
            for k, photo in enumerate(PHOTOS)
            for method in MADE_UP.methods
        ]
    )
    network = {"prior": "tiny", "weights": "abc"}
    settings = {"photos": dict.fromkeys(PHOTOS, ""), "size": "prior", "seed": 0, "fast": False, **network}
    machine = {"torch": "2", "device": "cpu", "accelerator": None, "threads": 1}
    code = {"inverso": "1", "source": "abc", "left": 16}
    record_run(tmp_path, settings, {"command": "inverso bench made-up", **code, **machine})
    return Finished(MADE_UP, results, Photos(tuple(torch.zeros(8, 1, 3, 4, 4)), PHOTOS, (), {}, ""))


def section(text: str, title: str) -> list[list[str]]:
    """The cells of the tables below a heading."""
    body = text.split(f"# {title}\n", 1)[1].split("\n#", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")]


def test_table_has_means_intervals_and_the_best_in_bold(finished: Finished, tmp_path: Path) -> None:
    text = write_report(tmp_path, finished).read_text()
    assert "inverso bench made-up" in text
    assert "n = 8 photos, their central squares resized to the prior's side, each with a mask" in text
    head, _, first, second = section(text, "PSNR (dB)")
    assert head == ["measured", "plain", "good", "even"]
    # 20 ... 27: s = sqrt(6), t_7(0.975) = 2.3646
    assert first[1] == f"23.50 ± {2.364624 * math.sqrt(6 / 8):.2f}"
    assert first[2].startswith("**25.50 ± ")
    assert first[3].startswith("**25.50 ± "), "what rounds to the same mean is as good"
    assert second[0] == "x4"
    assert second[1].startswith("18.50")
    lower = section(text, "LPIPS (AlexNet)")[2]
    assert lower[2].startswith("**0.745")
    assert not lower[1].startswith("**")


def test_tests_of_the_differences(finished: Finished, tmp_path: Path) -> None:
    text = write_report(tmp_path, finished).read_text()
    rows = section(text, "Methods against each other")[2:]
    assert [row[:2] for row in rows] == [
        [case, names] for case in ("x2", "x4") for names in ("good against plain", "even against good")
    ]
    # All of 8 signs agree: 2 of 2^8. Four tests of which two have this p-value: times 4.
    assert rows[0][2:] == ["+2.00 ± 0.00", "0.008", "**0.031**"]
    assert rows[1][2] == "+0.00 ± 0.89"
    assert rows[1][3:] == ["1.000", "1.000"]
    cases = section(text, "Measurements against each other")[2:]
    assert [row[:3] for row in cases] == [["x2 against x4", m, "+5.00 ± 0.00"] for m in MADE_UP.methods]


def test_tests_in_further_metrics(finished: Finished, tmp_path: Path) -> None:
    experiment = replace(finished.experiment, tested=("psnr", "lpips", "ssim"))
    text = write_report(tmp_path, replace(finished, experiment=experiment)).read_text()
    rows = section(text, "Methods against each other: LPIPS (AlexNet)")[2:]
    assert [row[1] for row in rows] == ["good against plain", "even against good"] * 2
    assert "Methods against each other\n" in text
    assert "other: SSIM" not in text, "it was not measured"


def test_every_pair_and_metric_is_in_the_csv(finished: Finished, tmp_path: Path) -> None:
    write_report(tmp_path, finished)
    with (tmp_path / "comparisons.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 2 * 3
    assert {row["metric"] for row in rows} == {"psnr", "lpips"}
    chosen = rows[0]
    assert (chosen["first"], chosen["second"]) == ("plain", "good")
    assert float(chosen["difference"]) == -2
    assert float(chosen["p"]) == pytest.approx(2 / 2**8)
    assert float(chosen["p_holm"]) == pytest.approx(3 * 2 / 2**8)


def test_costs_and_bytes(finished: Finished, tmp_path: Path) -> None:
    rows = section(write_report(tmp_path, finished).read_text(), "Cost")
    assert rows[2:5] == [["plain", "0.5", "0"], ["good", "3", "100"], ["even", "9", "300"]]
    assert rows[5:] == [["measured", "bytes per photo"], ["---", "---"], ["x2", "77"]]


def test_groups_are_tested_against_the_others(finished: Finished, tmp_path: Path) -> None:
    groups = {"bright": frozenset(PHOTOS[4:]), "one": frozenset(PHOTOS[:1]), "nobody": frozenset({"z.png"})}
    text = write_report(tmp_path, finished, groups=groups).read_text()
    rows = section(text, "Groups of photos: PSNR (dB)")
    assert rows[0] == ["group", "n", "plain", "good", "even"]
    assert rows[2][:2] == ["bright", "4"]
    assert rows[2][2].startswith("25.50 ± ")
    assert rows[3] == ["one", "1", "20.00", "22.00", "**23.00**"]
    tests = section(text, "Group against the other photos")[2:]
    assert tests[0][:3] == ["x2", "bright", "plain"]
    assert tests[0][3].startswith("+4.00 ± ")
    # Of the 70 divisions of 8 photos into 4 and 4, two are as extreme; 6 tests could be made in two cases.
    assert tests[0][4] == f"{2 / 70:.3f}"
    assert tests[3][3:] == ["-4.00", "–", "–"]
    assert len(tests) == 2 * 2 * 3


def test_infinite_values_are_shown_and_not_tested(finished: Finished, tmp_path: Path) -> None:
    rows = [
        replace(row, values={**row.values, "psnr": math.inf}) if row.method == "good" else row
        for row in finished.results.rows
    ]
    exact = replace(finished, results=replace(finished.results, rows=rows))
    text = write_report(tmp_path, exact).read_text()
    assert section(text, "PSNR (dB)")[2][2] == "**inf**"
    assert section(text, "Methods against each other")[2][2:] == ["–", "–", "–"]


def test_plots_are_written(finished: Finished, tmp_path: Path) -> None:
    write_report(tmp_path, finished)
    for metric in MADE_UP.metrics:
        with Image.open(tmp_path / "plots" / f"bars-{metric}.png") as drawn:
            assert drawn.width > 300
    assert f"plots/bars-{MADE_UP.metrics[0]}.png" in (tmp_path / "table.md").read_text()


def test_bars_show_means_and_intervals(finished: Finished) -> None:
    (axes,) = bars(MADE_UP, finished.results, _METRICS["psnr"]).axes
    assert sorted(round(bar.get_height(), 3) for bar in axes.patches) == [18.5, 20.5, 20.5, 23.5, 25.5, 25.5]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x2", "x4"]


def test_curves_over_cases_and_methods(finished: Finished) -> None:
    over_cases = Curve("scale", "scale", {"": {4: "x4", 2: "x2"}})
    (axes,) = curve_figure(MADE_UP, finished.results, over_cases, _METRICS["psnr"]).axes
    assert axes.lines[0].get_xydata().tolist() == [[2, 23.5], [4, 18.5]]
    assert len(axes.lines) == 3
    over_methods = Curve("steps", "steps", {"": {1: "plain", 10: "good"}}, over="methods", log=True)
    (axes,) = curve_figure(MADE_UP, finished.results, over_methods, _METRICS["psnr"]).axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 23.5], [10, 25.5]], [[1, 18.5], [10, 20.5]]]
    assert axes.get_xscale() == "log"


def test_the_cheapest_method_close_to_the_best_is_named(finished: Finished, tmp_path: Path) -> None:
    steps = Curve("steps", "steps", {"": {1: "plain", 10: "good", 30: "even"}}, over="methods")
    curved = replace(finished, experiment=replace(MADE_UP, curves=(steps,)))
    rows = section(write_report(tmp_path, curved).read_text(), "Cost")
    assert ["x2", "good", "100", "good", "100"] in rows
    assert (tmp_path / "plots" / "steps-psnr.png").exists()
    assert not (tmp_path / "plots" / "bars-psnr.png").exists()


def test_an_experiment_brings_groups_and_sections_of_its_own(finished: Finished, tmp_path: Path) -> None:
    experiment = replace(
        finished.experiment,
        groups=lambda photos: {"first": frozenset(photos.names[:4])},
        appendix=lambda done, out: f"## More\n\n{len(done.results.rows)} rows in {out.name}",
    )
    own = replace(finished, experiment=experiment)
    text = write_report(tmp_path, own).read_text()
    assert section(text, "Groups of photos: PSNR (dB)")[2][:2] == ["first", "4"]
    assert text.endswith(f"## More\n\n48 rows in {tmp_path.name}\n")
    given = write_report(tmp_path, own, groups={"last": frozenset(PHOTOS[4:])}).read_text()
    assert section(given, "Groups of photos: PSNR (dB)")[2][:2] == ["last", "4"]


def test_own_metrics_have_their_title_and_digits(finished: Finished, tmp_path: Path) -> None:
    own = Metric.of_images("lpips", "an own distance", torch.dist, 1, lower=True)
    experiment = replace(finished.experiment, metrics=("psnr", own))
    text = write_report(tmp_path, replace(finished, experiment=experiment)).read_text()
    cells = section(text, "an own distance")[2]
    assert cells[2].startswith("**0.7 ± ")


def test_a_rehearsal_says_so(finished: Finished, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_text(path.read_text().replace('"fast": false', '"fast": true'))
    assert "these numbers mean nothing" in write_report(tmp_path, finished).read_text()

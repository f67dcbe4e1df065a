"""Run an experiment over a folder of photos, in batches, such that it can be stopped at any time and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from tqdm.auto import tqdm

from inverso._files import check_folder
from inverso._warning import warn_caller
from inverso.experiments._bench import COSTS, Bench, Measured
from inverso.experiments._environment import describe_run, own_code, own_files
from inverso.experiments._results import Results, Row, check_settings, record_run
from inverso.experiments._workers import ImportedFiles, Measuring
from inverso.experiments.photos import Photos
from inverso.experiments.scores import as_metric
from inverso.experiments.settings import Options, parts_of, settings_of
from inverso.experiments.table import Experiment
from inverso.jobs import Executor, Local
from inverso.jobs.work import Lost, Work
from inverso.priors.base import AnyPrior


@dataclass(frozen=True)
class Finished:
    """The results of an experiment.

    Args:
        experiment: The experiment with its available metrics, and a column per restorer.
        results: All rows.
        photos: The measured photos.
        prior: The prior; None if the experiment needs none.
    """

    experiment: Experiment
    results: Results
    photos: Photos
    prior: AnyPrior | None = None


def run(
    experiment: Experiment,
    data: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    command: str = "",
    executor: Executor | None = None,
) -> Finished:
    """Measure every photo, reconstruct it by every method, and append the metrics to `results.csv`.

    Run again with the same settings, it continues where it was stopped. Batch, device and progress may change, and n
    may be increased.

    Args:
        experiment: The experiment.
        data: Folder of photos: the first n by name are measured, the last few are for tuning.
        out: Folder for the results; created if it does not exist.
        options: Options of the run.
        command: The command line, for the record.
        executor: Where to run it, `inverso.jobs.Local()` or `Ray()`; by default in this process, on the device of the
            options. Experiments that cannot be pickled, for example with a lambda as metric, can only run in this
            process.

    Returns:
        The results.

    Raises:
        ValueError: The folder has too few photos, existing results have other settings, or a restorer is missing.
        InversoError: Packages or weights are missing for all of its methods.

    Warns:
        UserWarning: They are missing for some of its methods, which are left out.
    """
    options = options or Options()
    check_folder(Path(out), name="out")
    here = Bench.load(experiment, data, Path(out), options)
    results = _open_results(here, command)
    if executor is None:
        _go_on(here, results, here, Local(processes=0, device=options.device))
    else:
        files = ImportedFiles(own_files(parts_of(here.experiment)))
        _go_on(
            here, results, Measuring(files, experiment, Path(data).absolute(), here.out.absolute(), options), executor
        )
    return Finished(here.experiment, results, here.photos, here.networks.prior)


def _open_results(bench: Bench, command: str) -> Results:
    """Open the results, raise if they have other settings, and record this run."""
    out, experiment, options = bench.out, bench.experiment, bench.options
    out.mkdir(parents=True, exist_ok=True)
    settings = settings_of(experiment, options, bench.photos, bench.networks)
    check_settings(out, settings)
    columns = (*(as_metric(metric).name for metric in experiment.metrics), *COSTS)
    results = Results.open(out / "results.csv", columns, methods=list(experiment.methods))
    left = len(experiment.cases) * options.n - len(results.finished)
    record_run(out, settings, describe_run(command, options.device) | own_code(parts_of(experiment)) | {"left": left})
    return results


def _go_on(bench: Bench, results: Results, work: Work[Measured, list[Row]], executor: Executor) -> None:
    """Process what is left, and append the rows of every batch when it ends."""
    total = len(bench.experiment.cases) * bench.options.n
    done = len(results.finished)
    with (
        tqdm(total=total, initial=done, unit="photo", disable=not bench.options.progress) as bar,
        closing(executor.run(work, _batches(bench, results, bar))) as outcomes,
    ):
        for outcome in outcomes:
            rows = [result for _, result in outcome if not isinstance(result, Lost)]
            results.append([row for each in rows for row in each])
            bar.update(len(rows))
            for item, result in outcome:
                if isinstance(result, Lost):
                    name, case = bench.photos.names[item.photo], bench.experiment.cases[item.case].title
                    warn_caller(f"{name} has no rows in {case!r}: {result.reason}")


def _batches(bench: Bench, results: Results, bar: tqdm[NoReturn]) -> Iterator[list[Measured]]:
    """Yield the remaining photos in batches of one case and shape."""
    size = bench.options.batch
    for number, case in enumerate(bench.experiment.cases):
        left = [k for k, name in enumerate(bench.photos.names) if (case.title, name) not in results.finished]
        if not left:
            continue
        bar.set_description(case.title)
        tuned = bench.tune(case)
        for _, group in groupby(left, lambda k: bench.photos.images[k].shape):
            items = [Measured(number, k, tuned) for k in group]
            yield from (items[start : start + size] for start in range(0, len(items), size))

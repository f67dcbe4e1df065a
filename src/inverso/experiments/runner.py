"""Run an experiment over a folder of photos, in batches, so that it can be stopped at any time and gone on with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

import inverso
from inverso.checks import check_count, check_seed
from inverso.errors import InversoError
from inverso.experiments.environment import describe_run, fingerprint
from inverso.experiments.measuring import load_restorers, measure
from inverso.experiments.photos import TUNING_PHOTOS, Photos
from inverso.experiments.pictures import save_pictures
from inverso.experiments.points import Points
from inverso.experiments.results import PHOTOS, Results, Row, check_settings, read_json, record_run, write_json
from inverso.experiments.scores import available, score
from inverso.experiments.table import Case, Entry, Experiment, Tuned, Using, stages_in
from inverso.operators import LinearOperator
from inverso.priors import LatentPrior, load
from inverso.priors.encoder import load as load_encoder
from inverso.reconstruction import Reconstruction
from inverso.solver import solve
from inverso.stages import Resume, Stage

COSTS = ("seconds", "evaluations", "bytes")
TUNING_SEED = 500_000_000
FAST_STEPS = 5


@dataclass(frozen=True)
class Options:
    """How an experiment is run.

    Args:
        n: Photos to measure.
        batch: Photos at once; a kill loses no more than one batch.
        prior: Name or checkpoint of the prior.
        restorers: Name -> name or checkpoint of a restorer, for experiments that need one.
        seed: Of the masks, the noise and the starting latents; photo k has masks and noise of its own.
        fast: Take a handful of steps wherever a method iterates: a rehearsal, whose numbers mean nothing.
        pictures: Photos per case whose reconstructions are kept for the picture grids.
        device: Where to compute.
        progress: Show a progress bar on standard error.
    """

    n: int = 20
    batch: int = 5
    prior: str = "faces-64"
    restorers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0
    fast: bool = False
    pictures: int = 4
    device: str = "cpu"
    progress: bool = True

    def __post_init__(self) -> None:
        check_count(self.n, name="n")
        check_count(self.batch, name="batch")
        check_count(self.pictures, name="pictures", minimum=0)
        check_seed(self.seed)


@dataclass(frozen=True)
class Finished:
    """What came out of an experiment.

    Args:
        experiment: As it was run: with the metrics there are, and a column per restorer.
        results: All rows.
        photos: What was measured.
    """

    experiment: Experiment
    results: Results
    photos: Photos


def run(
    experiment: Experiment, data: str | Path, out: str | Path, options: Options | None = None, *, command: str = ""
) -> Finished:
    """Measure every photo, reconstruct it by every method, and append what came out to `results.csv`.

    Run again with the same settings, it goes on where it was stopped. Batch, device and progress may change, and n may
    grow.

    Args:
        experiment: What to run.
        data: Folder of photos: the first n by name are measured, the last few tune the methods that need it.
        out: Folder for the results; made if it is not there.
        options: How to run it.
        command: The command line behind the call, for the record.

    Returns:
        What came out.

    Raises:
        ValueError: The folder of photos holds too few, the results are those of other settings, or a restorer is
            missing.
        InversoError: Packages or weights are missing for all of its methods.

    Warns:
        UserWarning: They are missing for some of its methods, which are left out.
    """
    options = options or Options()
    session = _Session.begin(experiment, data, Path(out), options, command)
    session.run()
    return Finished(session.experiment, session.results, session.photos)


@dataclass
class _Session:
    """One call of `run`: what it works with, none of which changes but the results."""

    experiment: Experiment
    options: Options
    photos: Photos
    prior: LatentPrior
    restorers: Mapping[str, nn.Module]
    out: Path
    results: Results

    @classmethod
    def begin(cls, experiment: Experiment, data: str | Path, out: Path, options: Options, command: str) -> _Session:
        restorers = load_restorers(experiment, options.restorers)
        prior = load(options.prior)
        experiment = _without_missing(experiment.with_restorers(list(restorers)), prior)
        experiment = replace(experiment, metrics=available(experiment.metrics, side=prior.image_shape[-1]))
        if options.fast:
            experiment = replace(experiment, methods={name: _fast(e) for name, e in experiment.methods.items()})
        tuned = any(isinstance(entry, Tuned) for entry in experiment.methods.values())
        photos = Photos.read(data, options.n, image_shape=prior.image_shape, tuning=TUNING_PHOTOS if tuned else 0)
        out.mkdir(parents=True, exist_ok=True)
        settings = _settings(experiment, options, photos, prior, restorers)
        check_settings(out, settings)
        results = Results.open(out / "results.csv", (*experiment.metrics, *COSTS), methods=list(experiment.methods))
        left = len(experiment.cases) * options.n - len(results.finished)
        record_run(out, settings, describe_run(command, options.device) | {"left": left})
        return cls(experiment, options, photos, prior, restorers, out, results)

    def run(self) -> None:
        total = len(self.experiment.cases) * self.options.n
        with tqdm(
            total=total, initial=len(self.results.finished), unit="photo", disable=not self.options.progress
        ) as bar:
            for case in self.experiment.cases:
                batches = self._batches(case)
                if not batches:
                    continue
                bar.set_description(case.title)
                tuned = self._tune(case)
                for indices in batches:
                    self._run_batch(case, tuned, indices)
                    bar.update(len(indices))

    def _batches(self, case: Case) -> list[list[int]]:
        """List the photos that are still to be done, in batches."""
        left = [k for k, name in enumerate(self.photos.names) if (case.title, name) not in self.results.finished]
        size = self.options.batch
        return [left[start : start + size] for start in range(0, len(left), size)]

    def _run_batch(self, case: Case, tuned: Mapping[str, Stage], indices: Sequence[int]) -> None:
        x = self.photos.images[list(indices)].to(self.options.device)
        seeds = [self._seed(index) for index in indices]
        A, y, noise = measure(case, x, seeds)
        answers = dict(self._solve_all(y, A, noise, tuned))
        quality = {name: score(self.experiment.metrics, answer.image, x) for name, answer in answers.items()}
        costs = {name: self._costs(case, answer) for name, answer in answers.items()}
        shown = [k for k, index in enumerate(indices) if index < self.options.pictures]
        if shown:
            images = {name: answer.image for name, answer in answers.items()}
            save_pictures(self.out, case, [indices[k] for k in shown], x[shown], y[shown], A, images, rows=shown)
        self.results.append(
            [
                Row(
                    case.title,
                    self.photos.names[index],
                    name,
                    seeds[k],
                    {**{metric: values[k] for metric, values in quality[name].items()}, **costs[name]},
                )
                for k, index in enumerate(indices)
                for name in answers
            ]
        )

    def _seed(self, index: int) -> int:
        return self.options.seed * 1_000_000 + index

    def _solve_all(
        self, y: Tensor, A: LinearOperator, noise: float, tuned: Mapping[str, Stage]
    ) -> Iterator[tuple[str, Reconstruction]]:
        """Run every method; one whose first stages have run goes on from there."""
        done: dict[tuple[str | None, tuple[Stage, ...]], Reconstruction] = {}
        for name, entry in self.experiment.methods.items():
            stages = (tuned[name],) if name in tuned else stages_in(entry)
            restorer = entry.restorer if isinstance(entry, Using) else None
            shared = [len(first) for used, first in done if used == restorer and stages[: len(first)] == first]
            begun = max(shared, default=0)
            rest = list(stages[begun:])
            if begun:
                rest.insert(0, Resume(done[restorer, stages[:begun]].state))
            answer = self._solve(y, A, noise, rest, restorer)
            done[restorer, stages] = answer
            yield name, answer

    def _solve(
        self, y: Tensor, A: LinearOperator, noise: float, stages: Sequence[Stage], restorer: str | None
    ) -> Reconstruction:
        return solve(
            y,
            A,
            self.prior,
            list(stages),
            restorer=None if restorer is None else self.restorers[restorer],
            noise=noise,
            seed=self.options.seed,
            progress=False,
        )

    def _costs(self, case: Case, answer: Reconstruction) -> dict[str, float]:
        stored = case.operator.stored_bytes(self.prior.image_shape) if isinstance(case.operator, Points) else math.nan
        return {
            "seconds": sum(record.seconds for record in answer.stages) / len(answer.image),
            "evaluations": sum(record.evaluations for record in answer.stages),
            "bytes": stored,
        }

    def _tune(self, case: Case) -> dict[str, Stage]:
        """Choose settings on the photos that are not measured, or look up what a run before this one has chosen."""
        path = self.out / "tuning.json"
        chosen = read_json(path) if path.exists() else {}
        known = chosen.setdefault(case.title, {})
        stages: dict[str, Stage] = {}
        for name, entry in self.experiment.methods.items():
            if not isinstance(entry, Tuned):
                continue
            if name not in known:
                known[name] = {"index": self._best_candidate(case, entry)}
                known[name]["stage"] = repr(entry.candidates[known[name]["index"]])
            stages[name] = entry.candidates[known[name]["index"]]
        if stages:
            write_json(path, chosen)
        return stages

    def _best_candidate(self, case: Case, entry: Tuned) -> int:
        if len(entry.candidates) == 1:
            return 0
        x = self.photos.tuning.to(self.options.device)
        A, y, noise = measure(case, x, [TUNING_SEED + self._seed(k) for k in range(len(x))])
        means = []
        for stage in entry.candidates:
            image = self._solve(y, A, noise, [stage], None).image
            means.append(torch.tensor(score(["psnr"], image, x)["psnr"]).mean())
        return int(torch.stack(means).argmax())


def _without_missing(experiment: Experiment, prior: LatentPrior) -> Experiment:
    """Leave out the methods that cannot run here, with a warning, as long as there are others."""
    missing = {name: reason for name, entry in experiment.methods.items() if (reason := _missing(entry, prior))}
    if not missing:
        return experiment
    if len(missing) == len(experiment.methods):
        raise InversoError(next(iter(missing.values())))
    for name, reason in missing.items():
        warnings.warn(f"{name} is left out: {reason}", stacklevel=4)
    return experiment.chosen([name for name in experiment.methods if name not in missing])


def _missing(entry: Entry, prior: LatentPrior) -> str | None:
    """Ask the stages that may lack a package or weights for the first thing that they lack."""
    for stage in stages_in(entry):
        if (reason := stage.missing(prior)) is not None:
            return reason
    return None


def _fast(entry: Entry) -> Entry:
    if isinstance(entry, Tuned):
        return Tuned(tuple(_hurried(stage) for stage in entry.candidates[:2]))
    stages = [_hurried(stage) for stage in stages_in(entry)]
    return Using(entry.restorer, stages) if isinstance(entry, Using) else stages


def _hurried(stage: Stage) -> Stage:
    inner = getattr(stage, "stages", None)
    if isinstance(inner, tuple):
        return cast("Stage", replace(cast("Any", stage), stages=tuple(_hurried(each) for each in inner)))
    numbers = {name: getattr(stage, name, None) for name in ("steps", "samples")}
    fewer = {name: min(FAST_STEPS, number) for name, number in numbers.items() if isinstance(number, int)}
    return cast("Stage", replace(cast("Any", stage), **fewer)) if fewer else stage


def _own_networks(experiment: Experiment) -> dict[str, str]:
    """Hash the networks that stages load by themselves."""
    loaders: Mapping[str, Callable[[str | Path], nn.Module]] = {"prior": load, "encoder": load_encoder}
    found: dict[str, str] = {}
    for method, entry in experiment.methods.items():
        for stage in _nested(stages_in(entry)):
            for kind, loader in loaders.items():
                own = getattr(stage, kind, None)
                if isinstance(own, nn.Module):
                    found[f"{kind} of {method}"] = fingerprint(own)
                elif own is not None:
                    found[f"{kind} {own}"] = fingerprint(loader(own))
    return found


def _nested(stages: Sequence[Stage]) -> Iterator[Stage]:
    """Give stages, and those that they run."""
    for stage in stages:
        yield stage
        yield from _nested(getattr(stage, "stages", ()))


def _settings(
    experiment: Experiment,
    options: Options,
    photos: Photos,
    prior: LatentPrior,
    restorers: Mapping[str, nn.Module],
) -> dict[str, Any]:
    """Say everything that the numbers depend on."""
    return {
        "inverso": inverso.__version__,
        "experiment": experiment.name,
        "cases": {case.title: repr(case) for case in experiment.cases},
        "methods": {name: repr(stages_in(entry)) for name, entry in experiment.methods.items()},
        "metrics": list(experiment.metrics),
        PHOTOS: photos.digests,
        "tuning photos": photos.tuning_digest,
        "prior": options.prior,
        "weights": fingerprint(prior),
        "methods' own networks": _own_networks(experiment),
        "restorers": {name: fingerprint(network) for name, network in restorers.items()},
        "seed": options.seed,
        "fast": options.fast,
        "pictures": options.pictures,
    }

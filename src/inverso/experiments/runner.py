"""Run an experiment over a folder of photos, in batches, so that it can be stopped at any time and gone on with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from inverso.experiments.environment import describe_run, own_code
from inverso.experiments.measuring import measure
from inverso.experiments.networks import (
    Networks,
    load_own_priors,
    load_restorers,
    photo_shape,
    without_missing,
)
from inverso.experiments.photos import TUNING_PHOTOS, Photos
from inverso.experiments.pictures import save_pictures
from inverso.experiments.results import Results, Row, check_settings, record_run
from inverso.experiments.scores import LPIPS_SIDE, as_metric, available
from inverso.experiments.settings import Options, hurried_entry, parts_of, settings_of, size_of
from inverso.experiments.table import Case, Experiment, Tuned, stages_in
from inverso.jobs.settings import read_json, write_json
from inverso.metrics import psnr
from inverso.operators import LinearOperator
from inverso.operators.plans import image_shape_of
from inverso.priors import AnyPrior, load
from inverso.reconstruction import Reconstruction
from inverso.solver import solve
from inverso.stages import Resume, Stage

COSTS = ("seconds", "evaluations", "bytes")
TUNING_SEED = 500_000_000


@dataclass(frozen=True)
class Finished:
    """What came out of an experiment.

    Args:
        experiment: As it was run: with the metrics there are, and a column per restorer.
        results: All rows.
        photos: What was measured.
        prior: With what; None if the experiment needs none.
    """

    experiment: Experiment
    results: Results
    photos: Photos
    prior: AnyPrior | None = None


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
    return Finished(session.experiment, session.results, session.photos, session.networks.prior)


@dataclass
class _Session:
    """One call of `run`: what it works with, none of which changes but the results."""

    experiment: Experiment
    options: Options
    photos: Photos
    networks: Networks
    out: Path
    results: Results

    @classmethod
    def begin(cls, experiment: Experiment, data: str | Path, out: Path, options: Options, command: str) -> _Session:
        restorers = load_restorers(experiment, options.restorers)
        experiment = experiment.with_restorers(list(restorers))
        name = options.prior or experiment.prior
        prior = None if name is None else load(name)
        networks = Networks(prior, load_own_priors(experiment), restorers)
        shape = photo_shape(size_of(experiment, options), prior)
        experiment = without_missing(experiment, networks, shape)
        side = shape.resized or shape.cropped or LPIPS_SIDE
        experiment = replace(experiment, metrics=available(experiment.metrics, side=side))
        if options.fast:
            experiment = replace(experiment, methods={name: hurried_entry(e) for name, e in experiment.methods.items()})
        tuned = any(isinstance(entry, Tuned) for entry in experiment.methods.values())
        photos = Photos.read(
            data,
            options.n,
            shape=shape,
            tuning=TUNING_PHOTOS if tuned else 0,
            tune_on=options.tuning if tuned else None,
        )
        out.mkdir(parents=True, exist_ok=True)
        settings = settings_of(experiment, options, photos, networks)
        check_settings(out, settings)
        columns = (*(as_metric(metric).name for metric in experiment.metrics), *COSTS)
        results = Results.open(out / "results.csv", columns, methods=list(experiment.methods))
        left = len(experiment.cases) * options.n - len(results.finished)
        record_run(
            out, settings, describe_run(command, options.device) | own_code(parts_of(experiment)) | {"left": left}
        )
        return cls(experiment, options, photos, networks, out, results)

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
        """List the photos that are still to be done, in batches of one shape."""
        left = [k for k, name in enumerate(self.photos.names) if (case.title, name) not in self.results.finished]
        size = self.options.batch
        alike = [list(group) for _, group in groupby(left, lambda k: self.photos.images[k].shape)]
        return [group[start : start + size] for group in alike for start in range(0, len(group), size)]

    def _run_batch(self, case: Case, tuned: Mapping[str, Stage], indices: Sequence[int]) -> None:
        x = self.photos.batch(indices).to(self.options.device)
        seeds = [self._seed(index) for index in indices]
        A, y, noise = measure(case, x, seeds)
        answers = dict(self._solve_all(y, A, noise, tuned))
        quality = {name: self._score(answer, x) for name, answer in answers.items()}
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

    def _score(self, answer: Reconstruction, x: Tensor) -> dict[str, list[float]]:
        """Measure an answer: name of the metric -> one value per photo."""
        metrics = [as_metric(metric) for metric in self.experiment.metrics]
        return {metric.name: metric.measure(answer, x).tolist() for metric in metrics}

    def _seed(self, index: int) -> int:
        return self.options.seed * 1_000_000 + index

    def _solve_all(
        self, y: Tensor, A: LinearOperator, noise: float, tuned: Mapping[str, Stage]
    ) -> Iterator[tuple[str, Reconstruction]]:
        """Run every method; one whose first stages have run goes on from there."""
        done: list[tuple[nn.Module | None, AnyPrior | None, tuple[Stage, ...], Reconstruction]] = []
        for name, entry in self.experiment.methods.items():
            stages = (tuned[name],) if name in tuned else stages_in(entry)
            restorer, prior = self.networks.restorer_of(entry), self.networks.prior_of(name)
            shared = [
                (len(first), answer)
                for with_restorer, with_prior, first, answer in done
                if with_restorer is restorer and with_prior is prior and stages[: len(first)] == first
            ]
            begun, before = max(shared, key=lambda pair: pair[0], default=(0, None))
            rest = list(stages[begun:])
            if before is not None:
                rest.insert(0, Resume(before.state))
            answer = self._solve(y, A, noise, rest, prior, restorer)
            done.append((restorer, prior, stages, answer))
            yield name, answer

    def _solve(
        self,
        y: Tensor,
        A: LinearOperator,
        noise: float,
        stages: Sequence[Stage],
        prior: AnyPrior | None,
        restorer: nn.Module | None = None,
    ) -> Reconstruction:
        return solve(
            y,
            A,
            prior,
            list(stages),
            restorer=restorer,
            noise=noise,
            seed=self.options.seed,
            progress=False,
        )

    @staticmethod
    def _costs(case: Case, answer: Reconstruction) -> dict[str, float]:
        stored = getattr(case.operator, "stored_bytes", None)
        return {
            "seconds": sum(record.seconds for record in answer.stages) / len(answer.image),
            "evaluations": sum(record.evaluations for record in answer.stages),
            "bytes": math.nan if stored is None else stored(image_shape_of(answer.image)),
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
        alike = [list(group) for _, group in groupby(enumerate(self.photos.tuning), lambda pair: pair[1].shape)]
        means = torch.zeros(len(entry.candidates))
        for group in alike:
            x = torch.cat([photo for _, photo in group]).to(self.options.device)
            A, y, noise = measure(case, x, [TUNING_SEED + self._seed(k) for k, _ in group])
            answers = [self._solve(y, A, noise, [stage], self.networks.prior) for stage in entry.candidates]
            means += torch.stack([psnr(answer.image, x).sum().cpu() for answer in answers])
        return int(means.argmax())

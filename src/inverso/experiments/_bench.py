"""An experiment with its photos and networks loaded, as one process needs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from inverso.experiments._measuring import measure
from inverso.experiments._networks import Networks, load_own_priors, load_restorers, photo_shape, without_missing
from inverso.experiments._pictures import save_pictures
from inverso.experiments._results import Row
from inverso.experiments.photos import TUNING_PHOTOS, Photos
from inverso.experiments.scores import LPIPS_SIDE, as_metric, available
from inverso.experiments.settings import Options, hurried_entry, size_of
from inverso.experiments.table import Case, Experiment, Tuned, stages_in
from inverso.jobs._settings import read_json, write_json
from inverso.metrics import psnr
from inverso.operators import LinearOperator
from inverso.operators._plans import image_shape_of
from inverso.priors import load
from inverso.priors.base import AnyPrior
from inverso.reconstruction import Reconstruction
from inverso.solver import solve
from inverso.stages import Resume, Stage

COSTS = ("seconds", "evaluations", "bytes")
TUNING_SEED = 500_000_000


class Measured(NamedTuple):
    """One photo to measure in one case.

    Args:
        case: Index of the case.
        photo: Index of the photo.
        tuned: Index of the chosen candidate of every tuned method.
    """

    case: int
    photo: int
    tuned: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Bench:
    """The immutable inputs of an experiment. As `Work` of an executor it runs in this process.

    Args:
        experiment: The experiment with its available metrics, and a column per restorer.
        options: Options of the run.
        photos: The photos.
        networks: The networks.
        out: Folder of the results.
    """

    experiment: Experiment
    options: Options
    photos: Photos
    networks: Networks
    out: Path

    @classmethod
    def load(cls, experiment: Experiment, data: str | Path, out: Path, options: Options) -> Bench:
        """Load photos and networks, and leave out methods that cannot run here.

        Raises:
            ValueError: The folder has too few photos, or a restorer is missing.
            InversoError: Packages or weights are missing for all methods.
        """
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
        if options.tuning is not None and not tuned:
            msg = f"no method of {experiment.name!r} that runs has settings to choose: leave out --tuning"
            raise ValueError(msg)
        photos = Photos.read(
            data,
            options.n,
            shape=shape,
            tuning=TUNING_PHOTOS if tuned else 0,
            tune_on=options.tuning if tuned else None,
        )
        return cls(experiment, options, photos, networks, out)

    def open(self, device: str) -> Callable[[Sequence[Measured]], list[list[Row]]]:  # noqa: ARG002 - that of the options
        """Return `measure`."""
        return self.measure

    def measure(self, items: Sequence[Measured]) -> list[list[Row]]:
        """Measure and reconstruct photos of one case and shape together, and return the rows of each."""
        case = self.experiment.cases[items[0].case]
        tuned = {name: self._candidates(name)[index] for name, index in items[0].tuned}
        indices = [item.photo for item in items]
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
        return [
            [
                Row(
                    case.title,
                    self.photos.names[index],
                    name,
                    seeds[k],
                    {**{metric: values[k] for metric, values in quality[name].items()}, **costs[name]},
                )
                for name in answers
            ]
            for k, index in enumerate(indices)
        ]

    def _candidates(self, name: str) -> tuple[Stage, ...]:
        entry = self.experiment.methods[name]
        return entry.candidates if isinstance(entry, Tuned) else ()

    def _score(self, answer: Reconstruction, x: Tensor) -> dict[str, list[float]]:
        """Compute the metrics of a reconstruction: name of the metric -> one value per photo."""
        metrics = [as_metric(metric) for metric in self.experiment.metrics]
        return {metric.name: metric.measure(answer, x).tolist() for metric in metrics}

    def _seed(self, index: int) -> int:
        return self.options.seed * 1_000_000 + index

    def _solve_all(
        self, y: Tensor, A: LinearOperator, noise: float, tuned: Mapping[str, Stage]
    ) -> Iterator[tuple[str, Reconstruction]]:
        """Run every method; a method whose first stages have run continues from there."""
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

    def tune(self, case: Case) -> tuple[tuple[str, int], ...]:
        """Choose settings on photos that are not measured, or look up what an earlier run has chosen."""
        path = self.out / "tuning.json"
        chosen = read_json(path) if path.exists() else {}
        known = chosen.setdefault(case.title, {})
        tuned = {name: entry for name, entry in self.experiment.methods.items() if isinstance(entry, Tuned)}
        for name, entry in tuned.items():
            if name not in known:
                known[name] = {"index": self._best_candidate(case, entry)}
                known[name]["stage"] = repr(entry.candidates[known[name]["index"]])
        if tuned:
            write_json(path, chosen)
        return tuple((name, known[name]["index"]) for name in tuned)

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

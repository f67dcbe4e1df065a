"""Options of an experiment's run, rehearsals, and everything on which its numbers depend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import inverso
from inverso._checks import check_count, check_seed
from inverso._networks.fingerprint import fingerprint
from inverso.experiments._networks import Networks, fingerprint_of_prior, nested, own_fingerprints
from inverso.experiments._results import PHOTOS
from inverso.experiments.photos import Photos, Size
from inverso.experiments.scores import as_metric
from inverso.experiments.table import Entry, Experiment, Tuned, Using, stages_in
from inverso.stages import Stage

_FAST_STEPS = 5


@dataclass(frozen=True)
class Options:
    """Options of an experiment's run.

    Args:
        n: Number of photos to measure.
        batch: Photos at once; a killed run loses at most one batch.
        prior: Name or checkpoint of the prior; by default the experiment's.
        restorers: Name -> name or checkpoint of a restorer, for experiments that need one.
        size: Side of the squares cropped from photos; by default the experiment decides.
        tuning: Folder of photos for tuning; by default the last photos of the same folder.
        seed: Seed of masks, noise and starting latents; every photo has its own masks and noise.
        fast: Use only a few steps in every iterative method: a rehearsal with meaningless numbers.
        pictures: Number of photos per case whose reconstructions are stored for picture grids.
        device: Device of the computation.
        progress: Whether to show a progress bar on standard error.
    """

    n: int = 20
    batch: int = 5
    prior: str | None = None
    restorers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    tuning: Path | None = None
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
        if self.size is not None:
            check_count(self.size, name="size")


def size_of(experiment: Experiment, options: Options) -> Size:
    """Return how photos are cropped or resized.

    Raises:
        ValueError: A side is given, and the experiment resizes photos to its prior's.
    """
    if options.size is None:
        return experiment.size
    if experiment.size == "prior":
        msg = f"{experiment.name} resizes photos to its prior's size: leave out --size"
        raise ValueError(msg)
    return options.size


def hurried_entry(entry: Entry) -> Entry:
    """Return a method of a table with only a few steps, for a rehearsal."""
    if isinstance(entry, Tuned):
        return Tuned(tuple(_hurried(stage) for stage in entry.candidates[:2]))
    stages = [_hurried(stage) for stage in stages_in(entry)]
    return replace(entry, method=stages) if isinstance(entry, Using) else stages


def _hurried(stage: Stage) -> Stage:
    """Return a stage, including the stages inside it, with only a few steps."""
    inner = getattr(stage, "stages", None)
    if isinstance(inner, tuple):
        return cast("Stage", replace(cast("Any", stage), stages=tuple(_hurried(each) for each in inner)))
    numbers = {name: getattr(stage, name) for name in ("steps", "samples", "passes", "starts") if hasattr(stage, name)}
    # A number that the stage chooses by itself is None.
    fewer = {
        name: _FAST_STEPS if number is None else min(_FAST_STEPS, number)
        for name, number in numbers.items()
        if number is None or isinstance(number, int)
    }
    return cast("Stage", replace(cast("Any", stage), **fewer)) if fewer else stage


def parts_of(experiment: Experiment) -> Iterator[object]:
    """Yield the parts of an experiment that may be defined outside the package."""
    yield from (case.operator for case in experiment.cases)
    for entry in experiment.methods.values():
        yield from nested(stages_in(entry))


def settings_of(
    experiment: Experiment,
    options: Options,
    photos: Photos,
    networks: Networks,
) -> dict[str, Any]:
    """Return everything on which the numbers depend."""
    prior = networks.prior
    return {
        "inverso": inverso.__version__,
        "experiment": experiment.name,
        "cases": {case.title: repr(case) for case in experiment.cases},
        "methods": {name: repr(stages_in(entry)) for name, entry in experiment.methods.items()},
        "metrics": [as_metric(metric).name for metric in experiment.metrics],
        "size": size_of(experiment, options),
        PHOTOS: photos.digests,
        "tuning photos": photos.tuning_digest,
        "prior": options.prior or experiment.prior,
        "weights": None if prior is None else fingerprint_of_prior(prior),
        "methods' own networks": own_fingerprints(experiment, networks),
        "restorers": {name: fingerprint(network) for name, network in networks.restorers.items()},
        "seed": options.seed,
        "fast": options.fast,
        "pictures": options.pictures,
    }

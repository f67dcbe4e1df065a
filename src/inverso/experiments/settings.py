"""How an experiment is run: options, rehearsals, and all that its numbers depend on."""

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
    """How an experiment is run.

    Args:
        n: Photos to measure.
        batch: Photos at once; a kill loses no more than one batch.
        prior: Name or checkpoint of the prior; by default the experiment's.
        restorers: Name -> name or checkpoint of a restorer, for experiments that need one.
        size: Side of the squares that are cropped from photos; by default the experiment decides.
        tuning: Folder of photos that choose settings; by default the last of those to measure.
        seed: Of the masks, the noise and the starting latents; photo k has masks and noise of its own.
        fast: Take a handful of steps wherever a method iterates: a rehearsal, whose numbers mean nothing.
        pictures: Photos per case whose reconstructions are kept for the picture grids.
        device: Where to compute.
        progress: Show a progress bar on standard error.
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
    """Say what becomes of photos.

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
    """Give a method of a table with a handful of steps, for a rehearsal."""
    if isinstance(entry, Tuned):
        return Tuned(tuple(_hurried(stage) for stage in entry.candidates[:2]))
    stages = [_hurried(stage) for stage in stages_in(entry)]
    return replace(entry, method=stages) if isinstance(entry, Using) else stages


def _hurried(stage: Stage) -> Stage:
    """Give a stage, and those inside of it, with a handful of steps."""
    inner = getattr(stage, "stages", None)
    if isinstance(inner, tuple):
        return cast("Stage", replace(cast("Any", stage), stages=tuple(_hurried(each) for each in inner)))
    numbers = {name: getattr(stage, name, None) for name in ("steps", "samples", "passes", "starts")}
    fewer = {name: min(_FAST_STEPS, number) for name, number in numbers.items() if isinstance(number, int)}
    return cast("Stage", replace(cast("Any", stage), **fewer)) if fewer else stage


def parts_of(experiment: Experiment) -> Iterator[object]:
    """Give what an experiment is made of, as far as it may be written outside the package."""
    yield from (case.operator for case in experiment.cases)
    for entry in experiment.methods.values():
        yield from nested(stages_in(entry))


def settings_of(
    experiment: Experiment,
    options: Options,
    photos: Photos,
    networks: Networks,
) -> dict[str, Any]:
    """Say everything that the numbers depend on."""
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

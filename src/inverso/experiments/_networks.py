"""The networks of an experiment: those given by the user, those of its methods, and checks for missing ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from inverso._networks.fingerprint import fingerprint
from inverso._types import ImageShape
from inverso._warning import warn_caller
from inverso.errors import InversoError
from inverso.experiments.photos import PhotoShape, Size
from inverso.experiments.table import Entry, Experiment, Using, stages_in
from inverso.priors import LatentPrior, load
from inverso.priors._zoo import own_denoiser
from inverso.priors.base import AnyPrior
from inverso.priors.encoder import load as load_encoder
from inverso.restorers import load as load_restorer
from inverso.stages import Need, Stage
from inverso.stages._guess import OWN


@dataclass(frozen=True)
class Networks:
    """The networks that methods run with.

    Args:
        prior: The prior of the table; None if no method needs one.
        own: Priors of single methods that replace it, by the method's name.
        restorers: Restorers by their given names.
    """

    prior: AnyPrior | None
    own: Mapping[str, AnyPrior]
    restorers: Mapping[str, nn.Module]

    def prior_of(self, method: str) -> AnyPrior | None:
        """Return the prior of a method."""
        return self.own.get(method, self.prior)

    def restorer_of(self, entry: Entry) -> nn.Module | None:
        """Return the restorer of a method."""
        name = entry.restorer if isinstance(entry, Using) else None
        return None if name is None else self.restorers[name]


def load_restorers(experiment: Experiment, names: Mapping[str, str]) -> dict[str, nn.Module]:
    """Load the restorers that an experiment needs.

    Args:
        experiment: The experiment.
        names: Name of a restorer in the table -> its name or checkpoint.

    Raises:
        ValueError: The experiment needs one and none is given, or needs none.
    """
    if not experiment.needs_restorer:
        if names:
            msg = f"experiment {experiment.name!r} uses no restorer, and {', '.join(names)} was given: leave it out"
            raise ValueError(msg)
        return {}
    if not names:
        msg = (
            f"experiment {experiment.name!r} needs a restorer, and none was given: name one from inverso.restorers, or "
            "a checkpoint, with --restorer"
        )
        raise ValueError(msg)
    return {name: load_restorer(where) for name, where in names.items()}


def load_own_priors(experiment: Experiment) -> dict[str, AnyPrior]:
    """Load the priors of single methods."""
    given = {name: entry.prior for name, entry in experiment.methods.items() if isinstance(entry, Using)}
    return {name: _loaded(prior) for name, prior in given.items() if prior is not None}


def _loaded(prior: str | tuple[str, str] | AnyPrior) -> AnyPrior:
    if isinstance(prior, tuple):
        latent, denoiser = (load(each, progress=False) if isinstance(each, str) else each for each in prior)
        return cast("AnyPrior", (latent, denoiser))
    return load(prior, progress=False) if isinstance(prior, str) else prior


def image_shape_of_prior(prior: AnyPrior | None) -> ImageShape | None:
    """Return the fixed image shape of a prior; None if there is no prior, or it supports any size."""
    first = prior[0] if isinstance(prior, tuple) else prior
    return None if first is None else first.image_shape


def photo_shape(size: Size, prior: AnyPrior | None) -> PhotoShape:
    """Return how photos are cropped or resized, for a table and its prior.

    Raises:
        ValueError: Photos are resized to the prior's size, and there is no prior, or it has no fixed size or is not
            square.
    """
    shape = image_shape_of_prior(prior)
    channels = getattr(prior, "channels", 3) if shape is None else shape[0]
    if size == "native":
        return PhotoShape(channels)
    if isinstance(size, int):
        return PhotoShape(channels, cropped=size)
    if shape is None or shape[1] != shape[2]:
        given = "its prior makes images of any size" if shape is None else f"its prior makes {shape}"
        given = "it has no prior" if prior is None else given
        msg = (
            f"the experiment resizes photos to the size of its prior's images, which must be square, and {given}: "
            "take one of square images, for instance prior='faces-64'"
        )
        raise ValueError(msg)
    return PhotoShape(channels, resized=shape[1])


def without_missing(experiment: Experiment, networks: Networks, shape: PhotoShape) -> Experiment:
    """Leave out the methods that cannot run here, with a warning, as long as there are others.

    Raises:
        InversoError: Packages or weights are missing for all methods.
    """
    missing = {
        name: reason
        for name, entry in experiment.methods.items()
        if (reason := _missing(entry, networks.prior_of(name), shape)) is not None
    }
    if not missing:
        return experiment
    if len(missing) == len(experiment.methods):
        raise InversoError(next(iter(missing.values())))
    for name, reason in missing.items():
        warn_caller(f"{name} is left out: {reason}")
    return experiment.chosen([name for name in experiment.methods if name not in missing])


def _missing(entry: Entry, prior: AnyPrior | None, shape: PhotoShape) -> str | None:
    """Return why a method cannot run on the photos: a prior of another size, or a missing part of its stages."""
    made = image_shape_of_prior(prior)
    side = shape.resized or shape.cropped
    if made is not None and made != (shape.channels, side, side):
        return f"its prior makes images of shape {made}, and photos are {(shape.channels, side, side)}"
    if any(Need.DENOISER in stage.needs for stage in stages_in(entry)) and not _has_denoiser(prior):
        return "it needs a denoiser, and the prior brings none"
    return next((reason for stage in stages_in(entry) if (reason := stage.missing(prior)) is not None), None)


def _has_denoiser(prior: AnyPrior | None) -> bool:
    """Return whether a prior is a denoiser, is given with one, or names one."""
    return not isinstance(prior, LatentPrior) or prior.denoiser_name is not None


def fingerprint_of_prior(prior: AnyPrior) -> str:
    """Hash the weights of a prior, or of a pair."""
    parts = prior if isinstance(prior, tuple) else (prior,)
    return "+".join(fingerprint(part) for part in parts)


def own_fingerprints(experiment: Experiment, networks: Networks) -> dict[str, str]:
    """Hash the networks of single methods, and those that their stages load."""
    loaders: Mapping[str, Callable[[str | Path], nn.Module]] = {"prior": load, "encoder": load_encoder}
    own_priors = {name: prior for name, prior in networks.own.items() if name in experiment.methods}
    found = {f"prior of {name}": fingerprint_of_prior(prior) for name, prior in own_priors.items()}
    for method, entry in experiment.methods.items():
        prior = networks.prior_of(method)
        for stage in nested(stages_in(entry)):
            if Need.DENOISER in stage.needs and isinstance(prior, LatentPrior):
                denoiser = own_denoiser(prior, torch.empty(0, dtype=torch.float32))
                if denoiser is not None:
                    found[f"denoiser {prior.denoiser_name}"] = fingerprint(denoiser)
            for kind, loader in loaders.items():
                own = getattr(stage, kind, None)
                if own == OWN and isinstance(prior, LatentPrior):
                    own = prior.encoder_name
                if isinstance(own, nn.Module):
                    found[f"{kind} of {method}"] = fingerprint(own)
                elif own is not None:
                    found[f"{kind} {own}"] = fingerprint(loader(own))
    return found


def nested(stages: Sequence[Stage]) -> Iterator[Stage]:
    """Yield stages, and the stages inside them."""
    for stage in stages:
        yield stage
        yield from nested(getattr(stage, "stages", ()))

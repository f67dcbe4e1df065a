"""Training of an encoder's certainty, by searches that are pulled towards its estimates more and less."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from inverso._checks import check_count, check_non_negative, check_positive, check_seed
from inverso._random import step_generator
from inverso.errors import InversoError, WorseThanInputWarning
from inverso.images.folders import PhotoFolder
from inverso.metrics import psnr
from inverso.priors import LatentPrior
from inverso.priors import load as load_prior
from inverso.priors.encoder import LatentEncoder, load, save_encoder
from inverso.solver import frozen_copy, solve
from inverso.stages import CSGM, BackProject
from inverso.stages._guess import misfit, what_is_left
from inverso.training._devices import Devices, inner
from inverso.training._measurements import KINDS, Measured, measure_batch
from inverso.training.base import Recipe, Training
from inverso.training.loop import BEST

_MEASURING, _VALIDATION = 2, 3
_PULLS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The factors that are tried; between them the quality is interpolated."""


@dataclass(frozen=True)
class CertaintyRecipe(Recipe[PhotoFolder, LatentEncoder]):
    """How sure an encoder is of its estimates: the factor of the penalty for leaving them, from the measurement.

    `CSGM(encoder=...)` searches near the encoder's estimate. Where the measurement decides, a search should be free to
    leave it; where it says little, as inside of a box, a free search ends in a wrong image that agrees with the rest.
    A step measures a batch of photos in many ways and searches for each with five factors, from 0.01 to 100; the loss
    is the mean PSNR of the back-projected results, interpolated between the factors at the one that the encoder's last
    layer computes. That layer alone is trained. The photos should be others than those the encoder was trained on, of
    which it is surer than of a new one.

    Args:
        encoder: The encoder, or its name or file.
        prior: The prior of the encoder, or its name or file.
        batch: Photos per step, divided among the kinds of measurement.
        search: Steps of a search.
        lr: Step size of Adam.
        noise: Largest standard deviation of the noise, for half of the measurements.
        held_out: Number of held-out photos.
        seed: Seed of batches and measurements.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.

    Example:
        >>> from inverso.training import CertaintyRecipe
        >>> CertaintyRecipe().batch
        40
    """

    kind: ClassVar[str] = "certainty"
    makes: ClassVar[str] = "how sure an encoder is of its estimates"
    usual_steps: ClassVar[int] = 100

    encoder: str | LatentEncoder = "faces-64"
    prior: str | LatentPrior = "faces-64"
    batch: int = 40
    search: int = 20
    lr: float = 0.01
    noise: float = 20 / 255
    held_out: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.search, name="search")
        for name in ("batch", "held_out"):
            check_count(getattr(self, name), name=name, minimum=len(KINDS))
        check_positive(self.lr, name="lr")
        check_non_negative(self.noise, name="noise")
        check_seed(self.seed)

    def load_prior(self) -> LatentPrior:
        """Load the prior."""
        return load_prior(self.prior, kind=LatentPrior) if isinstance(self.prior, str) else self.prior

    def read(self, data: str | Path, *, progress: bool) -> PhotoFolder:
        """Read every picture below the folder, at the size of the prior's images."""
        return PhotoFolder.read(data, size=self.load_prior().image_shape[-1], progress=progress)

    def training(self, data: PhotoFolder, devices: Devices) -> _CertaintyTraining:
        """Take the encoder, with a certainty of 1 if it has none yet.

        Raises:
            InversoError: The encoder belongs to another prior.
        """
        return _CertaintyTraining(data, self, devices)

    def load(self, folder: Path) -> LatentEncoder:
        """Load the best encoder."""
        return load(folder / BEST)


@dataclass(frozen=True)
class _Pulled(CSGM):
    """A search whose image k is pulled towards the estimate with a factor of its own."""

    factors: tuple[float, ...] = ()

    def _pull(self, certainty: Tensor) -> Tensor:
        return certainty.new_tensor(self.factors)


class _CertaintyTraining(Training):
    """The last layer of an encoder, and its training step."""

    def __init__(self, photos: PhotoFolder, recipe: CertaintyRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = photos.split(min(recipe.held_out, max(len(KINDS), len(photos) // 10)))
        here = torch.empty(0, device=devices.device)
        self.prior = cast("LatentPrior", frozen_copy(recipe.load_prior(), here))
        known = load(recipe.encoder) if isinstance(recipe.encoder, str) else recipe.encoder
        reason = misfit(known.to(here), self.prior, here)
        if reason is not None:
            raise InversoError(reason)
        encoder = known.with_certainty().requires_grad_(requires_grad=False)
        encoder.pull.requires_grad_()
        optimizer = torch.optim.Adam(encoder.pull.parameters(), lr=recipe.lr)
        self.encoder, self.optimizer = self.add("encoder", encoder, optimizer, optimizer_name="optimizer")

    def step(self, step: int) -> dict[str, float]:
        """Search with every factor for one batch, and move the certainty towards the better ones."""
        recipe = self.recipe
        x = self.photos.batch(step, size=recipe.batch, seed=self.seed).to(self.devices.device)
        parts = measure_batch(x, noise=recipe.noise, generator=self.random(step, _MEASURING))
        curves = torch.cat([self._curves(part, x[part.rows]) for part in parts])
        certainty = self._certainty(parts)
        quality = _between(curves, certainty).mean()
        self.optimizer.zero_grad()
        self.devices.backward(-quality)
        self.optimizer.step()
        own, plain = quality.detach(), curves[:, _PULLS.index(1.0)].mean()
        return {
            "psnr": float(own),
            "gain": float(own - plain),
            "certainty": float(certainty.detach().log().mean().exp()),
        }

    def _certainty(self, parts: list[Measured]) -> Tensor:
        seen = torch.cat([what_is_left(part.y, part.A, self.prior.image_shape) for part in parts])
        return cast("LatentEncoder", inner(self.encoder)).estimate(seen)[1]

    def _curves(self, part: Measured, x: Tensor) -> Tensor:
        """Return the PSNR of every photo with every factor, `(n, factors)`."""
        found = []
        for factor in _PULLS:
            search = _Pulled(
                steps=self.recipe.search,
                restarts=1,
                encoder=cast("LatentEncoder", inner(self.encoder)),
                factors=(factor,) * len(x),
            )
            with warnings.catch_warnings():
                # Searches with the wrong factor may end in anything.
                warnings.simplefilter("ignore", WorseThanInputWarning)
                answer = solve(part.y, part.A, self.prior, [search, BackProject()], noise=part.noise, progress=False)
            found.append(psnr(answer.image, x))
        return torch.stack(found, dim=1)

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:  # noqa: ARG002 - it draws nothing
        """Measure held-out photos, in all and the gain over a certainty of 1 by kind of measurement."""
        photos = (self.held_out.photos.float() / 255).to(self.devices.device)
        parts = measure_batch(photos, noise=0.0, generator=step_generator(0, 0, stream=_VALIDATION))
        curves = [self._curves(part, photos[part.rows]) for part in parts]
        with torch.no_grad():
            certainties = self._certainty(parts).split([len(curve) for curve in curves])
        quality = [_between(curve, sure) for curve, sure in zip(curves, certainties, strict=True)]
        gains = {
            kind: float((own - curve[:, _PULLS.index(1.0)]).mean())
            for kind, own, curve in zip(KINDS, quality, curves, strict=True)
        }
        return {"score": float(torch.cat(quality).mean()), **gains}

    def export(self, path: Path) -> None:
        """Write the encoder."""
        save_encoder(cast("LatentEncoder", inner(self.encoder)), path)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state.

        Raises:
            InversoError: The state belongs to another encoder.
        """
        own = cast("LatentEncoder", inner(self.encoder)).thumbnail
        if not torch.equal(state["encoder"]["thumbnail"].to(own), own):
            msg = "the run was begun with another encoder: resume with that one"
            raise InversoError(msg)
        super().load_state_dict(state)


def _between(curves: Tensor, factors: Tensor) -> Tensor:
    """Interpolate curves `(n, factors)` linearly in the logarithm, at one factor each."""
    place = (factors.log() - math.log(_PULLS[0])) / math.log(_PULLS[1] / _PULLS[0])
    below = place.detach().long().clamp(0, len(_PULLS) - 2)
    left, right = (curves.gather(1, (below + k)[:, None])[:, 0] for k in (0, 1))
    return left + (place - below) * (right - left)

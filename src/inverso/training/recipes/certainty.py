"""Training of an encoder's certainty, by searches that are pulled towards its estimates more and less."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from inverso._checks import check_count, check_non_negative, check_seed
from inverso.errors import InversoError, WorseThanInputWarning
from inverso.images.folders import PhotoFolder
from inverso.metrics import psnr
from inverso.priors import LatentPrior
from inverso.priors import load as load_prior
from inverso.priors.encoder import LatentEncoder, load, save_encoder
from inverso.solver import frozen_copy, solve
from inverso.stages import CSGM, BackProject
from inverso.stages._guess import misfit, what_is_left
from inverso.training._devices import Devices
from inverso.training._measurements import KINDS, MEASURING, Measured, measure_batch, measure_held_out
from inverso.training.base import Recipe, Run, Training
from inverso.training.loop import BEST

_PULLS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The factors that are tried; between them the quality is interpolated."""
_FIT_STEPS, _FIT_LR = 300, 0.02


@dataclass(frozen=True)
class CertaintyRecipe(Recipe[PhotoFolder, LatentEncoder]):
    """How sure an encoder is of its estimates: the factor of the penalty for leaving them, from the measurement.

    `CSGM(encoder=...)` searches near the encoder's estimate. Where the measurement decides, a search should be free to
    leave it; where it says little, as inside of a box, a free search ends in a wrong image that agrees with the rest.
    A step measures a batch of photos in many ways and searches for each with five factors, from 0.01 to 100. The layer
    of the certainty is then fitted to all searches so far: it maximizes the mean PSNR of the back-projected results,
    interpolated between the factors at the one that the layer computes, less `ridge` times its squared weights for
    features of unit variance. The photos should be others than those the encoder was trained on, of which it is surer
    than of a new one. It is trained by one process.

    Args:
        encoder: The encoder, or its name or file.
        prior: The prior of the encoder, or its name or file.
        batch: Photos per step, divided among the kinds of measurement.
        search: Steps of a search.
        ridge: Weight of the layer's squared weights, in dB.
        noise: Largest standard deviation of the noise, for half of the measurements.
        held_out: Number of held-out photos, at most a tenth of all, but one per kind of measurement at least.
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
    usual_steps: ClassVar[int] = 40

    encoder: str | LatentEncoder = "faces-64"
    prior: str | LatentPrior = "faces-64"
    batch: int = 40
    search: int = 20
    ridge: float = 0.05
    noise: float = 20 / 255
    held_out: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.search, name="search")
        for name in ("batch", "held_out"):
            check_count(getattr(self, name), name=name, minimum=len(KINDS))
        for name in ("ridge", "noise"):
            check_non_negative(getattr(self, name), name=name)
        check_seed(self.seed)

    def load_prior(self) -> LatentPrior:
        """Load the prior."""
        return load_prior(self.prior, kind=LatentPrior) if isinstance(self.prior, str) else self.prior

    def read(self, data: str | Path, *, progress: bool) -> PhotoFolder:
        """Read every picture below the folder, at the size of the prior's images."""
        return PhotoFolder.read(data, size=self.load_prior().image_shape[-1], progress=progress)

    def pace(self, run: Run, data: PhotoFolder) -> Run:
        """Keep, log and evaluate more often than other trainings, whose steps are shorter."""
        run = super().pace(run, data)
        return replace(
            run,
            checkpoint_every=min(run.checkpoint_every, 10),
            log_every=min(run.log_every, 1),
            evaluate_every=min(run.evaluate_every, 20),
        )

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
    """A search that is pulled towards the estimate with a given factor."""

    factor: float = 1.0

    def _pull(self, certainty: Tensor) -> Tensor:
        return torch.full_like(certainty, self.factor)


@dataclass
class _Searches:
    """The encoder's last features of all measurements so far, `(m, C)`, and PSNR by factor, `(m, factors)`."""

    features: Tensor
    curves: Tensor

    def add(self, features: Tensor, curves: Tensor) -> None:
        self.features = torch.cat([self.features, features])
        self.curves = torch.cat([self.curves, curves])

    def state_dict(self) -> dict[str, Any]:
        return {"features": self.features, "curves": self.curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.features, self.curves = state_dict["features"], state_dict["curves"]


class _CertaintyTraining(Training):
    """The last layer of an encoder, and its training step."""

    def __init__(self, photos: PhotoFolder, recipe: CertaintyRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out, batch=recipe.batch, least=len(KINDS))
        here = torch.empty(0, device=devices.device, dtype=torch.float32)
        self.prior = cast("LatentPrior", frozen_copy(recipe.load_prior(), here))
        known = load(recipe.encoder) if isinstance(recipe.encoder, str) else recipe.encoder
        self.encoder = known.with_certainty().to(here).requires_grad_(requires_grad=False).eval()
        reason = misfit(self.encoder, self.prior, here)
        if reason is not None:
            raise InversoError(reason)
        self.searches = _Searches(here.new_empty(0, self.encoder.pull.in_features), here.new_empty(0, len(_PULLS)))
        self.parts |= {"encoder": self.encoder, "searches": self.searches}

    def step(self, step: int) -> dict[str, float]:
        """Search with every factor for one batch, and fit the layer to all searches so far."""
        x = self.photos.batch(step, size=self.recipe.batch, seed=self.seed).to(self.devices.device)
        parts = measure_batch(x, noise=self.recipe.noise, generator=self.random(step, MEASURING))
        self.searches.add(
            *(torch.cat(values) for values in zip(*(self._searched(part, x) for part in parts), strict=True))
        )
        quality = _fit(self.encoder.pull, self.searches, ridge=self.recipe.ridge)
        plain = self.searches.curves[:, _PULLS.index(1.0)].mean()
        return {"psnr": quality, "gain": quality - float(plain)}

    def _searched(self, part: Measured, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features `(n, C)` of a part of a batch, and the PSNR with every factor `(n, factors)`."""
        with torch.no_grad():
            features = self.encoder.features(what_is_left(part.y, part.A, self.prior.image_shape)).mean(dim=(2, 3))
        curves = []
        for factor in _PULLS:
            search = _Pulled(steps=self.recipe.search, restarts=1, encoder=self.encoder, factor=factor)
            with warnings.catch_warnings():
                # Searches with the wrong factor may end in anything.
                warnings.simplefilter("ignore", WorseThanInputWarning)
                answer = solve(part.y, part.A, self.prior, [search, BackProject()], noise=part.noise, progress=False)
            curves.append(psnr(answer.image, x[part.rows]))
        return features, torch.stack(curves, dim=1)

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:  # noqa: ARG002 - it draws nothing
        """Measure held-out photos: PSNR, and by kind of measurement the gain over a certainty of 1."""
        photos, parts = measure_held_out(self.held_out, self.devices.device)
        quality, gains = [], {}
        for kind, part in zip(KINDS, parts, strict=True):
            features, curves = self._searched(part, photos)
            with torch.no_grad():
                own = _between(curves, self.encoder.certainty(features))
            quality.append(own)
            gains[kind] = float((own - curves[:, _PULLS.index(1.0)]).mean())
        return {"score": float(torch.cat(quality).mean()), **gains}

    def export(self, path: Path) -> None:
        """Write the encoder."""
        save_encoder(self.encoder, path)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state.

        Raises:
            InversoError: The state belongs to another encoder.
        """
        if not torch.equal(state["encoder"]["thumbnail"].to(self.encoder.thumbnail), self.encoder.thumbnail):
            msg = "the run was begun with another encoder: resume with that one"
            raise InversoError(msg)
        super().load_state_dict(state)


def _fit(layer: nn.Linear, searches: _Searches, *, ridge: float) -> float:
    """Fit the layer from nothing, and return the mean PSNR at its certainties."""
    # For features of unit variance, so that the ridge treats them alike.
    std, mean = torch.std_mean(searches.features, dim=0, correction=0)
    std = std.clamp_min(1e-6)
    features = (searches.features - mean) / std
    weight = torch.zeros_like(mean).requires_grad_()
    bias = mean.new_zeros(()).requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=_FIT_LR)
    with torch.enable_grad():
        for _ in range(_FIT_STEPS):
            optimizer.zero_grad()
            quality = _between(searches.curves, (features @ weight + bias).exp()).mean()
            (ridge * weight.square().sum() - quality).backward()
            optimizer.step()
    with torch.no_grad():
        layer.weight.copy_((weight / std)[None])
        layer.bias.copy_((bias - (weight / std) @ mean)[None])
    return float(quality.detach())


def _between(curves: Tensor, factors: Tensor) -> Tensor:
    """Interpolate curves `(n, factors)` linearly in the logarithm, at one factor each; outside they are constant."""
    place = (factors.log() - math.log(_PULLS[0])) / math.log(_PULLS[1] / _PULLS[0])
    place = place.clamp(0, len(_PULLS) - 1)
    below = place.detach().long().clamp(max=len(_PULLS) - 2)
    left, right = (curves.gather(1, (below + k)[:, None])[:, 0] for k in (0, 1))
    return left + (place - below) * (right - left)

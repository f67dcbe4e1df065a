"""The networks of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from inverso._types import ImageShape
from inverso.operators import LinearOperator
from inverso.priors import load as load_prior
from inverso.priors._zoo import own_denoiser
from inverso.priors.base import AnyPrior
from inverso.problem import Need
from inverso.restorers import load as load_restorer
from inverso.solver import split_prior
from inverso.stages import Problem


@dataclass(frozen=True)
class Networks:
    """The networks of a job.

    Args:
        prior: Prior as for `solve`.
        restorer: Restorer as for `solve`.
    """

    prior: AnyPrior | None
    restorer: nn.Module | None

    @classmethod
    def load(cls, prior: str | tuple[str, str] | None, restorer: str | None) -> Networks:
        """Load networks by their names."""
        return cls(_prior(prior), None if restorer is None else load_restorer(restorer))

    def by_name(self) -> dict[str, nn.Module]:
        """Return the networks by their role; the denoiser may be the one that the prior names."""
        latent, denoiser = split_prior(self.prior)
        if denoiser is None and latent is not None:
            denoiser = own_denoiser(latent, torch.empty(0))
        parts = {"prior": cast("nn.Module | None", latent), "denoiser": denoiser, "restorer": self.restorer}
        return {name: part for name, part in parts.items() if part is not None}

    def to(self, device: str) -> Networks:
        """Move them to a device, once for all photos."""
        # The denoiser that a prior names is shared by all that ask for it, each in its place, and stays where it is.
        for network in (*split_prior(self.prior), self.restorer):
            if network is not None:
                network.to(device)
        return self

    @property
    def has(self) -> frozenset[Need]:
        """The parts of a problem that they provide."""
        return self.problem(torch.empty(0), None).has

    def problem(self, y: Tensor, A: LinearOperator | None) -> Problem:
        """Return the problem of a measurement with these networks."""
        latent, denoiser = split_prior(self.prior)
        return Problem(y, A, latent, denoiser, self.restorer)

    @property
    def image_shape(self) -> ImageShape | None:
        """Shape of the images, if the prior has one."""
        return next((shape for part in split_prior(self.prior) if (shape := _shape(part)) is not None), None)


def _prior(names: str | tuple[str, str] | None) -> AnyPrior | None:
    if names is None or isinstance(names, str):
        return None if names is None else load_prior(names)
    first, second = names
    return cast("AnyPrior", (load_prior(first), load_prior(second)))


def _shape(prior: object) -> ImageShape | None:
    return getattr(prior, "image_shape", None)

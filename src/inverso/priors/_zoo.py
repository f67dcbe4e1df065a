"""Priors by name: those that come with inverso, published checkpoints, and your own files."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from inverso._networks.cards import Card
from inverso._networks.zoo import Zoo
from inverso.priors._cards import CARDS
from inverso.priors._formats.readers import read_prior
from inverso.priors.base import Denoiser, LatentPrior
from inverso.priors.denoisers._cards import DENOISER_CARDS


class _PriorZoo(Zoo[LatentPrior | Denoiser]):
    def load_card(self, card: Card, *, progress: bool = True) -> LatentPrior | Denoiser:
        network = super().load_card(card, progress=progress)
        if isinstance(network, LatentPrior):
            network.encoder_name, network.denoiser_name = card.encoder, card.denoiser
        return network


ZOO = _PriorZoo("prior", "inverso.priors", (*CARDS, *DENOISER_CARDS), read_prior)


def own_denoiser(prior: LatentPrior, like: Tensor) -> Denoiser | None:
    """Load the denoiser that a generative prior names, on the device and in the precision of a tensor.

    Raises:
        ValueError: The named network does not exist, or is not a denoiser.
    """
    if prior.denoiser_name is None:
        return None
    return _denoiser(prior.denoiser_name, like.device, like.dtype.to_real() if like.is_complex() else like.dtype)


@lru_cache(maxsize=2)
def _denoiser(name: str, device: torch.device, dtype: torch.dtype) -> Denoiser:
    return ZOO.load(name, kind=Denoiser, progress=False).requires_grad_(requires_grad=False).to(device, dtype)

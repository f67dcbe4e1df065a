"""Checks at the door: bad input is refused here, in the user's words."""

from __future__ import annotations

import torch


def as_generator(seed: int | torch.Generator) -> torch.Generator:
    """Turn a seed into a CPU generator; hand a generator back as it is."""
    if isinstance(seed, torch.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int):
        msg = f"seed must be an integer or a torch.Generator, got {type(seed).__name__}"
        raise TypeError(msg)
    return torch.Generator().manual_seed(seed)

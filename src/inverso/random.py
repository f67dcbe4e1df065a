"""Random streams: a generator of its own for every step and purpose."""

from __future__ import annotations

import torch


def step_generator(seed: int, step: int, *, stream: int) -> torch.Generator:
    """Give the random generator of one step and purpose.

    With a generator per step there is no random state to save: whoever resumes at step k draws what an unbroken run
    draws.
    """
    return torch.Generator().manual_seed(((seed * 1_000_003 + stream) * 1_000_000_007 + step) % 2**63)

"""Randomness from seeds: streams for every step and purpose, and a global state that is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def step_generator(seed: int, step: int, *, stream: int) -> torch.Generator:
    """Give the random generator of one step and purpose.

    With a generator per step there is no random state to save: whoever resumes at step k draws what an unbroken run
    draws.
    """
    return torch.Generator().manual_seed(((seed * 1_000_003 + stream) * 1_000_000_007 + step) % 2**63)


@contextmanager
def fork_rng(seed: int | None = None, *, device: torch.device | None = None) -> Iterator[None]:
    """Let what is drawn inside from the global random state draw from a seed, and put the state back afterwards.

    Layers draw their first weights from the global state, and so do dropout and noise layers.

    Args:
        seed: Where the draws begin; None: where the global state stands.
        device: A GPU whose state is treated likewise; that of the CPU always is.

    Example:
        >>> import torch
        >>> before = torch.get_rng_state()
        >>> with fork_rng(0):
        ...     layer = torch.nn.Linear(2, 2)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            for used in devices:
                with torch.cuda.device(used):
                    torch.cuda.manual_seed(seed)
        yield

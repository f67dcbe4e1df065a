"""Randomness from seeds: streams for every step and purpose, and a global state that is left alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def step_generator(seed: int, step: int, *, stream: int) -> torch.Generator:
    """Give the random generator of one step and purpose.

    With a generator per step there is no random state to save: whoever resumes at step k draws what an unbroken run
    draws.
    """
    return torch.Generator().manual_seed(((seed * 1_000_003 + stream) * 1_000_000_007 + step) % 2**63)


def stream(seed: int, purpose: str, *, about: bytes = b"") -> torch.Generator:
    """Give a generator for one purpose: under one seed, different purposes draw different numbers.

    Args:
        seed: What the user gave.
        purpose: A name such as "noise".
        about: What the numbers are drawn for, where other things are to get others.

    Example:
        >>> import torch
        >>> first, again, other = (torch.rand((), generator=stream(0, name)) for name in ("noise", "noise", "latents"))
        >>> bool(first == again), bool(first == other)
        (True, False)
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/".encode() + about, digest_size=8).digest()
    # torch looks at the lower 32 bits, and takes 63.
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


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

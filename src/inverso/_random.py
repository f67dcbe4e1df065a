"""Random generators from seeds, one per step and purpose, without changing torch's global random state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def step_generator(seed: int, step: int, *, stream: int) -> torch.Generator:
    """Return the random generator of one step and purpose.

    As every step has its own generator, no random state has to be saved: a run resumed at step k draws the same numbers
    as an uninterrupted one.
    """
    return torch.Generator().manual_seed(((seed * 1_000_003 + stream) * 1_000_000_007 + step) % 2**63)


def stream(seed: int, purpose: str, *, about: bytes = b"") -> torch.Generator:
    """Return a generator for one purpose: different purposes draw different numbers from the same seed.

    Args:
        seed: The user's seed.
        purpose: A name such as "noise".
        about: Further bytes that the stream depends on, such as those of the images that noise is added to.

    Example:
        >>> import torch
        >>> first, again, other = (torch.rand((), generator=stream(0, name)) for name in ("noise", "noise", "latents"))
        >>> bool(first == again), bool(first == other)
        (True, False)
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/".encode() + about, digest_size=8).digest()
    # torch looks at the lower 32 bits, and takes 63.
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def uniform(size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw numbers from [0, 1) on the generator's device: float32, so that a seed means the same under any default.

    Example:
        >>> import torch
        >>> from inverso._random import uniform
        >>> uniform((2, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3])
    """
    return torch.rand(tuple(size), generator=generator, device=generator.device, dtype=torch.float32)


def normal(size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw normal numbers on the generator's device: float32, so that a seed means the same under any default."""
    return torch.randn(tuple(size), generator=generator, device=generator.device, dtype=torch.float32)


@contextmanager
def fork_rng(seed: int | None = None, *, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global random state inside a `with` block and restore it afterwards.

    For code that draws from the global state, such as weight initialization, dropout and noise layers.

    Args:
        seed: Seed inside the block; None keeps the current state.
        device: A GPU whose state is also seeded and restored; the CPU's always is.

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

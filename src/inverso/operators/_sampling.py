"""Drawing sampling patterns: exact counts, from a seed, with a weight per place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from inverso._checks import as_seed, check_seed

Seeds: TypeAlias = "int | tuple[int, ...]"
"""One seed for a pattern that all images share, or a tuple with one seed per image of the batch."""

PATTERN_STREAM = 0x2545F491
"""Keeps patterns apart from noise of the same seed; torch reads the lower 32 bits of a seed only."""


def as_seeds(seed: int | torch.Generator | Sequence[int]) -> Seeds:
    """Check a seed that an operator keeps: one, or one per image of the batch.

    Raises:
        TypeError: It is neither an integer, nor a generator, nor a sequence of integers.
        ValueError: The sequence is empty.
    """
    if isinstance(seed, Sequence) and not isinstance(seed, str):
        if not seed:
            msg = "a sequence of seeds must hold one per image of the batch, got an empty one"
            raise ValueError(msg)
        return tuple(check_seed(one) for one in seed)
    return as_seed(seed)


def draw_pattern(log_weight: Tensor, count: int, seed: int) -> Tensor:
    """Choose exactly `count` places without replacement, likelier where the weight is larger (Gumbel top-k).

    Args:
        log_weight: Logarithm of each place's weight, any shape; -inf is chosen last.
        count: Places to choose.
        seed: Decides which.

    Returns:
        A boolean tensor shaped as the weights.
    """
    keys = _random_keys(log_weight, seed)
    # Selecting is faster than sorting; only where keys are equal does it not tell which of them are chosen.
    chosen = keys >= keys.kthvalue(min(len(keys), len(keys) - count + 1)).values
    if int(chosen.sum()) != count:
        chosen = torch.zeros(log_weight.numel(), dtype=torch.bool, device="cpu")
        chosen[keys.topk(count).indices] = True
    return chosen.reshape(log_weight.shape)


def random_order(log_weight: Tensor, seed: int) -> Tensor:
    """Order all places at random, as if drawn one by one: those of larger weight tend to come first."""
    return _random_keys(log_weight, seed).argsort(descending=True, stable=True)


def gumbel_keys(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """Add Gumbel noise to logarithms of weights: the places of the largest sums are a draw without replacement."""
    uniform = torch.rand(log_weight.shape, dtype=torch.float64, generator=generator, device="cpu")
    return log_weight - (-uniform.clamp_min(torch.finfo(torch.float64).tiny).log()).log()


def _random_keys(log_weight: Tensor, seed: int) -> Tensor:
    return gumbel_keys(log_weight, pattern_generator(seed)).flatten()


def pattern_generator(seed: int) -> torch.Generator:
    """Make the generator of what an operator draws.

    Noise and fills often have the same seed. Were they drawn from the same stream, noise would be larger on the very
    entries that a mask keeps, since it keeps those where the numbers are large.
    """
    return torch.Generator().manual_seed(seed ^ PATTERN_STREAM)


def per_image(patterns: list[Tensor], seeds: Seeds) -> Tensor:
    """Lay patterns `(H, W)` out for broadcasting: `(1, H, W)` if shared, `(B, 1, H, W)` if there is one per image."""
    return torch.stack(patterns)[:, None] if isinstance(seeds, tuple) else patterns[0][None]


def each_seed(seeds: Seeds) -> tuple[int, ...]:
    """List the seeds to draw from."""
    return seeds if isinstance(seeds, tuple) else (seeds,)


def seed_of(seed: int | torch.Generator | Sequence[int], index: int) -> Seeds:
    """Return the seed of one image of a batch: its own one if there is one per image."""
    seeds = as_seeds(seed)
    return seeds[index] if isinstance(seeds, tuple) else seeds

"""Random sampling patterns with an exact number of places, drawn from a seed with a weight per place."""

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
    """Check the seed of an operator: one for all images, or a sequence with one per image of the batch.

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
    """Choose exactly `count` places without replacement, with probabilities that grow with the weights (Gumbel top-k).

    Args:
        log_weight: Logarithm of each place's weight, any shape; places of -inf are chosen last.
        count: Number of places to choose.
        seed: Seed of the draw.

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


def random_order(log_weight: Tensor, seed: int, *, among: Tensor, count: int) -> Tensor:
    """Return the first places in a random order, as if drawn one by one without replacement with the given weights.

    Args:
        log_weight: Logarithm of each place's weight, any shape.
        seed: Seed of the draw.
        among: True at the places that are drawn from, shaped as the weights.
        count: Number of places that are needed; hardly more are ordered, which takes long for millions.
    """
    places = among.flatten().nonzero().flatten()
    keys = _random_keys(log_weight, seed)[places]
    if count < len(keys):
        first = (keys >= keys.kthvalue(len(keys) - count + 1).values).nonzero().flatten()
        places, keys = places[first], keys[first]
    return places[keys.argsort(descending=True, stable=True)]


def gumbel_keys(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """Add Gumbel noise to logarithms of weights: the k largest sums are k draws without replacement."""
    uniform = torch.rand(log_weight.shape, dtype=torch.float64, generator=generator, device="cpu")
    return log_weight - (-uniform.clamp_min(torch.finfo(torch.float64).tiny).log()).log()


def _random_keys(log_weight: Tensor, seed: int) -> Tensor:
    return gumbel_keys(log_weight, pattern_generator(seed)).flatten()


def pattern_generator(seed: int) -> torch.Generator:
    """Return the random generator for an operator's pattern.

    Its stream differs from that of noise and fills, which often have the same seed. From one stream, the noise would be
    larger on the entries that a mask keeps, since a mask keeps the places of large random numbers.
    """
    return torch.Generator().manual_seed(seed ^ PATTERN_STREAM)


def per_image(patterns: list[Tensor], seeds: Seeds) -> Tensor:
    """Reshape patterns for broadcasting: `(1, H, W)` if shared, `(B, 1, H, W)` if there is one per image."""
    return torch.stack(patterns)[:, None] if isinstance(seeds, tuple) else patterns[0][None]


def each_seed(seeds: Seeds) -> tuple[int, ...]:
    """Return the list of seeds to draw from."""
    return seeds if isinstance(seeds, tuple) else (seeds,)


def seed_of(seed: int | torch.Generator | Sequence[int], index: int) -> Seeds:
    """Return the seed of one image of a batch: its own if there is one per image, else the shared one."""
    seeds = as_seeds(seed)
    return seeds[index] if isinstance(seeds, tuple) else seeds

"""Aliases for types that recur in signatures."""

from __future__ import annotations

from typing import TypeAlias

import torch

ImageShape: TypeAlias = tuple[int, int, int]
"""Channels, height and width of one image."""

Seed: TypeAlias = "int | torch.Generator"
"""Where randomness comes from: an integer, or a generator that is drawn from and moves on."""

"""Masks that keep what is hardest to guess: the edges of an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inverso.checks import check_finite, check_fraction, check_image
from inverso.operators.diagonal import BATCHED, Mask
from inverso.operators.fills import Fill
from inverso.operators.sampling import as_seeds, draw_pattern


class EdgeMask(Mask):
    """Keep points that lie mostly on edges, where an image is hardest to guess. Made by `EdgeMask.from_image`."""

    @classmethod
    def from_image(
        cls, x: Tensor, keep: float, *, fill: Fill | None = None, seed: int | Sequence[int] | torch.Generator = 0
    ) -> EdgeMask:
        """Draw points with a probability that grows with the strength of the Sobel gradient.

        Args:
            x: Images `(B, C, H, W)` or one image `(C, H, W)`; each gets its own mask.
            keep: Share kept, in (0, 1].
            fill: What a recorded measurement shows in the missing places.
            seed: One for all images, or one per image.

        Raises:
            ValueError: keep lies outside (0, 1], x is no batch of finite images, or seeds and images differ in number.

        Example:
            >>> import torch
            >>> from inverso.operators import EdgeMask
            >>> x = torch.zeros(1, 1, 8, 8)
            >>> x[..., 4:] = 1
            >>> A = EdgeMask.from_image(x, 0.25)
            >>> A.known_fraction((1, 8, 8))
            0.25
        """
        check_fraction(keep, name="keep")
        images = check_image(x)
        check_finite(images, name="x")
        images = images[None] if images.ndim == BATCHED - 1 else images
        if images.ndim != BATCHED:
            msg = f"x must have shape (C, H, W) or (B, C, H, W), got {tuple(x.shape)}"
            raise ValueError(msg)
        seeds = as_seeds(seed)
        each = seeds if isinstance(seeds, tuple) else (seeds,) * len(images)
        if len(each) != len(images):
            msg = f"there must be one seed per image, got {len(each)} seeds for {len(images)} images"
            raise ValueError(msg)
        count = max(1, round(keep * images.shape[-2] * images.shape[-1]))
        strength = _edge_strength(images)
        masks = [draw_pattern(one.log(), count, seed) for one, seed in zip(strength, each, strict=True)]
        stacked = torch.stack(masks)[:, None]
        return cls(stacked[0] if len(stacked) == 1 else stacked, fill=fill)


def _edge_strength(images: Tensor) -> Tensor:
    """Compute the length of the Sobel gradient of the gray image, with a floor so that flat places keep a chance."""
    gray = torch.nn.functional.pad(
        images.detach().to("cpu", torch.float64).mean(dim=1, keepdim=True), (1,) * 4, mode="replicate"
    )
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64, device="cpu") / 8
    strength = torch.nn.functional.conv2d(gray, torch.stack([sobel, sobel.T])[:, None]).square().sum(dim=1).sqrt()
    floor = 0.02 * strength.mean(dim=(1, 2), keepdim=True)
    return strength + floor.clamp_min(1e-6)

"""Masks that keep pixels mostly on the edges of an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inverso._checks import check_finite, check_fraction, check_image
from inverso.operators._edges import Detector, edge_strength
from inverso.operators._sampling import as_seeds, draw_pattern
from inverso.operators.diagonal import BATCHED, Mask
from inverso.operators.fills import Fill


class EdgeMask(Mask):
    """Keep random pixels that lie mostly on edges. Made by `EdgeMask.from_image`."""

    @classmethod
    def from_image(
        cls,
        x: Tensor,
        keep: float,
        *,
        detector: Detector = "sobel",
        fill: Fill | None = None,
        seed: int | Sequence[int] | torch.Generator = 0,
    ) -> EdgeMask:
        """Draw pixels with probabilities that grow with the edge strength.

        Args:
            x: Images `(B, C, H, W)` or one image `(C, H, W)`; each gets its own mask.
            keep: Share of pixels to keep, in (0, 1].
            detector: Edge detector: `"sobel"` (the strength is the length of the gradient) or `"canny"` (all edges have
                the same strength).
            fill: What a recorded measurement shows in the missing places.
            seed: Seed of the mask: one for all images, or one per image.

        Raises:
            ValueError: keep lies outside (0, 1], x is not a batch of finite images, seeds and images differ in number,
                or the detector is unknown.

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
        strength = edge_strength(images, detector)
        masks = [draw_pattern(one.log(), count, seed) for one, seed in zip(strength, each, strict=True)]
        stacked = torch.stack(masks)[:, None]
        return cls(stacked[0] if len(stacked) == 1 else stacked, fill=fill)

"""Edge strength of images, used as a sampling density."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from inverso._checks import check_choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Detector = Literal["sobel", "canny"]

SOBEL_FLOOR = 0.02
CANNY_FLOOR = 0.02


def edge_strength(images: Tensor, detector: Detector = "sobel") -> Tensor:
    """Compute the edge strength at every pixel; flat places get a small positive value.

    Args:
        images: `(n, C, H, W)`; edges are those of the mean over channels.
        detector: `"sobel"`: the length of the Sobel gradient; or `"canny"`: 1 on the edges that Canny's detector finds
            and 0.02 elsewhere.

    Returns:
        `(n, H, W)`, positive, float64 on the CPU.

    Raises:
        ValueError: The detector is unknown.

    Example:
        >>> import torch
        >>> from inverso.operators._edges import edge_strength
        >>> step = torch.zeros(1, 1, 4, 8)
        >>> step[..., 4:] = 1
        >>> (edge_strength(step) > 0.1)[0, 0].int()
        tensor([0, 0, 0, 1, 1, 0, 0, 0], dtype=torch.int32)
    """
    check_choice(detector, get_args(Detector), name="the edge detector")
    gray = images.detach().to("cpu", torch.float64).mean(dim=1, keepdim=True)
    return _sobel(gray) if detector == "sobel" else torch.stack([_canny(one) for one in gray[:, 0]])


def _sobel(gray: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(gray, (1,) * 4, mode="replicate")
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64, device="cpu") / 8
    kernels = torch.stack([across, across.T])[:, None]
    strength = torch.nn.functional.conv2d(padded, kernels).square().sum(dim=1).sqrt()
    return strength + (SOBEL_FLOOR * strength.mean(dim=(1, 2), keepdim=True)).clamp_min(1e-6)


def _canny(gray: Tensor) -> Tensor:
    from skimage.feature import canny  # noqa: PLC0415

    detect: Callable[..., NDArray[np.bool_]] = canny
    edges = detect(gray.numpy(), sigma=1.0, low_threshold=0.02, high_threshold=0.1)
    return torch.from_numpy(edges).double().clamp_min(CANNY_FLOOR)

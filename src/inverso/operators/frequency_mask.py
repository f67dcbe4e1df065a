"""Sample the frequencies of a given mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso._warning import warn_caller
from inverso.operators._text import FILE, SWITCH, Text
from inverso.operators.diagonal import check_mask
from inverso.operators.fourier import FrequencySampling


def _recorded(file: str, image_shape: ImageShape | None) -> Tensor:
    """Read a mask of frequencies from a file; raise if the image has another size."""
    from inverso.images.marks import read_frequencies  # noqa: PLC0415 - `import inverso` stays light

    frequencies = read_frequencies(file)
    if image_shape is not None and tuple(frequencies.shape) != image_shape[1:]:
        (rows, columns), (_, height, width) = frequencies.shape, image_shape
        msg = f"{file} has {columns} x {rows} frequencies and the image {width} x {height} pixels: they must be as many"
        raise ValueError(msg)
    return frequencies


@dataclass(frozen=True, init=False, eq=False, repr=False)
class FrequencyMask(FrequencySampling):
    """Sample the frequencies where a given mask is one, such as a scanner's pattern: `y = M F x`.

    F is the orthonormal 2-D Fourier transform per channel, unshifted; y is complex, image-sized, zero off the mask. For
    a random mask see `FFTMask`. Masks with the zero frequency in the middle, as they are usually displayed, need
    `shifted=True`.

    Args:
        mask: Zeros and ones or booleans, one where a frequency is sampled: `(H, W)` or `(1, H, W)`.
        shifted: Whether the zero frequency of the mask is in its middle, at `(H // 2, W // 2)`; y is unshifted in any
            case.

    Raises:
        TypeError: The mask is not a tensor.
        ValueError: The mask is not binary, keeps nothing, or has another number of dimensions.

    Warns:
        UserWarning: The mask leaves out frequency 0, the mean of the image.

    Example:
        >>> import torch
        >>> from inverso.operators import FFTMask, FrequencyMask
        >>> drawn = FFTMask(0.3)
        >>> x = torch.rand(1, 3, 8, 8)
        >>> torch.equal(FrequencyMask(drawn.mask((3, 8, 8)))(x), drawn(x))
        True
    """

    _text: ClassVar[Text | None] = Text(
        "fft",
        "fft:mask.npy",
        "keep the frequencies that a mask marks",
        {"file": FILE, "shifted": SWITCH},
        from_file=_recorded,
        picture=False,
    )

    pattern: Tensor = field()

    def __init__(self, mask: Tensor, *, shifted: bool = False) -> None:
        pattern = check_mask(mask)
        if pattern.ndim > 3 or len(pattern) != 1:
            msg = f"a mask of frequencies must have shape (H, W) or (1, H, W), got {tuple(mask.shape)}"
            raise ValueError(msg)
        object.__setattr__(self, "pattern", torch.fft.ifftshift(pattern, dim=(-2, -1)) if shifted else pattern)
        if not bool(self.pattern[0, 0, 0]):
            msg = "the mask leaves out frequency 0, the mean of the image: how bright the answer is, nothing tells"
            height, width = pattern.shape[-2:]
            if not shifted and bool(pattern[0, height // 2, width // 2]):
                msg += "; if the zero frequency is in the mask's middle, it needs shifted=True"
            warn_caller(msg)

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Return the sampled frequencies, unshifted, `(1, H, W)`; raise if the image has another size."""
        if self.pattern.shape[-2:] != image_shape[1:]:
            msg = f"{self!r} does not fit images of shape {image_shape}"
            raise ValueError(msg)
        return self.pattern

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.pattern.shape))
        return f"{type(self).__name__}(mask=<{shape}, {100 * float(self.pattern.float().mean()):.1f} % sampled>)"

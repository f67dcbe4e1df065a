"""What a prior with style spaces offers to stages that search in them."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

Space: TypeAlias = Literal["z", "w", "w+", "w++"]
"""Where latents live: Gaussian, one style, one style per row, one style per row and filter."""


@runtime_checkable
class StylePrior(Protocol):
    """A prior whose images are made from styles: a few rows of vectors, each steering some of its layers.

    The spaces grow from w, the same vector in every row, over w+, a vector of its own for each row, to w++, a vector
    of its own for each row and each filter (output channel) of the layers there (Poirier-Ginter & Lalonde 2023,
    section 3.1).

    Example:
        >>> from inverso.priors import DCGAN, StyleGAN2, StylePrior
        >>> isinstance(StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8), StylePrior)
        True
        >>> isinstance(DCGAN(8, width=4), StylePrior)
        False
    """

    @property
    def num_ws(self) -> int:
        """Rows of styles."""

    @property
    def w_dim(self) -> int:
        """Length of one style vector."""

    @property
    def filters(self) -> int:
        """Style vectors per row in w++: the largest number of output channels of any layer."""

    @property
    def mean_w(self) -> Tensor:
        """The mean style, `(w_dim,)`: that of an average image."""

    def synthesize(self, styles: Tensor) -> Tensor:
        """Map styles `(n, num_ws, w_dim)` or `(n, num_ws, filters, w_dim)` to images `(n, C, H, W)`, not clamped."""

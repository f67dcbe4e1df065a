"""Detect cracks, scratches and dust of a print, by their shape or with a trained network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inverso._checks import check_fraction, check_positive
from inverso.images.photo import luminance
from inverso.repair._lettering import Sign, find_lettering
from inverso.restorers import DamageDetector

_LONG = 6.0
"""A defect's length over its thickness, from which it counts as a line."""
_SPECK = 0.004
_MOST = 0.15
_COARSEST = 512
"""Shorter side in pixels of the smallest photo in which damage is detected by halving."""
_COARSE = (0.6, 0.97)
"""Probabilities `likely` and `sure` from the second halving on."""


@dataclass(frozen=True)
class Defects:
    """Detected damage.

    Args:
        mask: `(1, 1, H, W)`, True where the photo is damaged.
        share: Share of damaged pixels.
        lines: Number of cracks and scratches.
        specks: Number of specks of dust.
        letters: Number of signs that were taken for writing and are not in the mask.
    """

    mask: Tensor
    share: float
    lines: int
    specks: int
    letters: int = 0

    def without(self, kept: Tensor | None) -> Defects:
        """Return the damage outside of what is to be kept, `(1, 1, H, W)`; the counts stay those of all."""
        if kept is None:
            return self
        mask = self.mask & ~kept
        return replace(self, mask=mask, share=float(mask.float().mean()))


def detect_defects(image: Tensor, detector: DamageDetector, *, likely: float = 0.4, sure: float = 0.9) -> Defects:
    """Detect damage with a trained network, in the photo and in halves of it.

    A scratch on a large scan is wider than those that the network knows, so that the photo is halved while its shorter
    side keeps 512 pixels, and what is detected at any size counts. Pixels of at least the probability `likely` are
    taken where they are connected with one of at least `sure`: a scratch is followed where it becomes faint, and what
    is faint everywhere is left, and so is what stands in a row as writing does.

    Args:
        image: `(1, C, H, W)` in [0, 1], in color or with one channel.
        detector: The network, for example from `inverso.restorers.load_detector`.
        likely: Probability from which a pixel may be damaged.
        sure: Probability from which it surely is.

    Example:
        >>> import torch
        >>> from inverso.repair._defects import detect_defects
        >>> from inverso.restorers import DamageDetector
        >>> detect_defects(torch.rand(1, 3, 20, 30), DamageDetector(widths=(8, 8, 8))).mask.shape
        torch.Size([1, 1, 20, 30])
    """
    from scipy import ndimage  # noqa: PLC0415
    from skimage.measure import label, regionprops  # noqa: PLC0415

    for name, share in (("likely", likely), ("sure", sure)):
        check_fraction(share, name=name)
    found = label(_detect(image, detector, likely=likely, sure=sure), connectivity=2)
    light = luminance(image)[0, 0].detach().cpu().numpy()
    regions = regionprops(found, light)
    signs = [Sign.of(region.bbox, region.extent, region.intensity_mean) for region in regions]
    written = {regions[k].label for k in find_lettering(signs, min(light.shape))}
    mask = (found > 0) & ~np.isin(found, list(written))
    regions = [region for region in regions if region.label not in written]
    lines = sum(region.axis_major_length > _LONG * max(region.axis_minor_length, 1) for region in regions)
    # What surrounds a crack is neither crack nor photo.
    mask = ndimage.binary_dilation(mask)
    specks = len(regions) - int(lines)
    return Defects(torch.from_numpy(mask)[None, None], float(mask.mean()), int(lines), specks, len(written))


def _detect(
    image: Tensor, detector: DamageDetector, *, likely: float, sure: float, halvings: int = 0
) -> NDArray[np.bool_]:
    """Return where damage is detected, `(H, W)`, at the size of the photo or at one of its halves."""
    from scipy import ndimage  # noqa: PLC0415
    from skimage.filters import apply_hysteresis_threshold  # noqa: PLC0415

    if halvings > 1:
        # What is small in a photo is as small as damage there.
        likely, sure = max(likely, _COARSE[0]), max(sure, _COARSE[1])
    probability = detector.probability(image)[0, 0].cpu().numpy()
    found: NDArray[np.bool_] = apply_hysteresis_threshold(probability, likely, sure)
    height, width = found.shape
    if min(height, width) < 2 * _COARSEST:
        return found
    half = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    coarse = _detect(half, detector, likely=likely, sure=sure, halvings=halvings + 1)
    doubled = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    # Where a coarse pixel ends, the damage need not.
    return np.asarray(found | ndimage.binary_dilation(doubled), dtype=bool)


def find_defects(image: Tensor, *, noise: float = 0.0, contrast: float = 0.12) -> Defects:
    """Detect thin bright or dark lines and small specks by their shape.

    A top-hat transform (the difference to an opening or closing by a small square) shows everything thinner than the
    square. Pixels above the contrast are taken, with connected pixels above half of it. Components are kept if they are
    long for their thickness, or small and round in smooth surroundings, unlike an eye or a button. Only the shape is
    used, so a bright cord or a whisker may be detected as a scratch.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        noise: Standard deviation of the photo's noise, so that noise is not detected as dust.
        contrast: Smallest difference in brightness between a defect and its surroundings.

    Example:
        >>> import torch
        >>> from inverso.repair._defects import find_defects
        >>> photo = torch.full((1, 1, 60, 60), 0.4)
        >>> photo[..., 10:50, 30] = 1.0
        >>> found = find_defects(photo)
        >>> found.lines, bool(found.mask[..., 20, 30]), bool(found.mask[..., 20, 10])
        (1, True, False)
    """
    from scipy import ndimage  # noqa: PLC0415
    from skimage.filters import apply_hysteresis_threshold  # noqa: PLC0415
    from skimage.measure import label, regionprops  # noqa: PLC0415

    contrast = max(check_positive(contrast, name="contrast"), 6 * noise)
    gray = luminance(image)[0, 0].detach().cpu().double().numpy()
    side = max(5, round(0.012 * min(gray.shape)) // 2 * 2 + 1)
    smooth = ndimage.gaussian_filter(gray, 0.5)
    around = ndimage.uniform_filter(np.abs(gray - ndimage.median_filter(gray, 5)), 6 * side)
    mask = np.zeros(gray.shape, bool)
    lines = specks = 0
    for hat in (ndimage.white_tophat(smooth, size=side), ndimage.black_tophat(smooth, size=side)):
        found = label(apply_hysteresis_threshold(hat, contrast / 2, contrast), connectivity=2)
        for region in regionprops(found):
            thickness = region.area / max(region.axis_major_length, 1)
            small = region.area <= max(4, _SPECK**2 * gray.size) and region.axis_major_length < 3 * side
            quiet = around[region.slice][region.image].mean() < contrast / 12
            if region.axis_major_length >= max(4 * side, _LONG * thickness) and thickness <= side:
                lines += 1
            elif small and quiet:
                specks += 1
            else:
                continue
            mask[region.slice] |= region.image
    share = float(mask.mean())
    if share > _MOST:
        # So much is not damage but the photo's own texture.
        return Defects(torch.zeros(1, 1, *gray.shape, dtype=torch.bool), 0.0, 0, 0)
    # What surrounds a crack is neither crack nor photo.
    mask = ndimage.binary_dilation(mask, iterations=max(1, side // 5))
    return Defects(torch.from_numpy(mask)[None, None], float(mask.mean()), lines, specks)

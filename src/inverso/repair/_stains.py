"""Find brown stains on a print of one color, and undo what they took from its light."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

_Field: TypeAlias = "npt.NDArray[np.float64]"
_Mask: TypeAlias = "npt.NDArray[np.bool_]"

_AVERAGED = 1 << 20
"""Number of pixels, about, to which a photo is averaged to find its stains."""
_DARK = 0.02
"""Added to values before the logarithm."""
_BRIGHT = 0.15
"""Darkest channel from which on a pixel's color counts in full."""
_BLANK = 0.96
"""Darkest channel from which on a pixel is no part of the print: what a scanner sees beside it, or clipped."""
_LIT = 0.3
"""Weight from which on the color of a single pixel is more than noise."""
_TV = 5.0
"""Weight of the total variation of the extra loss, in its noise: the rims of stains are sharp."""
_SMOOTH, _PIXELS = 0.003, 1.5
"""Standard deviation of the smoothing of colors in shorter sides, and in pixels at least."""
_POINTS = 40_000
_ROUNDS = 30
_LEAST, _SURE, _SPREADS = 0.05, 0.12, 4.0
"""Extra loss of a stain's pixels, and of one of them at least; and that in spreads of what is no stain."""
_PLAIN, _COOL = 0.025, -0.08
"""Spread of the colors up to which a print is of one color, and the coolest of these: log red - log blue."""
_SMALLEST, _MOST = 0.0001, 0.6
"""Shares of the photo that one stain covers at least, and all at most."""
_CORE = 9
_FEW, _LOCAL = 0.05, 0.1
"""Weight of the pixels about a stain from which on their color counts, and how far it may be off that of the print."""
_BROWN = (0.12, 0.65)
"""Extra loss of green over that of blue, of what is brown or yellow."""
_STEP, _ELSEWHERE, _WHITER = 0.1, 0.41, 0.1
"""Width of the classes of brightness, in its logarithm; share of a stain's class that is plain, on average, at least;
and share of its pixels that come out whiter than the print's white, at most."""
_ALIKE, _KNOWN = 0.08, 4
"""Spread of that over all spots, and the area of all over that of the agreeing ones, at most."""
_SCALES, _LARGE = (1, 4), 0.01
"""Scales at which edges are looked at, for sharp and soft ones; those in stains of such a share of the photo."""
_RED, _AGREE = (0.1, 1.0), 0.8
"""Loss of red over the extra loss of blue, and the range of its quartiles along a stain's edges."""


@dataclass(frozen=True)
class Stains:
    """Stains of a photo.

    Args:
        number: How many there are.
        share: Share of the photo that they cover.
        loss: Logarithm of what they took from red and from green, `(1, 2, h, w)`, on a coarser grid than the photo's if
            that is large; None without stains.
        cover: Where they are, `(1, 1, h, w)` in [0, 1].
        tones: Coefficients of `_color_of_print`, `(9, 2)`.
        local: What is added to both colors of the print near the stains, `(1, 2, h, w)`.
    """

    number: int = 0
    share: float = 0.0
    loss: Tensor | None = None
    cover: Tensor | None = None
    tones: Tensor | None = None
    local: Tensor | None = None

    def undo(self, image: Tensor) -> Tensor:
        """Give the stained pixels of `(1, 3, H, W)` their light and the color of the print."""
        if self.loss is None or self.cover is None or self.tones is None or self.local is None:
            return image
        size = image.shape[-2:]
        red, green = (_resized(part, size).to(image) for part in self.loss.split(1, dim=1))
        cover = _resized(self.cover, size).to(image).clamp(0, 1)
        r_b, r_g = _color_of_print(_smooth_tone(image) + green, self.tones.to(image))
        of_blue, of_green = _resized(self.local, size).to(image).split(1, dim=1)
        r_b, r_g = r_b + of_blue, r_g + of_green
        # Red has lost least, and is least noisy.
        light = 0.5 * (_log(image[:, :1]) + red - r_g + _log(image[:, 1:2]) + green)
        mended = torch.empty_like(image)
        for k, ratio in enumerate((r_g, torch.zeros_like(light[..., :1, :1]), r_g - r_b)):
            lit = ((light + ratio).exp() - _DARK).clamp(0, 1)
            mended[:, k : k + 1] = torch.lerp(image[:, k : k + 1], lit, cover)
        return mended

    def told(self) -> str:
        """Say what was found."""
        stains = "1 brown stain was" if self.number == 1 else f"{self.number} brown stains were"
        return (
            f"{stains} taken off {100 * self.share:.1f} % of the photo: look whether a brown or yellow thing has lost "
            "its color (--no-stains keeps them)"
        )


def find_stains(image: Tensor) -> Stains:
    """Find brown stains on a print of one color, gray or sepia: what they take from blue, green and red.

    On such a print the ratios of the channels are a function of the brightness, and of the place where paper has
    yellowed. It is fitted robustly, as a cubic polynomial of the logarithm of green and a square one of the place. A
    translucent stain multiplies each channel by a factor, so that its pixels lie beside that function: the extra loss
    of blue, `s = log(red/blue) - f`, shows the stain whatever is seen through it. What red has lost, `rho s`, does not
    show in ratios: rho is the weighted median of what `s` explains of red's gradients along the stain's edges.

    What is brown on a photo in color is no stain. Hence the spread of the other pixels about the function must be small
    (0.025), half of them must lie near it, the color of a stain be between yellow and brown, and rho agree along its
    edges, which it does not where the thing itself ends there.

    Args:
        image: `(1, C, H, W)` in [0, 1]; a gray image has no stains that can be told from it.

    Example:
        >>> import torch
        >>> from inverso.degradations import OldPhoto
        >>> from inverso.images import photo
        >>> from inverso.metrics import psnr
        >>> from inverso.repair._stains import find_stains
        >>> x = OldPhoto.only(toning=1.0, fading=0.5)(photo("astronaut", size=256), seed=0).y
        >>> y = OldPhoto.only(toning=1.0, fading=0.5, stains=0.8)(photo("astronaut", size=256), seed=0).y
        >>> found = find_stains(y)
        >>> found.number > 0, bool(psnr(found.undo(y), x) > psnr(y, x) + 8), find_stains(x).number
        (True, True, 0)
    """
    if image.shape[1] == 1:
        return Stains()
    factor = max(1, round((image[0, 0].numel() / _AVERAGED) ** 0.5))
    small = F.interpolate(image, scale_factor=1 / factor, mode="area") if factor > 1 else image
    colors = _Colors.of(small[0].detach().cpu().double().numpy())
    if not colors.plain:
        return Stains()
    spots = _spots(colors)
    known = sum(spot.area for spot in spots if spot.agrees)
    # On a photo in color more is found that is no stain, of many colors.
    if not known or known > _MOST * colors.extra.size or not _are_alike(spots, known):
        return Stains()
    return _lift(colors, [spot for spot in spots if spot.brown])


@dataclass(frozen=True)
class _Colors:
    """The colors of a photo beside those of a print of one color.

    Args:
        logs: Logarithms of the channels, `(3, H, W)`.
        tone: That of green, smooth.
        weight: How far the color of a pixel counts.
        rough: Extra loss of blue against red, with its noise.
        extra: The same, smooth.
        green: Extra loss of green against red.
        spread: Spread of the extra loss of blue where there is no stain.
        tones: Coefficients of the print's color, `(9, 2)`.
        plain: Whether the print is of one color.
    """

    logs: _Field
    tone: _Field
    weight: _Field
    rough: _Field
    extra: _Field
    green: _Field
    spread: float
    tones: _Field
    plain: bool

    @property
    def least(self) -> float:
        """Extra loss from which on a pixel may be stained."""
        return max(_LEAST, _SPREADS * self.spread)

    @property
    def sigma(self) -> float:
        """Standard deviation of the smoothing in pixels."""
        return _sigma(self.weight)

    @classmethod
    def of(cls, values: _Field) -> _Colors:
        """Fit the color of the print, as that of most pixels, from wide to narrow."""
        logs = np.log(values + _DARK)
        weight = np.clip(values.min(0) / _BRIGHT, 0, 1) ** 2 * (values.min(0) < _BLANK) + 1e-4
        sigma = _sigma(weight)
        tone = _smooth(logs[1], weight, sigma)
        ratios = np.stack([_smooth(logs[0] - logs[k], weight, sigma) for k in (2, 1)], axis=-1)
        powers = np.stack([power[0, 0].numpy() for power in _powers(torch.from_numpy(tone)[None, None])], axis=-1)
        flat, wanted, w = powers.reshape(-1, powers.shape[-1]), ratios.reshape(-1, 2), weight.reshape(-1)
        step = max(1, len(flat) // _POINTS)
        flat, wanted, w = flat[::step], wanted[::step], w[::step]
        share, spread = w, 1.0
        tones = np.zeros((flat.shape[1], 2))
        for k in range(_ROUNDS):
            ridge = 1e-6 * share.sum() * np.eye(flat.shape[1])
            tones = np.linalg.solve((flat * share[:, None]).T @ flat + ridge, (flat * share[:, None]).T @ wanted)
            off = wanted[:, 0] - flat @ tones[:, 0]
            spread = _spread(off - np.median(off))
            width = max(spread, 0.004, 0.3 * 0.8**k)
            # Stains lie on one side.
            share = w / (1 + (off / np.where(off > 0, 2 * width, 3 * width)) ** 2) ** 2
        extra, green = np.moveaxis(ratios - powers @ tones, -1, 0)
        rough = np.where(weight > _LIT, logs[0] - logs[2] - powers @ tones[:, 0], extra)
        near = (np.abs(extra) < 3 * max(spread, 0.004)) & (weight > _LIT)
        within = _spread(extra[near]) if near.any() else 1.0
        warm = float(np.median((ratios - np.stack([extra, green], axis=-1))[..., 0]))
        lit = max(1, int((weight > _LIT).sum()))
        plain = within <= _PLAIN and warm >= _COOL and near.sum() > lit * (1 - _MOST)
        return cls(logs, tone, weight, rough, extra, green, within, tones, bool(plain))


@dataclass(frozen=True)
class _Spot:
    """What has another color than the print.

    Args:
        window: The rows and columns about it.
        where: Its pixels in the window.
        red: Loss of red over the extra loss of blue.
        green: Extra loss of green over that of blue.
        brown: Whether it has the color of a stain.
        agrees: Whether it does, and `red` is the same along its edges.
    """

    window: tuple[slice, slice]
    where: _Mask
    red: float
    green: float
    brown: bool
    agrees: bool

    @property
    def area(self) -> int:
        """Number of its pixels."""
        return int(self.where.sum())


def _are_alike(spots: list[_Spot], known: int) -> bool:
    """Tell whether spots have one color, and a good part of them, `known` pixels, shows what red has lost."""
    greens = np.repeat([spot.green for spot in spots], [spot.area for spot in spots])
    spread = _spread(greens - np.median(greens))
    return len(greens) <= _KNOWN * known and spread <= _ALIKE


def _spots(colors: _Colors) -> list[_Spot]:
    """Find what is connected, large and yellower than the print."""
    from scipy import ndimage  # noqa: PLC0415
    from skimage.filters import apply_hysteresis_threshold  # noqa: PLC0415
    from skimage.measure import label, regionprops  # noqa: PLC0415

    mask = apply_hysteresis_threshold(colors.extra, colors.least, max(_SURE, 2 * colors.least))
    regions = regionprops(label(ndimage.binary_fill_holes(mask), connectivity=2))
    regions = [region for region in regions if region.area >= max(_CORE, _SMALLEST * mask.size)]
    if not regions:
        return []
    slopes = [_slopes(colors, scale * colors.sigma) for scale in _SCALES]
    plain, white = _plain_tones(colors, mask)
    reach = round(3 * colors.sigma)
    found = []
    for region in regions:
        window = (_wider(region.slice[0], 3 * reach, mask.shape[0]), _wider(region.slice[1], 3 * reach, mask.shape[1]))
        where = np.zeros(mask.shape, bool)[window]
        down, right = (part.start - wide.start for part, wide in zip(region.slice, window, strict=True))
        where[down : down + region.image.shape[0], right : right + region.image.shape[1]] = region.image
        core = ndimage.binary_erosion(where, iterations=2)
        if core.sum() < _CORE:
            continue
        green = float(np.median(colors.green[window][core] / np.maximum(colors.extra[window][core], 1e-3)))
        near = ndimage.binary_dilation(where, iterations=reach)
        weight = near * colors.weight[window]
        scales = slopes if region.area >= _LARGE * mask.size else slopes[:1]
        measured = [_loss_of_red([part[window] for part in scale], weight) for scale in scales]
        red, agrees = next((each for each in measured if each[1]), measured[0])
        lifted = colors.tone[window][core] + (min(max(red, 0.0), 1.0) + green) * colors.extra[window][core]
        # Where all of its brightness has its color, the print has it there; and no paper is whiter than white.
        likely = plain[window][where].mean() >= _ELSEWHERE and (lifted > white).mean() <= _WHITER
        brown = bool(_BROWN[0] <= green <= _BROWN[1] and likely)
        found.append(_Spot(window, where, red, green, brown, brown and agrees))
    return found


def _plain_tones(colors: _Colors, mask: _Mask) -> tuple[_Field, float]:
    """Give what share of the pixels that are as bright has the color of the print, and the brightness of its white."""
    bins = np.clip(((colors.tone - np.log(_DARK)) / _STEP).astype(int), 0, None)
    plain = ~mask & (np.abs(colors.extra) < colors.least)
    count = np.bincount(bins.ravel())
    share = np.bincount(bins.ravel(), weights=plain.ravel().astype(float)) / np.maximum(count, 1)
    return share[bins], float(np.quantile(colors.tone[plain], 0.99)) + _STEP if plain.any() else 0.0


def _wider(part: slice, margin: int, length: int) -> slice:
    return slice(max(0, part.start - margin), min(length, part.stop + margin))


def _slopes(colors: _Colors, sigma: float) -> tuple[_Field, ...]:
    """Give the slopes of the extra loss, down and right, and of red's logarithm."""
    from scipy import ndimage  # noqa: PLC0415

    return (
        *np.gradient(ndimage.gaussian_filter(colors.extra, sigma)),
        *np.gradient(ndimage.gaussian_filter(colors.logs[0], 1.4 * sigma)),
    )


def _loss_of_red(slopes: list[_Field], weight: _Field) -> tuple[float, bool]:
    """Give the weighted median of what the extra loss explains of red's slopes, and whether it is the same in most."""
    down, right, red_down, red_right = slopes
    steep = down**2 + right**2
    weight = steep * weight
    if not weight.any():
        return 0.0, False
    chosen = weight > 0.05 * weight.max()
    ratio = -(red_down * down + red_right * right)[chosen] / steep[chosen]
    order = np.argsort(ratio)
    total = np.cumsum(weight[chosen][order])
    low, middle, high = (float(ratio[order][np.searchsorted(total, q * total[-1])]) for q in (0.25, 0.5, 0.75))
    return middle, _RED[0] <= middle <= _RED[1] and high - low <= _AGREE


def _lift(colors: _Colors, spots: list[_Spot]) -> Stains:
    """Give the losses of red and of green, and where to undo them, from the extra loss of blue."""
    from scipy import ndimage  # noqa: PLC0415
    from skimage.restoration import denoise_tv_chambolle  # noqa: PLC0415

    noise = _spread(colors.rough - colors.extra)
    agreeing = [spot for spot in spots if spot.agrees]
    usual = float(np.average([spot.red for spot in agreeing], weights=[spot.area for spot in agreeing]))
    cover = np.zeros(colors.weight.shape)
    loss, local = np.zeros((2, 2, *colors.weight.shape))
    stained = np.zeros(colors.weight.shape, bool)
    for spot in spots:
        stained[spot.window] |= spot.where
    plain = (colors.weight > _LIT) & ~ndimage.binary_dilation(stained, iterations=round(2 * colors.sigma))
    for spot in spots:
        about = _nearby(colors, plain, spot)
        wide = ndimage.binary_dilation(spot.where, iterations=round(2 * colors.sigma))
        soft = ndimage.gaussian_filter(wide.astype(float), colors.sigma)
        # Where nothing is seen through it the same liquid as elsewhere is assumed.
        red = spot.red if spot.agrees else usual
        rough = colors.rough[spot.window] - about[0]
        extra = np.maximum(denoise_tv_chambolle(rough, weight=_TV * noise) if noise else rough, 0)
        over = soft > cover[spot.window]
        for k, share in enumerate((red, red + spot.green)):
            loss[k][spot.window][over] = share * extra[over]
            local[k][spot.window][over] = about[k][over]
        cover[spot.window] = np.maximum(cover[spot.window], soft)
    return Stains(
        len(spots),
        sum(spot.area for spot in spots) / cover.size,
        loss=torch.from_numpy(loss).float()[None],
        cover=torch.from_numpy(cover).float()[None, None],
        tones=torch.from_numpy(colors.tones).float(),
        local=torch.from_numpy(local).float()[None],
    )


def _nearby(colors: _Colors, plain: _Mask, spot: _Spot) -> _Field:
    """Give how far the colors about a stain are off the function of the print, `(2, h, w)`: of blue and of green.

    A mount, or a part of the print that has yellowed more, has another color than the rest.
    """
    sigma = 3 * colors.sigma + float(np.sqrt(spot.area)) / 4
    weight = plain[spot.window] * colors.weight[spot.window]
    off = [_smooth(part[spot.window], weight, sigma, few=_FEW) for part in (colors.extra, colors.green)]
    return np.clip(np.stack(off), -_LOCAL, _LOCAL)


def _color_of_print(tone: Tensor, tones: Tensor) -> tuple[Tensor, Tensor]:
    """Compute log(red/blue) and log(red/green) of the print for the logarithm of green, `(n, 1, H, W)`."""
    blue, green = torch.zeros_like(tone), torch.zeros_like(tone)
    for power, (of_blue, of_green) in zip(_powers(tone), tones, strict=True):
        blue += of_blue * power
        green += of_green * power
    return blue, green


def _powers(tone: Tensor) -> Iterator[Tensor]:
    """Give nine powers of the logarithm of green `(n, 1, H, W)` and of the place, of that shape."""
    height, width = tone.shape[-2:]
    down = torch.linspace(-1, 1, height).to(tone)[:, None].expand_as(tone)
    right = torch.linspace(-1, 1, width).to(tone).expand_as(tone)
    shifted = tone + 1
    yield torch.ones_like(tone)
    yield from (shifted**power for power in (1, 2, 3))
    yield from (down, right, down**2, down * right, right**2)


def _spread(deviations: _Field) -> float:
    """Estimate a standard deviation from the median of what deviates, which few outliers do not change."""
    return 1.4826 * float(np.median(np.abs(deviations)))


def _sigma(field: _Field) -> float:
    return max(_PIXELS, _SMOOTH * float(min(field.shape)))


def _smooth(field: _Field, weight: _Field, sigma: float, *, few: float = 0.0) -> _Field:
    """Average with a Gaussian and weights, as of dark pixels; towards 0 where the weights nearby are below `few`."""
    from scipy import ndimage  # noqa: PLC0415

    averaged: Any = ndimage.gaussian_filter(field * weight, sigma) / (ndimage.gaussian_filter(weight, sigma) + few)
    return np.asarray(averaged, dtype=np.float64)


def _smooth_tone(image: Tensor) -> Tensor:
    """Give the logarithm of green, averaged over 3 x 3 pixels, as noise would show in the color."""
    return _log(F.avg_pool2d(F.pad(image[:, 1:2], (1, 1, 1, 1), mode="replicate"), 3, stride=1))


def _log(values: Tensor) -> Tensor:
    return (values + _DARK).log()


def _resized(field: Tensor, size: torch.Size) -> Tensor:
    return field if field.shape[-2:] == size else F.interpolate(field, size, mode="bilinear", align_corners=False)

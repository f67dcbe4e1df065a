"""Draw the gallery: `python docs/draw_gallery.py [NAME ...]` writes docs/images/gallery-*.jpg, all or those named.

Free photos that come with scikit-image, none of which the denoiser was trained on: the astronaut (NASA, public domain),
the Hubble deep field (NASA, public domain), a retina (Mikael Häggström, CC0), coins from Pompeii (the Brooklyn Museum,
no known restrictions).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import inverso
from inverso._files import replacing
from inverso.degradations import OldPhoto
from inverso.images import grid, photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, ColorNoise, FFTMask, GaussianBlur, Mask, RandomMask
from inverso.stages import CSGM, BackProject, Diffusion, PlugAndPlay

FOLDER = Path(__file__).parent / "images"
SIDE = 256


def crop(name: str, top: int, left: int, side: int = SIDE) -> Tensor:
    """Cut a square out of a free photo."""
    pixels = torch.from_numpy(getattr(skimage.data, name)()).float() / 255
    pixels = pixels.expand(3, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels[None, :, top : top + side, left : left + side].contiguous()


def beside(x: Tensor, images: dict[str, Tensor], *, told: bool = True) -> Figure:
    """Show images and the photo, with their PSNR."""
    quality = {name: f"{float(psnr(image, x)):.1f} dB" for name, image in images.items() if image.shape == x.shape}
    return grid(images | {"the photo": x}, captions=quality if told else None, cell=3.2)


def portrait() -> Tensor:
    """Cut Eileen Collins out of her portrait."""
    return crop("astronaut", 0, 100)


def writing() -> Figure:
    """Take writing off a portrait."""
    x = portrait()
    page = Image.new("L", (SIDE, SIDE))
    text, font = "inverso restores what was not measured " * 3, ImageFont.load_default(size=20)
    for line in range(11):
        ImageDraw.Draw(page).text((4, 2 + 23 * line), text[13 * line :][:28], fill=255, font=font)
    written = torch.from_numpy(np.asarray(page)[None] > 100)
    A = Mask(~written)
    answer = inverso.solve(A.measure(x), A, inverso.priors.load("photos"), "pnp")
    return beside(x, {"written over": A.measure(x) + written.float(), "pnp": answer.image})


def points() -> Figure:
    """Fill nine pixels in ten."""
    x, A = portrait(), RandomMask(0.1)
    y = A.measure(x)
    answer = inverso.solve(y, A, inverso.priors.load("photos"), "pnp")
    return beside(x, {"a tenth of the pixels": y, "pnp": answer.image})


def stars() -> Figure:
    """Enlarge galaxies by two, under noise."""
    x, A, noise = crop("hubble_deep_field", 300, 420), Bicubic(2), 5 / 255
    y = A.measure(x, noise=noise, seed=1)
    answer = inverso.solve(y, A, inverso.priors.load("photos"), "pnp", noise=noise)
    return beside(x, {"half the size, noisy": A.pinv(y), "pnp": answer.image})


def blurred() -> Figure:
    """Undo a blur under noise."""
    x, A, noise = crop("retina", 500, 420), GaussianBlur(9, 1.7), 4 / 255
    y = A.measure(x, noise=noise, seed=1)
    answer = inverso.solve(y, A, inverso.priors.load("photos"), "pnp", noise=noise)
    return beside(x, {"blurred, noisy": y, "pnp": answer.image})


def frequencies() -> Figure:
    """Fill in seven frequencies of ten."""
    x, A = crop("coins", 20, 60), FFTMask(0.3, density="gaussian")
    y = A.measure(x)
    answer = inverso.solve(y, A, inverso.priors.load("photos"), "pnp")
    return beside(x, {"three frequencies in ten": A.pinv(y), "pnp": answer.image})


def noisy() -> Figure:
    """Take strong noise off."""
    x, sigma = portrait(), 50 / 255
    y = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer = inverso.priors.load("photos")(y, sigma)
    return beside(x, {"noise 50": y, "denoised": answer})


def draws() -> Figure:
    """Draw three of the photos that may have been behind a hole."""
    x, A = crop("coins", 20, 60, 128), BoxMask(40)
    y, denoiser = A.measure(x), inverso.priors.load("photos")
    answers = {f"drawn, seed {k}": inverso.solve(y, A, denoiser, [Diffusion()], seed=k).image for k in range(3)}
    return beside(x, {"a hole": y} | answers, told=False)


def spread() -> Figure:
    """Show the mean of eight draws, and on what they disagree."""
    x, A = photo("astronaut", size=128), RandomMask(0.2)
    y = A.measure(x)
    answer = inverso.solve(y, A, inverso.priors.load("photos"), [Diffusion()], starts=8)
    shown = {"a fifth of the pixels": y, "mean of eight draws": answer.image}
    return beside(x, shown | {"their spread, 4 times": 4 * answer.uncertainty}, told=False)


def face() -> Figure:
    """Let a generator of faces begin, and a denoiser finish."""
    x, A = photo("astronaut", size=64), RandomMask(0.15)
    y, faces, photos = A.measure(x), inverso.priors.load("faces-64"), inverso.priors.load("photos")
    begun = inverso.solve(y, A, faces, [CSGM(), BackProject()])
    finished = inverso.solve(y, A, (faces, photos), [CSGM(), BackProject(), PlugAndPlay(first=0.06, passes=8)])
    return beside(x, {"15 % of the pixels": y, "csgm+bp": begun.image, "csgm+bp+pnp": finished.image})


def blind() -> Figure:
    """Restore in one pass what nobody explains."""
    x = photo("astronaut", size=64)
    y = ColorNoise(0.4).measure(x)
    answer = inverso.solve(y, method="ff", restorer=inverso.restorers.load("faces-64"))
    return beside(x, {"color noise, told nothing": y, "ff": answer.image})


def old_print() -> Figure:
    """Repair an old print whose damage is known."""
    x = portrait()
    worn = OldPhoto.only(scratches=0.8, stains=0.6, dust=0.8, fading=0.6, toning=0.9, tone="sepia")
    old = worn(x, seed=3)
    answer = inverso.solve(old.y - old.offset, old.A, inverso.priors.load("photos"), "pnp", noise=1 / 255)
    return beside(x, {"an old print": old.y, "repaired": answer.image})


def either_half() -> Figure:
    """Leave out one half of the loop, and the other."""
    x, A, denoiser = portrait(), RandomMask(0.3), inverso.priors.load("photos")
    y = A.measure(x)
    start = inverso.solve(y, A, method="interpolation").image
    forgetful = both = start
    for sigma in torch.logspace(-0.6, -1.9, 12).tolist():
        with torch.no_grad():
            forgetful, both = denoiser(forgetful, sigma), A.project(denoiser(both, sigma), y)
    return beside(x, {"denoiser alone": forgetful, "projection alone": A.project(start, y), "both": both})


PICTURES: tuple[Callable[[], Figure], ...] = (
    writing, points, stars, blurred, frequencies, noisy, draws, spread, face, blind, old_print, either_half,
)  # fmt: skip


def main(names: list[str]) -> None:
    """Draw those that are named, or all."""
    for draw in PICTURES:
        if names and draw.__name__ not in names:
            continue
        with replacing(FOLDER / f"gallery-{draw.__name__.replace('_', '-')}.jpg") as temporary:
            draw().savefig(temporary, format="jpeg", dpi=110, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main(sys.argv[1:])

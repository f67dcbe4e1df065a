"""Draw what a denoiser makes of a whole photo: `python docs/draw_photos.py` writes docs/images/photos-*.png.

The photo, Eileen Collins by NASA (public domain), was not among those the denoiser was trained on.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import inverso
from inverso._files import replacing
from inverso.images import grid, photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, FFTMask, GaussianBlur, LinearOperator, Mask, RandomMask

FOLDER = Path(__file__).parent / "images"
PLAIN = "interpolation"


def scratches(height: int, width: int, *, count: int = 40, seed: int = 3) -> Tensor:
    """Draw thin crooked lines of zeros on ones, `(H, W)`."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(height, width)
    for _ in range(count):
        column = float(torch.rand(1, generator=generator)) * width
        slope = float(torch.randn(1, generator=generator)) * 0.4
        steps = torch.randn(height, generator=generator).cumsum(0) * 0.5
        places = (column + slope * torch.arange(height) + steps).round().long()
        for wide in range(2):
            inside = (places + wide >= 0) & (places + wide < width)
            mask[torch.arange(height)[inside], places[inside] + wide] = 0
    return mask


def main() -> None:
    """Solve five problems on one photo, each with and without the denoiser."""
    x, denoiser = photo("astronaut", size=None), inverso.priors.load("photos")
    height, width = x.shape[-2:]
    problems: dict[str, tuple[LinearOperator, float]] = {
        "points": (RandomMask(0.1, seed=0), 0.0),
        "scratches": (Mask(scratches(height, width)), 0.0),
        "shrunk": (Bicubic(2), 5 / 255),
        "blurred": (GaussianBlur(9, 1.7), 7.65 / 255),
        "frequencies": (FFTMask(0.3, density="gaussian"), 0.0),
    }
    for name, (A, noise) in problems.items():
        y = A.measure(x, noise=noise, seed=1)
        plain = inverso.solve(y, A, method=PLAIN, noise=noise).image
        answer = inverso.solve(y, A, denoiser, "pnp", noise=noise).image
        measured = A.adjoint(y) if y.is_complex() else y if y.shape == x.shape else plain
        columns = {"measured": measured, "plain": plain, "pnp": answer, "photo": x}
        captions = {title: f"{float(psnr(columns[title], x)):.1f} dB" for title in ("plain", "pnp")}
        cut = {title: image[..., :256, 100:356] for title, image in columns.items()}
        with replacing(FOLDER / f"photos-{name}.png") as temporary:
            grid(cut, captions=captions).savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main()

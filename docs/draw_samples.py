"""Draw how a box in a face may be filled: `python docs/draw_samples.py` writes docs/images/samples.png.

The photo, Eileen Collins by NASA (public domain), was not among those that prior and denoiser were trained on.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import interpolate

import inverso
from inverso._files import replacing
from inverso.images import grid, photo
from inverso.metrics import psnr
from inverso.operators import BoxMask

FOLDER = Path(__file__).parent / "images"
SAMPLES, SIDE, ENLARGED = 8, 28, 3


def main() -> None:
    """Fill the box by the default method, by adaptation, and in eight ways by diffusion; draw the spread of those."""
    x, A = photo("astronaut", size=64), BoxMask(SIDE)
    y = A(x)
    prior = inverso.priors.load("faces-64")
    denoiser = inverso.priors.load("faces-64-denoiser")
    samples = [inverso.solve(y, A, denoiser, "ddnm", seed=seed).image for seed in range(SAMPLES)]
    mean, spread = torch.cat(samples).mean(0, keepdim=True), torch.cat(samples).std(0).mean(0, keepdim=True)
    columns = {
        "photo": x,
        "measured": y,
        "default": inverso.solve(y, A, prior).image,
        "ia+bp": inverso.solve(y, A, prior, "ia+bp").image,
        "mean of 8": mean,
        "spread of 8": (spread / spread.max()).expand(1, 3, -1, -1),
        **{f"sample {number + 1}": sample for number, sample in enumerate(samples)},
    }
    captions = {
        name: f"{float(psnr(image, x)):.1f} dB" for name, image in columns.items() if name not in ("photo", "measured")
    }
    captions.pop("spread of 8")
    enlarged = {name: interpolate(image, scale_factor=ENLARGED) for name, image in columns.items()}
    first = dict(list(enlarged.items())[:6])
    rest = dict(list(enlarged.items())[6:])
    for name, part in (("samples-mean", first), ("samples", rest)):
        shown = {title: caption for title, caption in captions.items() if title in part}
        with replacing(FOLDER / f"{name}.png") as temporary:
            grid(part, captions=shown).savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main()

"""Draw what `faces-128` is worth on one face: `python docs/draw_faces.py` writes docs/images/faces-128.png.

The photo, Eileen Collins by NASA (public domain), was not among those that prior and denoiser were trained on.
"""

from __future__ import annotations

from pathlib import Path

import torch

import inverso
from inverso._files import replacing
from inverso.images import grid, photo
from inverso.metrics import psnr
from inverso.operators import BoxMask, FFTMask

SIDE = 128


def main() -> None:
    """Reconstruct a face from a part of its frequencies and with a box missing."""
    x = photo("astronaut", size=SIDE)
    faces, photos = inverso.priors.load("faces-128"), inverso.priors.load("photos")
    columns: dict[str, list[torch.Tensor]] = {}
    for A in (FFTMask(0.3), BoxMask(SIDE // 3)):
        y = A(x)
        answers = {
            "photo": x,
            "pinv": A.pinv(y, image_shape=x.shape[1:]),
            "pnp, photos": inverso.solve(y, A, photos, "pnp").image,
            "csgm+bp, faces-128": inverso.solve(y, A, faces, "csgm+bp").image,
            "default, faces-128": inverso.solve(y, A, faces).image,
        }
        for title, image in answers.items():
            columns.setdefault(title, []).append(image)
    shown = {title: torch.cat(images) for title, images in columns.items()}
    captions = {
        title: [f"{float(value):.1f} dB" for value in psnr(images, x.expand_as(images))]
        for title, images in shown.items()
        if title != "photo"
    }
    with replacing(Path(__file__).parent / "images" / "faces-128.png") as temporary:
        grid(shown, captions=captions, cell=2.2).savefig(temporary, format="png", dpi=90)


if __name__ == "__main__":
    main()

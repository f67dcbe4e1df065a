"""Draw what `inverso restore --blur auto` makes of a lens out of focus: `python docs/draw_focus.py`.

The photo, Eileen Collins by NASA (public domain), is blurred by a disk of 3 pixels, gets noise of one gray level, and
is saved as a JPEG of quality 92.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from PIL import Image

import inverso
from inverso.images import grid, photo, read_photo
from inverso.metrics import psnr
from inverso.operators import Blur
from inverso.priors import Denoiser
from inverso.repair import Repair, repair
from inverso.repair._blur import disk_kernel

FOLDER = Path(__file__).parent / "images"
RADIUS, NOISE, QUALITY = 3, 1 / 255, 92


def main() -> None:
    """Blur, restore and draw a face at its size."""
    scene = photo("astronaut", size=None)
    y = Blur(disk_kernel(RADIUS), padding="valid").measure(scene, noise=NOISE, seed=0).clamp(0, 1)
    x = scene[..., RADIUS:-RADIUS, RADIUS:-RADIUS]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "soft.jpg"
        Image.fromarray((y[0].permute(1, 2, 0) * 255).round().byte().numpy()).save(file, quality=QUALITY)
        taken = read_photo(file)
    denoiser = inverso.priors.load("photos", kind=Denoiser)
    answer = repair(taken, Repair(blur="auto"), denoiser=denoiser)
    columns = {"out of focus": taken.pixels, "--blur auto": answer.photo.pixels, "the photo": x}
    captions = {name: f"{float(psnr(columns[name], x)):.1f} dB" for name in list(columns)[:2]}
    cut = {name: image[..., :230, 100:330] for name, image in columns.items()}
    grid(cut, captions=captions, cell=2.4).savefig(FOLDER / "out-of-focus.jpg", dpi=110)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()

"""`inverso restore --blur auto` on photos that were blurred: what it takes them for, and what it gains.

    python benchmarks/lens_blur.py PHOTOS [N [BLUR ...]]

PHOTOS is a folder of photos that no network has seen. Each of N is blurred by each BLUR, as in "disk, 2", by default by
all, gets noise of one gray level and is saved as a JPEG of quality 95. Printed are, for each blur: how many photos were
taken for blurred by a Gaussian, by a disk, for sharp, or for neither; the median of the width found; the mean PSNR of
the photo and of the answer, and the worst gain.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import inverso
from inverso.images import load_image, read_photo
from inverso.metrics import psnr
from inverso.priors import Denoiser
from inverso.repair import Repair, repair
from inverso.repair._blur import disk_kernel, estimate_blur

NOISE, QUALITY = 1 / 255, 95


def gaussian(sigma: float) -> Tensor:
    """Return the kernel of a Gaussian."""
    offsets = torch.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1, dtype=torch.float64)
    taps = torch.exp(-offsets.square() / (2 * sigma**2))
    return taps[:, None] * taps / taps.sum() ** 2


def motion(length: int) -> Tensor:
    """Return the kernel of a motion along a diagonal."""
    return torch.eye(length, dtype=torch.float64) / length


BLURS = {
    "none": torch.ones(1, 1, dtype=torch.float64),
    "Gaussian, 1": gaussian(1.0),
    "Gaussian, 2": gaussian(2.0),
    "Gaussian, 3": gaussian(3.0),
    "disk, 2": disk_kernel(2.0),
    "disk, 4": disk_kernel(4.0),
    "disk, 6": disk_kernel(6.0),
    "square, 5 x 5": torch.full((5, 5), 1 / 25, dtype=torch.float64),
    "motion, 7": motion(7),
}


def blurred(x: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Blur an image with the scene beyond its frame, and return it and its sharp part."""
    reach = kernel.shape[0] // 2
    y = F.conv2d(x.double().transpose(0, 1), kernel[None, None]).transpose(0, 1).float()
    return y, x[..., reach : x.shape[-2] - reach, reach : x.shape[-1] - reach]


def main() -> None:
    """Measure and print."""
    files = [file for file in sorted(Path(sys.argv[1]).rglob("*")) if file.is_file()]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else len(files)
    denoiser = inverso.priors.load("photos", kind=Denoiser)
    for name in sys.argv[3:] or BLURS:
        kernel = BLURS[name]
        kinds: Counter[str] = Counter()
        widths, before, after = [], [], []
        for k, file in enumerate(files[:: max(1, len(files) // n)][:n]):
            y, x = blurred(load_image(file), kernel)
            noise = NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(k))
            values = ((y + noise).clamp(0, 1)[0].permute(1, 2, 0) * 255).round().byte().numpy()
            with tempfile.TemporaryDirectory() as folder:
                Image.fromarray(values).save(Path(folder) / "photo.jpg", quality=QUALITY)
                photo = read_photo(Path(folder) / "photo.jpg")
            answer = repair(photo, Repair(blur="auto", noise=0.0), denoiser=denoiser)
            seen = estimate_blur(photo.pixels, noise=photo.noise)
            blur = None if seen is None else seen.safe
            kinds["neither" if blur is None else "sharp" if blur.sharp else "disk" if blur.disk else "Gaussian"] += 1
            if blur is not None and not blur.sharp:
                widths.append(blur.width)
            before.append(float(psnr(photo.pixels, x)))
            after.append(float(psnr(answer.photo.pixels, x)))
        width = f"{statistics.median(widths):.2f}" if widths else "-"
        worst = min(b - a for a, b in zip(before, after, strict=True))
        gain = f"{statistics.mean(before):.2f} -> {statistics.mean(after):.2f} dB, worst {worst:+.2f}"
        print(f"{name:14s} {dict(kinds)}  width {width}  {gain}", flush=True)


if __name__ == "__main__":
    main()

"""`inverso restore --old` on photos that were made old: what it finds, what it gains, and what it does to clean photos.

    python benchmarks/old_prints.py PHOTOS [N [DETECTOR]]

PHOTOS is a folder of photos that no network has seen, of which crops of 256 pixels are made old by `OldPhoto` at its
default preset. DETECTOR is the file of a `DamageDetector`; without one, damage is found by its shape. Printed are
means: PSNR to the photo; PSNR of the light alone (a gray or sepia print has no more, and stays gray or sepia); PSNR to
the print before it was covered, with fading and toning left in; `sharpness` against that print; precision, recall and
F1 of what is found of thin scratches; PSNR of clean photos to themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

import inverso
from inverso.degradations import OldPhoto
from inverso.images import Photo, load_image
from inverso.images._gray import to_gray
from inverso.metrics import psnr, sharpness
from inverso.priors import Denoiser
from inverso.repair import Repair, repair
from inverso.repair._defects import detect_defects, find_defects
from inverso.restorers import load_detector
from inverso.training.recipes.detector import _SEEN, _THIN, _damage

SIDE, BEST = 256, 99.0
PRINT = OldPhoto.preset("default", scratches=0.0, dust=0.0)


def middle(x: Tensor) -> Tensor:
    """Cut the middle out."""
    height, width = x.shape[-2:]
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return x[..., top : top + SIDE, left : left + SIDE]


def main() -> None:
    """Measure and print."""
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12
    detector = load_detector(sys.argv[3]) if len(sys.argv) > 3 else None
    denoiser = inverso.priors.load("photos", kind=Denoiser)
    photos = [middle(load_image(file)) for file in sorted(folder.rglob("*")) if file.is_file()]
    photos = [x for x in photos if x.shape[-2:] == (SIDE, SIDE)][:n]
    settings = Repair(old=True, noise=0.0)
    rows: dict[str, list[float]] = {}
    right = found = there = 0

    def add(name: str, value: float) -> None:
        rows.setdefault(name, []).append(min(value, BEST))

    for k, x in enumerate(photos):
        old = OldPhoto()(x, seed=k)
        print_ = PRINT(x, seed=k).y
        answer = repair(Photo(old.y), settings, denoiser=denoiser, detector=detector).photo.pixels
        for name, image in (("old", old.y), ("restored", answer)):
            add(f"{name}, PSNR to the photo", float(psnr(image, x)))
            add(f"{name}, PSNR of the light", float(psnr(to_gray(image), to_gray(x))))
            add(f"{name}, PSNR to the print", float(psnr(image, print_)))
            add(f"{name}, sharpness", float(sharpness(image, print_)))
        thin, change = _damage(x, _THIN, (k,))
        finds = find_defects(thin) if detector is None else detect_defects(thin, detector)
        covered = change > _SEEN
        # What is marked around a scratch to fill it well is no false alarm.
        near = torch.nn.functional.max_pool2d(covered.float(), 3, stride=1, padding=1) > 0
        right += int((finds.mask & near).sum())
        found += int(finds.mask.sum())
        there += int(near.sum())
        clean = repair(Photo(x), settings, denoiser=denoiser, detector=detector)
        add("clean, PSNR to itself", float(psnr(clean.photo.pixels, x)))
    for name, values in rows.items():
        print(f"{name:28s}{sum(values) / len(values):7.2f}   {' '.join(f'{value:.1f}' for value in values)}")
    precision, recall = right / max(found, 1), right / max(there, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    print(f"thin scratches: precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}")


if __name__ == "__main__":
    main()

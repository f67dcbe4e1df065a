"""Faces that are shifted, scaled and turned: what finding and fitting them is worth.

    python benchmarks/align.py PHOTOS [N] [still|moving]

PHOTOS is a folder of aligned faces of 128 pixels. Photos of 64 pixels are made of them by one exact warp, mirrored
beyond their border; a box of 24 pixels in the middle is lost, or, with `moving`, the box that hides the same part of
every face: it is shifted and scaled with it. Printed are PSNRs in dB, of the whole photo / of the missing pixels: of
the default of `solve` with the prior as if the face were aligned, of the denoiser of photos alone, of `solve_faces`
from a start in the middle, and of the same with the pose that is true. Where the cascade finds the face by itself is
counted.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import inverso
from inverso.faces import Pose, find_faces, solve_faces
from inverso.images import load_image
from inverso.metrics import psnr
from inverso.operators import BoxMask, Mask
from inverso.priors import Denoiser, LatentPrior, load

SIDE, BOX, OVER = 64, 24, 4
KINDS = ("aligned", "shifted by 10 %", "scaled by 0.7", "scaled by 1.4", "turned by 15 degrees")


def pose_of(kind: str, k: int) -> Pose:
    """Give the true pose of the k-th photo; directions go around with k."""
    turn, sign = 2 * math.pi * k / 8, 1 - 2 * (k % 2)
    shift = 0.1 * SIDE if kind.startswith("shifted") else 0.0
    size = SIDE * (float(kind.rsplit(maxsplit=1)[-1]) if kind.startswith("scaled") else 1.0)
    angle = 15.0 * sign if kind.startswith("turned") else 0.0
    return Pose(SIDE / 2 + shift * math.cos(turn), SIDE / 2 + shift * math.sin(turn), size, angle)


def photo_of(face: Tensor, pose: Pose) -> Tensor:
    """Lay a face of 128 pixels into a photo of 64: samples on a grid four times as fine, averaged."""
    place = (torch.arange(SIDE * OVER) + 0.5) / OVER
    down, across = torch.meshgrid(place - pose.y, place - pose.x, indexing="ij")
    cosine, sine = math.cos(math.radians(pose.angle)), math.sin(math.radians(pose.angle))
    grid = torch.stack([cosine * across + sine * down, cosine * down - sine * across], dim=-1) / (pose.size / 2)
    fine = F.grid_sample(face, grid[None], mode="bicubic", padding_mode="reflection", align_corners=False)
    return F.avg_pool2d(fine, OVER).clamp(0, 1)


def box_of(pose: Pose) -> Tensor:
    """Return what is measured where the box is lost that has its place in the face, `(1, 64, 64)`."""
    half = BOX / SIDE * pose.size / 2
    place = torch.arange(SIDE) + 0.5
    lost = ((place - pose.y).abs() < half)[:, None] & ((place - pose.x).abs() < half)
    return ~lost[None]


def both(image: Tensor, x: Tensor, lost: Tensor) -> tuple[float, float]:
    """Return the PSNR of a photo and that of its missing pixels."""
    return float(psnr(image, x)), float(psnr(image[..., lost][..., None], x[..., lost][..., None]))


def main() -> None:
    """Print the table, a line as it is done."""
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12
    faces = [load_image(file) for file in sorted(folder.iterdir())[:n]]
    prior, photos = load("faces-64", kind=LatentPrior), load("photos", kind=Denoiser)
    moving, middle = sys.argv[3:] == ["moving"], Pose(SIDE / 2, SIDE / 2, SIDE)
    print(f"{'':22s}{'as if aligned':>14s}{'photos':>11s}{'--face':>11s}{'true pose':>11s}   found   off (px, %, deg)")
    for kind in KINDS:
        rows, off, found = [], [], 0
        for k, face in enumerate(faces):
            pose = pose_of(kind, k)
            x = photo_of(face, pose)
            box = box_of(pose if moving else middle)
            A = Mask(box) if moving else BoxMask(BOX)
            y = A.measure(x)
            plain = inverso.solve(y, A, prior, progress=False).image
            whole = inverso.solve(y, A, photos, progress=False).image
            answer, restored = solve_faces(y, A, prior, photos, poses=[middle])
            known, _ = solve_faces(y, A, prior, photos, poses=[pose])
            found += bool(find_faces(whole.clamp(0, 1)))
            at = restored[0].fitted.pose
            off.append(
                (
                    math.hypot(at.x - pose.x, at.y - pose.y),
                    100 * abs(at.size / pose.size - 1),
                    abs(at.angle - pose.angle),
                )
            )
            rows.append([both(image.clamp(0, 1), x, ~box[0]) for image in (plain, whole, answer.image, known.image)])
        means = [f"{whole:.1f}/{missing:.1f}" for whole, missing in torch.tensor(rows).mean(dim=0).tolist()]
        errors = torch.tensor(off).mean(dim=0).tolist()
        print(
            f"{kind:22s}{means[0]:>14s}{means[1]:>11s}{means[2]:>11s}{means[3]:>11s}{found:5d}/{n}"
            f"   {errors[0]:.1f}, {errors[1]:.0f}, {errors[2]:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""What a learned start of the search is worth: an encoder that guesses the latent of what was measured.

    python benchmarks/encoder.py train --data train/ --out encoder.safetensors
    python benchmarks/encoder.py measure --data photos/ --encoder encoder.safetensors --n 12

The encoder sees the pseudo-inverse of the measurement and, so that it knows what was lost, that of a measurement of
noise. It learns for one prior, and for the kinds of measurement in `TAUGHT`, from photos: the image of its latent shall
be near the photo. Measured beside the default, it is the start of a descent, alone or beside the best of 64 latents.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from inverso import solve
from inverso.experiments.photos import Photos
from inverso.files import replacing
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.priors import load
from inverso.stages import CSGM, BackProject, ImageAdaptive, Problem, Stage
from inverso.stages.base import energies
from inverso.training.data import PhotoFolder, step_generator

Build = Callable[[tuple[int, ...]], LinearOperator]
TAUGHT: dict[str, Build] = {
    "FFT 0.3": lambda seeds: FFTMask(0.3, seed=seeds),
    "FFT 0.5": lambda seeds: FFTMask(0.5, seed=seeds),
    "box": lambda _: BoxMask(32),
    "10 % of the points": lambda seeds: RandomMask(0.1, seed=seeds),
    "bicubic x4": lambda _: Bicubic(4),
    "bicubic x8": lambda _: Bicubic(8),
}
STRANGE: dict[str, Build] = {
    "40 % of the points": lambda seeds: RandomMask(0.4, seed=seeds),
    "bicubic x2": lambda _: Bicubic(2),
    "bicubic x16": lambda _: Bicubic(16),
}
"""Measurements that the encoder never saw."""


class Encoder(nn.Module):
    """A network from what was measured to a latent: convolutions down to 4 x 4, and a linear layer."""

    def __init__(self, latents: int, *, width: int = 24) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        layers: list[nn.Module] = [nn.Conv2d(6, width, 3, padding=1), nn.LeakyReLU(0.2)]
        for wide, wider in pairwise(widths):
            layers += [nn.Conv2d(wide, wider, 4, stride=2, padding=1), nn.GroupNorm(8, wider), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, latents))

    def forward(self, seen: Tensor) -> Tensor:
        """Guess the latent."""
        return cast("Tensor", self.main(seen))


def seen_of(y: Tensor, A: LinearOperator, shape: tuple[int, ...]) -> Tensor:
    """Give what the encoder is shown, `(n, 6, H, W)`."""
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).expand(len(y), *shape)
    known = [A.pinv(values, image_shape=shape) for values in (y, A(noise))]
    return torch.cat([2 * known[0] - 1, known[1]], dim=1)


@dataclass(frozen=True)
class Guided(CSGM):
    """The search from the encoder's latent, and, with more than one restart, from the best candidates beside it."""

    encoder: Encoder | None = None

    def _starts(self, problem: Problem, weights: Tensor) -> Tensor:
        with torch.no_grad():
            guess = cast("Encoder", self.encoder)(seen_of(problem.y, problem.operator, problem.image_shape))[None]
        others = super()._starts(problem, weights)[: self.restarts - 1]
        return torch.cat([guess, others])


def train(options: argparse.Namespace) -> None:
    """Teach an encoder."""
    prior = load(options.prior).requires_grad_(requires_grad=False)
    encoder = Encoder(prior.latent_shape[0])
    photos = PhotoFolder.read(options.data, size=prior.image_shape[-1])
    optimizer = torch.optim.Adam(encoder.parameters(), lr=options.lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=options.steps, pct_start=0.05)
    kinds = list(TAUGHT.values())
    mean = None
    with tqdm(range(options.steps), desc="training") as bar:
        for step in bar:
            x = photos.batch(step, size=options.batch, seed=options.seed)
            draw = torch.randint(2**31, (len(x),), generator=step_generator(options.seed, step, stream=2))
            seeds = tuple(draw.tolist())
            parts = []
            for k, build in enumerate(kinds):
                some = slice(k, len(x), len(kinds))
                A = build(seeds[some])
                parts.append((some, seen_of(A(x[some]), A, prior.image_shape)))
            z = encoder(torch.cat([seen for _, seen in parts]))
            wanted = torch.cat([x[some] for some, _ in parts])
            loss = (energies(prior(z) - wanted) + prior.latent_weight * energies(z)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
            bar.set_postfix(loss=f"{mean:.1f}")
            if step % 500 == 499 or step == options.steps - 1:
                with replacing(options.out) as temporary:
                    save_file(encoder.state_dict(), temporary)


def measure(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    prior = load(options.prior).requires_grad_(requires_grad=False)
    encoder = Encoder(prior.latent_shape[0]).eval().requires_grad_(requires_grad=False)
    encoder.load_state_dict(load_file(options.encoder))
    photos = Photos.read(options.data, options.n, image_shape=prior.image_shape, tuning=0).images
    searches: dict[str, Stage] = {
        "default": CSGM(),
        "encoder, no descent": Guided(steps=1, restarts=1, encoder=encoder),
        "encoder, 1 x 20": Guided(steps=20, restarts=1, encoder=encoder),
        "encoder, 1 x 40": Guided(restarts=1, encoder=encoder),
        "encoder and best of 64, 2 x 40": Guided(encoder=encoder),
    }
    methods = {f"{name}; bp": [search, BackProject()] for name, search in searches.items()}
    if options.adapt:
        methods |= {f"{name}; ia, bp": [search, ImageAdaptive(), BackProject()] for name, search in searches.items()}
    print(f"| measured | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}", flush=True)
    seeds = tuple(range(options.n))
    for measured, build in (TAUGHT | STRANGE).items():
        A = build(seeds)
        y = A(photos)
        cells = []
        for method in methods.values():
            began = time.process_time()
            answer = solve(y, A, prior, method, progress=False)
            seconds = (time.process_time() - began) / options.n
            cells.append(f"{float(psnr(answer.image, photos).mean()):.2f} ({seconds:.1f} s)")
        print(f"| {measured} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Train or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="faces-64", help="name or file")
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="teach an encoder")
    training.add_argument("--data", required=True, help="folder of photos")
    training.add_argument("--out", type=Path, default=Path("encoder.safetensors"))
    training.add_argument("--steps", type=int, default=3000)
    training.add_argument("--batch", type=int, default=36)
    training.add_argument("--lr", type=float, default=1e-3)
    training.add_argument("--seed", type=int, default=0)
    training.set_defaults(call=train)
    measuring = commands.add_parser("measure", help="measure what it is worth")
    measuring.add_argument("--data", required=True, help="folder of photos")
    measuring.add_argument("--encoder", type=Path, required=True)
    measuring.add_argument("--n", type=int, default=12, help="photos")
    measuring.add_argument("--adapt", action="store_true", help="measure ia+bp, too: minutes a photo")
    measuring.set_defaults(call=measure)
    options = parser.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()

"""Style inversion beside CSGM in z and in w, on the same measurements with one StyleGAN2.

    python benchmarks/style.py --prior ffhq.pkl --photos folder --operators mask:0.5 bicubic:4 --noise 0 0.05

Without photos the images are the prior's own: of one style each, which every space can make (`--space w`), or of a
style per row, near a common one, which z and w cannot (`--space w+`). Without a prior it is a tiny one with random
weights, which says how well the search works and nothing about faces. The columns: PSNR in dB, mean and worst image;
root mean square of the misfit, over the noise if there is any; passes through the network with gradient per image; and
seconds per image. CSGM gets as many passes as style inversion.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from inverso import solve
from inverso.images import load_image
from inverso.losses._distances import DISTANCES
from inverso.metrics import psnr
from inverso.operators.spec import parse_operator
from inverso.priors import StyleGAN2, load
from inverso.priors.stylegan2.prior import Space
from inverso.reconstruction import Reconstruction
from inverso.stages import CSGM, BackProject, Resume, Stage, StyleInversion

ROW_SPREAD = 0.3
OPERATORS = ("mask:0.5", "box:16", "bicubic:4", "fft:0.5", "blur:9,2")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        operator: As it prints.
        noise: Standard deviation in the image's unit.
        method: Name, with the space or the loss.
        psnr: Mean in dB.
        worst: That of the worst image.
        residual: Mean root mean square of the misfit, over the noise if there is any.
        evaluations: Passes with gradient per image.
        seconds: Per image.
    """

    operator: str
    noise: float
    method: str
    psnr: float
    worst: float
    residual: float
    evaluations: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print one line per method and write them."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    prior = _tiny() if options.prior is None else load(options.prior)
    if not isinstance(prior, StyleGAN2):
        sys.exit(f"{options.prior} holds a {type(prior).__name__}, and this is about StyleGAN2")
    x = _own(prior, options) if options.photos is None else _photos(prior, options.photos, options.images)
    methods = _methods(prior, steps=options.steps, losses=options.losses)
    print(f"StyleGAN2({prior.extra_repr()}), {len(x)} images, {options.threads} threads")
    print(f"{'operator':28} {'noise':>5} {'method':18} {'PSNR':>6} {'worst':>6} {'misfit':>8} {'passes':>6} {'s':>7}")
    rows = []
    for spec in options.operators:
        A = parse_operator(spec).build(prior.image_shape)
        for noise in options.noise:
            y = A.measure(x, noise=noise, seed=1)
            for name, (space, stage) in methods.items():
                found = solve(y, A, prior.in_space(space), stage, noise=noise, progress=False)
                answers = {name: found}
                if isinstance(stage, StyleInversion):
                    back = [Resume(found.state), BackProject()]
                    answers[f"{name} + bp"] = solve(y, A, prior, back, noise=noise, progress=False)
                for label, answer in answers.items():
                    rows.append(_row(label, answer, x))
                    print(_line(rows[-1]), flush=True)
    if options.out:
        with options.out.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=[field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", help="name or file of a StyleGAN2; by default a tiny one with random weights")
    parser.add_argument("--photos", type=Path, help="folder; by default images of the prior")
    parser.add_argument("--space", choices=["w", "w+"], default="w+", help="of the prior's own images")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--operators", nargs="+", default=list(OPERATORS), metavar="SPEC", help="as `inverso solve -A`")
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.05])
    parser.add_argument("--losses", nargs="+", default=["auto"], choices=["auto", *DISTANCES])
    parser.add_argument("--steps", type=int, default=150, help="per phase")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="CSV file")
    return parser.parse_args(arguments)


def _tiny() -> StyleGAN2:
    prior = StyleGAN2(32, z_dim=16, w_dim=16, mapping_layers=3, channel_max=16)
    prior.mean_w.copy_(prior.estimate_mean_w())
    return prior.eval()


@torch.no_grad()
def _own(prior: StyleGAN2, options: argparse.Namespace) -> Tensor:
    """Make images of the prior."""
    n, rows = options.images, prior.num_ws
    w = prior.in_space("w").sample_latent(n * (1 + rows), seed=5)
    common, each = w[:n, None], w[n:].unflatten(0, (n, rows))
    spread = ROW_SPREAD if options.space == "w+" else 0.0
    return prior.synthesize(common + spread * (each - common))


def _photos(prior: StyleGAN2, folder: Path, count: int) -> Tensor:
    files = sorted(path for path in folder.iterdir() if path.is_file())[:count]
    channels, side, _ = prior.image_shape
    return torch.cat([load_image(file, size=side, channels=channels) for file in files])


def _methods(prior: StyleGAN2, *, steps: int, losses: Sequence[str]) -> dict[str, tuple[Space, Stage]]:
    """Name the methods: in which space the prior takes latents, and the stage."""
    restarts = 2
    csgm = CSGM(steps=max(1, 3 * steps // restarts), restarts=restarts)
    methods: dict[str, tuple[Space, Stage]] = {"csgm in z": ("z", csgm), "csgm in w": ("w", csgm)}
    styles = {f"style, {loss}": (prior.space, StyleInversion(steps=steps, loss=loss)) for loss in losses}
    return {**methods, **styles}


def _row(name: str, found: Reconstruction, x: Tensor) -> Row:
    quality = psnr(found.image, x)
    return Row(
        operator=repr(found.A),
        noise=found.noise,
        method=name,
        psnr=float(quality.mean()),
        worst=float(quality.min()),
        residual=float("nan") if found.residual is None else float(found.residual.mean()),
        evaluations=sum(record.evaluations for record in found.stages),
        seconds=sum(record.seconds for record in found.stages) / len(x),
    )


def _line(row: Row) -> str:
    return (
        f"{row.operator[:28]:28} {row.noise:5.2f} {row.method:18} {row.psnr:6.2f} {row.worst:6.2f} {row.residual:8.2g} "
        f"{row.evaluations:6} {row.seconds:7.1f}"
    )


if __name__ == "__main__":
    main()

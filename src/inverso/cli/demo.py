"""`inverso demo`: reconstruct one measurement of a photo with every method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.inputs import check_apart, check_writable
from inverso.cli.options import Device, Noise, Prior, RandomSeed, examples, pick_device

if TYPE_CHECKING:
    from torch import Tensor

    from inverso._types import ImageShape
    from inverso.operators import LinearOperator
    from inverso.priors import LatentPrior
    from inverso.reconstruction import Reconstruction
    from inverso.stages import Stage

EPILOG = examples("inverso demo", "inverso demo -A bicubic:4 --noise 0.02 -o demo.png")

_METHODS = ("pinv", "csgm", "csgm+bp", "ia", "ia+bp")
_WHOLE_METHODS = ("interpolation", "tv", "pnp")
_KEPT = 0.2
_FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".pdf": "pdf", ".svg": "svg"}


@dataclass(frozen=True)
class _Score:
    """The scores of one method."""

    psnr: float
    ssim: float
    seconds: float


def demo(
    *,
    operator: Annotated[
        str, typer.Option("--operator", "-A", help="How the photo is measured.", metavar="SPEC")
    ] = "fft:0.5",
    noise: Noise = 0.0,
    prior: Prior = "faces-64",
    photo: Annotated[
        str, typer.Option("--photo", help="astronaut, camera, cat, coffee, rocket, or a file.", metavar="NAME")
    ] = "astronaut",
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.", metavar="PATH")] = Path(
        "demo.png"
    ),
    whole: Annotated[
        bool, typer.Option("--whole/--no-whole", help="Also reconstruct a whole photo at its own size.")
    ] = True,
    seed: RandomSeed = 0,
    device: Device = None,
) -> None:
    """Measure a free photo and reconstruct it by every method: a face, and a whole photo at its own size."""
    also = output.with_stem(f"{output.stem}-whole")
    _check_output(output, photo)
    if whole:
        _check_output(also, photo)
    from inverso.operators.spec import parse_operator  # noqa: PLC0415

    spec = parse_operator(operator)
    network = _load_prior(prior)
    x = _read_photo(photo, size=network.image_shape[-1])
    A = spec.build(network.image_shape)
    y = A.measure(x.to(pick_device(device)), noise=noise, seed=seed)
    answers = _reconstruct(y, A, network, noise=noise, seed=seed)
    scores = {method: _score(answer, x) for method, answer in answers.items()}
    _print(scores)
    _draw(x, {method: (answer, scores[method]) for method, answer in answers.items()}, output)
    typer.echo(f"wrote {output}")
    if whole:
        _whole(also, seed=seed, device=device)


def _whole(output: Path, *, seed: int, device: str | None) -> None:
    """Fill in the missing pixels of a whole photo, at its own size."""
    from inverso.images import photo  # noqa: PLC0415
    from inverso.operators import RandomMask  # noqa: PLC0415
    from inverso.priors import Denoiser, load  # noqa: PLC0415
    from inverso.solver import solve  # noqa: PLC0415

    x, A, denoiser = photo("astronaut", size=None), RandomMask(_KEPT, seed=seed), load("photos", kind=Denoiser)
    y = A.measure(x.to(pick_device(device)), seed=seed)
    answers = {method: solve(y, A, denoiser, method, seed=seed) for method in _WHOLE_METHODS}
    scores = {method: _score(answer, x) for method, answer in answers.items()}
    _, _, height, width = x.shape
    typer.echo(f"\n{_KEPT:.0%} of the points of a photo of {width} x {height} pixels, by the denoiser 'photos':")
    _print(scores)
    _draw(x, {method: (answers[method], scores[method]) for method in _WHOLE_METHODS}, output)
    typer.echo(f"wrote {output}")


def _check_output(output: Path, photo: str) -> None:
    """Raise if the output cannot be written, or is the photo, before the minute of work."""
    if output.suffix.lower() not in _FORMATS:
        msg = f"{output} must end in one of {', '.join(_FORMATS)}"
        raise ValueError(msg)
    check_apart(output, Path(photo))
    check_writable(output)


def _load_prior(name: str) -> LatentPrior:
    """Load a generator of square color images.

    Raises:
        ValueError: There is none of this name, or it is another kind of prior.
    """
    from inverso.priors import LatentPrior, available, load  # noqa: PLC0415

    prior = load(name)
    if isinstance(prior, LatentPrior) and _is_square(prior.image_shape):
        return prior
    given = f"makes images of shape {prior.image_shape}" if isinstance(prior, LatentPrior) else "is a denoiser"
    fit = [card for card in available() if card.url is None and _is_square(card.image_shape)]
    msg = (
        f"--prior {name} {given}, and the demo needs a generator of square color images: "
        f"{', '.join(card.name for card in fit)}, a file of one, or one that is downloaded (inverso models prior)"
    )
    raise ValueError(msg)


def _is_square(shape: ImageShape | None) -> bool:
    """Return whether images are square and in color."""
    return shape is not None and shape[0] == 3 and shape[1] == shape[2]


def _read_photo(name: str, *, size: int) -> Tensor:
    from inverso.images.io import PHOTOS, load_image, photo  # noqa: PLC0415

    return photo(name, size=size) if name in PHOTOS else load_image(name, size=size)


def _reconstruct(
    y: Tensor, A: LinearOperator, prior: LatentPrior, *, noise: float, seed: int
) -> dict[str, Reconstruction]:
    """Run every method, the prior's default last; a method whose first stages have run continues from there."""
    from inverso.methods import default_for, stages_of  # noqa: PLC0415
    from inverso.problem import Problem  # noqa: PLC0415
    from inverso.solver import solve  # noqa: PLC0415
    from inverso.stages import Resume  # noqa: PLC0415

    methods = list(dict.fromkeys((*_METHODS, default_for(Problem(y, A, prior)))))
    done: dict[tuple[Stage, ...], Reconstruction] = {}
    for method in methods:
        stages = stages_of(method)
        shared = max((len(first) for first in done if stages[: len(first)] == first), default=0)
        rest: list[Stage] = list(stages[shared:])
        if shared:
            rest.insert(0, Resume(done[stages[:shared]].state))
        done[stages] = solve(y, A, prior, rest, noise=noise, seed=seed)
    return dict(zip(methods, done.values(), strict=True))


def _score(answer: Reconstruction, x: Tensor) -> _Score:
    from inverso.metrics import psnr, ssim  # noqa: PLC0415

    image = answer.image.cpu()
    return _Score(float(psnr(image, x)), float(ssim(image, x)), sum(record.seconds for record in answer.stages))


def _print(scores: dict[str, _Score]) -> None:
    table = Table("method", box=None, pad_edge=False)
    for title in ("PSNR (dB)", "SSIM", "seconds"):
        table.add_column(title, justify="right")
    for method, score in scores.items():
        table.add_row(method, f"{score.psnr:.2f}", f"{score.ssim:.3f}", f"{score.seconds:.1f}")
    Console().print(table)


def _draw(x: Tensor, answers: dict[str, tuple[Reconstruction, _Score]], output: Path) -> None:
    """Plot the photo, its measurement as a picture, and the result of each method."""
    from inverso._files import replacing  # noqa: PLC0415
    from inverso.images.plotting import grid  # noqa: PLC0415

    measured = next(iter(answers.values()))[0].seen()
    images = {"original": x, **measured, **{method: answer.image for method, (answer, _) in answers.items()}}
    figure = grid(images, captions={method: f"{score.psnr:.2f} dB" for method, (_, score) in answers.items()})
    with replacing(output) as temporary:
        figure.savefig(temporary, format=_FORMATS[output.suffix.lower()])

"""`inverso degrade`: measure a photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from inverso._sources import existing
from inverso.cli.group import check_unused
from inverso.cli.inputs import check_apart, check_writable
from inverso.cli.options import OPERATOR_HELP, Crop, Large, Noise, RandomSeed, Size, examples

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_TOLD = 0.01
"""Share of clipped numbers from which on they are told."""

EPILOG = examples(
    "inverso degrade photo.jpg -A bicubic:4 --noise 0.02 -o y.png",
    "inverso degrade photo.jpg --size 64 -A fft:0.3 -o y.npz",
    "inverso degrade photo.jpg --damage old-photo:severe --seed 3 -o old.png --mask damaged.png",
)


def degrade(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    photo: Annotated[Path, typer.Argument(help="Picture of any format.", metavar="PHOTO")],
    *,
    operator: Annotated[str | None, typer.Option("--operator", "-A", help=OPERATOR_HELP, metavar="SPEC")] = None,
    damage: Annotated[
        str | None,
        typer.Option("--damage", help="Degradation: old-photo:severe, jpeg, rgb-noise, ...", metavar="NAME"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture, or .npz if y is not a picture.", metavar="PATH")
    ],
    noise: Noise = 0.0,
    seed: RandomSeed = 0,
    size: Size = None,
    crop: Crop = False,
    large: Large = False,
    gray: Annotated[bool, typer.Option("--gray", help="Measure one gray channel.")] = False,
    known: Annotated[
        Path | None, typer.Option("--known", help="Mask to write: white where --damage covers nothing.", metavar="PATH")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", help="Mask to write: white where it does, as restore --mask reads it.", metavar="PATH"),
    ] = None,
) -> None:
    """Measure a photo: blur it, shrink it, hide parts of it, add noise; or age it."""
    if (operator is None) == (damage is None):
        msg = "give either -A, how the photo is measured, or --damage, what happens to it"
        raise ValueError(msg)
    for option, given in (("--known", known), ("--mask", mask)):
        if given is not None and damage is None:
            msg = f"{option} {given} shows what --damage covers: add --damage"
            raise ValueError(msg)
    if operator is None:
        check_unused(ctx, ("crop",), "--damage takes photos of any size, and none is cropped; leave it out")
    existing(photo)
    from inverso._checks import check_non_negative  # noqa: PLC0415
    from inverso.images._decode import size_of  # noqa: PLC0415
    from inverso.images.io import read_image  # noqa: PLC0415
    from inverso.images.measurements import save_measurement  # noqa: PLC0415
    from inverso.jobs._fitting import fit, squared  # noqa: PLC0415
    from inverso.operators.spec import parse_operator  # noqa: PLC0415

    spec = None if operator is None else parse_operator(operator)
    check_non_negative(noise, name="--noise")
    files = (output, known, mask)
    for k, written in enumerate(files):
        check_apart(written, photo, *files[:k], *files[k + 1 :], *(() if spec is None else spec.files))
        _check_output(written, arrays=written is output)
    x, notes = read_image(photo, size=size, channels=1 if gray else 3, large=large)
    for note in (*notes, *_rounded(photo, output), *(() if size is None else squared(size_of(photo), size))):
        typer.echo(f"{photo}: {note}")
    if spec is None:
        damage = cast("str", damage)
        _damage(x, damage, output, noise=noise, seed=seed, known=known, mask=mask)
        return
    fitted = fit(x, spec, crop=crop, file=photo, size=size)
    for note in fitted.notes:
        typer.echo(f"{photo}: {note}")
    x = fitted.image
    channels, height, width = x.shape[1:]
    A = spec.build((channels, height, width))
    y = A.measure(x, noise=noise, seed=seed)
    save_measurement(y, output)
    kind = "complex" if y.is_complex() else "real"
    typer.echo(f"{output}: {' × '.join(map(str, y.shape[1:]))} {kind} numbers by {A!r}, noise {noise:g}")
    _tell_clipped(y, output)


def _check_output(output: Path | None, *, arrays: bool) -> None:
    """Raise if a file cannot be written, before anything is computed."""
    if output is None:
        return
    check_writable(output)
    from inverso.images._encode import picture_format  # noqa: PLC0415

    if not (arrays and _is_array(output)):
        picture_format(output)


def _is_array(output: Path) -> bool:
    return output.suffix.lower() == ".npz"


def _rounded(photo: Path, output: Path) -> tuple[str, ...]:
    """Say that a picture of a measurement has fewer bits than the photo."""
    from inverso.images._decode import metadata_of  # noqa: PLC0415

    depth = 8 if _is_array(output) else metadata_of(photo)[2]
    return () if depth == 8 else (f"of its {depth} bits per channel 8 are written; an .npz keeps them all",)


def _tell_clipped(y: Tensor, output: Path) -> None:
    """Say that a picture does not hold all of a measurement, but for the little that swings beyond at edges."""
    if _is_array(output):
        return
    share = float(((y < 0) | (y > 1)).double().mean())
    if share >= _LEAST_TOLD:
        typer.echo(
            f"{output}: {100 * share:.0f} % of the numbers, beyond black or white, were clipped; an .npz keeps them"
        )


def _damage(
    x: Tensor, damage: str, output: Path, *, noise: float, seed: int, known: Path | None, mask: Path | None
) -> None:
    """Damage a photo, write it and what was left, and say how much is covered."""
    import torch  # noqa: PLC0415

    from inverso._random import normal  # noqa: PLC0415
    from inverso.degradations import named  # noqa: PLC0415
    from inverso.images.io import save_image  # noqa: PLC0415
    from inverso.images.measurements import save_measurement  # noqa: PLC0415

    generator = torch.Generator().manual_seed(seed)
    degraded = named(damage)(x, seed=seed)
    y = degraded.y
    if noise > 0:
        y = y + noise * normal(y.shape, generator)
    save_measurement(y, output)
    for file, white in ((known, degraded.known), (mask, ~degraded.known)):
        if file is not None:
            save_image(white.float(), file)
    share = 100 * float((~degraded.known).double().mean())
    typer.echo(f"{output}: {' × '.join(map(str, y.shape[1:]))} numbers after {damage}, {share:.1f} % covered")
    _tell_clipped(y, output)

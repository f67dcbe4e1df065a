"""Commands of `inverso single` that use a fitted prior."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inverso.cli.inputs import check_picture, check_writable
from inverso.cli.options import RandomSeed, examples

if TYPE_CHECKING:
    from torch import Tensor

    from inverso.priors import SinGAN

SAMPLE_EPILOG = examples(
    "inverso single sample photo.safetensors -n 9 -o sheet.png",
    "inverso single sample photo.safetensors --size 100x300 -o panorama.png",
    "inverso single sample photo.safetensors -n 100 --start-scale 1 -o samples/",
)
RECONSTRUCT_EPILOG = examples("inverso single reconstruct photo.safetensors -o again.png")
HARMONIZE_EPILOG = examples("inverso single harmonize photo.safetensors pasted.png mask.png -o out.png")
EDIT_EPILOG = examples("inverso single edit photo.safetensors edited.png mask.png -o out.png")
PAINT_EPILOG = examples("inverso single paint photo.safetensors sketch.png -o out.png")
SUPER_RESOLVE_EPILOG = examples("inverso single super-resolve photo.safetensors --factor 4 -o large.png")
ANIMATE_EPILOG = examples("inverso single animate photo.safetensors --frames 60 -o film.gif")

_Model = Annotated[Path, typer.Argument(help="File written by `inverso single fit`.", metavar="MODEL")]
_Mask = Annotated[Path, typer.Argument(help="Picture, white where it was changed and black elsewhere.", metavar="MASK")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="Picture to write.", metavar="PATH")]
_StartScale = Annotated[
    int | None,
    typer.Option("--start-scale", help="First random scale; 1 changes most, -1 least.", metavar="K"),
]
_Dilate = Annotated[int | None, typer.Option("--dilate", help="Pixels by which the mask grows.", metavar="PIXELS")]
_Blend = Annotated[
    float | None, typer.Option("--blend", help="Standard deviation of the blur of its edge.", metavar="PIXELS")
]


def sample(
    model: _Model,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Picture, a sheet of several; or a folder for one each.", metavar="PATH"),
    ],
    n: Annotated[int, typer.Option("--number", "-n", help="How many.")] = 1,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Height first: 100x300 is wide. By default the photo's.", metavar="HEIGHTxWIDTH"),
    ] = None,
    start_scale: Annotated[
        int, typer.Option("--start-scale", help="First random scale; higher ones stay closer to the photo.")
    ] = 0,
    columns: Annotated[int | None, typer.Option("--columns", help="Samples per row of the sheet.")] = None,
    seed: RandomSeed = 0,
) -> None:
    """Draw random images with the structure and textures of the photo."""
    from inverso.images.io import save_image  # noqa: PLC0415

    sides = None if size is None else _sides(size)
    sheet = bool(output.suffix) and not output.is_dir()
    if sheet:
        check_picture(output, model)
    elif not output.exists():
        check_writable(output)
    if columns is not None:
        _check_columns(columns, n, output, sheet=sheet)
    images = _load(model).sample(n, size=sides, start_scale=start_scale, seed=seed)
    if sheet:
        save_image(images, output, columns=columns)
    else:
        output.mkdir(exist_ok=True)
        for k, image in enumerate(images):
            save_image(image, output / f"sample-{k:0{len(str(n - 1))}}.png")
    typer.echo(f"wrote {output}")


def reconstruct(
    model: _Model,
    *,
    output: _Output,
    scale: Annotated[int, typer.Option("--scale", help="Scale to stop at, 0 being the coarsest.")] = -1,
) -> None:
    """Reconstruct the photo from its fixed noise, and report the PSNR."""
    import torch  # noqa: PLC0415

    from inverso.images.io import save_image  # noqa: PLC0415
    from inverso.metrics import psnr  # noqa: PLC0415

    check_picture(output, model)
    prior = _load(model)
    with torch.no_grad():
        image = prior.reconstruct(scale)
    save_image(image, output)
    typer.echo(f"psnr {float(psnr(image, prior.real(scale))):.4g} dB")
    typer.echo(f"wrote {output}")


def harmonize(
    model: _Model,
    image: Annotated[Path, typer.Argument(help="The photo with an object pasted in.", metavar="IMAGE")],
    mask: _Mask,
    *,
    output: _Output,
    start_scale: _StartScale = None,
    dilate: _Dilate = None,
    blend: _Blend = None,
    seed: RandomSeed = 0,
) -> None:
    """Fit a pasted object to the photo's colors and textures."""
    check_picture(output, model, image, mask)
    prior = _load(model)
    draw = partial(prior.harmonize, start_scale=start_scale, dilate=dilate, blend=blend, seed=seed)
    _save(draw(*_read_edited(image, mask, prior)), output)


def edit(
    model: _Model,
    image: Annotated[Path, typer.Argument(help="The edited photo.", metavar="IMAGE")],
    mask: _Mask,
    *,
    output: _Output,
    start_scale: _StartScale = None,
    dilate: _Dilate = None,
    blend: _Blend = None,
    seed: RandomSeed = 0,
) -> None:
    """Make an edited photo, with parts removed, moved, stretched or covered, look natural."""
    check_picture(output, model, image, mask)
    prior = _load(model)
    draw = partial(prior.edit, start_scale=start_scale, dilate=dilate, blend=blend, seed=seed)
    _save(draw(*_read_edited(image, mask, prior)), output)


def paint(
    model: _Model,
    sketch: Annotated[Path, typer.Argument(help="A sketch of flat colors, of the photo's shape.", metavar="SKETCH")],
    *,
    output: _Output,
    start_scale: _StartScale = None,
    colors: Annotated[int, typer.Option("--colors", help="Colors of the photo it gets; 0 leaves its own.")] = 5,
    seed: RandomSeed = 0,
) -> None:
    """Turn a sketch into an image with the photo's textures."""
    if colors != 0 and colors < 2:
        msg = f"--colors must be 0, which leaves the sketch its own, or an integer of at least 2, got {colors}"
        raise ValueError(msg)
    check_picture(output, model, sketch)
    prior = _load(model)
    _save(prior.paint_to_image(_read(sketch, prior), start_scale=start_scale, colors=colors or None, seed=seed), output)


def super_resolve(
    model: _Model,
    *,
    factor: Annotated[float, typer.Option("--factor", help="How much larger, above 1.")],
    output: _Output,
    image: Annotated[
        Path | None, typer.Option("--image", help="Enlarge this picture instead of the photo.", metavar="IMAGE")
    ] = None,
    back_projections: Annotated[
        int, typer.Option("--back-projections", help="Per step; 0 lets colors and edges drift, as SinGAN does.")
    ] = 2,
    seed: RandomSeed = 0,
) -> None:
    """Enlarge the photo, with details like those of its own patches."""
    check_picture(output, model, image)
    prior = _load(model)
    given = None if image is None else _load_picture(image, prior)
    large = prior.super_resolve(factor, image=given, back_projections=back_projections, seed=seed, progress=True)
    _save(large, output)


def animate(
    model: _Model,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; it ends in .gif.", metavar="PATH")],
    frames: Annotated[int, typer.Option("--frames", help="How many.")] = 40,
    start_scale: Annotated[
        int, typer.Option("--start-scale", help="First scale that moves; 0 moves most, -1 least.", metavar="K")
    ] = 0,
    alpha: Annotated[float, typer.Option("--alpha", help="Pull back to the photo, 0 to 1.")] = 0.1,
    beta: Annotated[float, typer.Option("--beta", help="Smoothness of the motion, 0 to 1.")] = 0.9,
    fps: Annotated[float, typer.Option("--fps", help="Frames a second.")] = 10.0,
    seed: RandomSeed = 0,
) -> None:
    """Animate the photo."""
    from inverso.priors.singan import save_animation  # noqa: PLC0415
    from inverso.priors.singan.animation import check_film  # noqa: PLC0415

    check_film(output, fps=fps)
    check_writable(output)
    prior = _load(model)
    film = prior.animate(frames, start_scale=start_scale, alpha=alpha, beta=beta, seed=seed)
    save_animation(film, output, fps=fps)
    typer.echo(f"wrote {output}")


def _save(images: Tensor, output: Path) -> None:
    from inverso.images.io import save_image  # noqa: PLC0415

    save_image(images, output)
    typer.echo(f"wrote {output}")


def _load(model: Path) -> SinGAN:
    from inverso._sources import existing  # noqa: PLC0415
    from inverso.priors import SinGAN, load  # noqa: PLC0415

    prior = load(existing(model))
    if not isinstance(prior, SinGAN):
        family = type(prior).__name__
        msg = f"{model} holds a {family}, not a prior of a single photo: make one with inverso single fit"
        raise ValueError(msg)
    return prior


def _check_columns(columns: int, n: int, output: Path, *, sheet: bool) -> None:
    from inverso._checks import check_count  # noqa: PLC0415

    if not sheet:
        msg = f"--columns arranges the samples of a sheet, and {output} is a folder of one file each: leave it out"
        raise ValueError(msg)
    check_count(columns, name="--columns")
    if columns > check_count(n, name="--number"):
        msg = f"--columns must be at most {n}, the --number of samples, got {columns}"
        raise ValueError(msg)


def _sides(text: str) -> tuple[int, int]:
    words = text.lower().split("x")
    try:
        height, width = (int(word) for word in words)
    except ValueError as error:
        msg = f"--size takes the height first and then the width, as in 100x300, got {text!r}"
        raise ValueError(msg) from error
    return height, width


def _load_picture(path: Path, prior: SinGAN) -> Tensor:
    """Read a picture in the channels of the prior, and say what is changed by that."""
    from inverso.images.io import read_image  # noqa: PLC0415
    from inverso.images.photo import luminance  # noqa: PLC0415

    picture, notes = read_image(path)
    for note in notes:
        typer.echo(f"{path}: {note}", err=True)
    if prior.image_shape[0] == picture.shape[1]:
        return picture
    if bool((picture == picture[:, :1]).all()):
        return picture[:, :1]
    typer.echo(f"{path}: its colors are left out, as the photo that was learned is gray", err=True)
    return luminance(picture)


def _read(path: Path, prior: SinGAN) -> Tensor:
    """Read a picture of the photo; one of another size and the same shape is resized, with a note."""
    picture = _load_picture(path, prior)
    return _resized(path, picture, prior.sizes[-1], whose="as the photo was learned")


def _read_edited(image: Path, mask: Path, prior: SinGAN) -> tuple[Tensor, Tensor]:
    """Read an edited photo, which keeps its size if it is larger than the one that was learned, and its mask."""
    from inverso.images.marks import read_mask  # noqa: PLC0415

    picture = _load_picture(image, prior)
    # Of a mask what is transparent is not painted.
    painted = read_mask(mask).float()
    height, width = prior.sizes[-1]
    if min(picture.shape[-2] / height, picture.shape[-1] / width) <= 1:
        picture = _resized(image, picture, (height, width), whose="as the photo was learned")
    else:
        _check_shape(image, picture, (height, width))
        typer.echo(
            f"{image}: what is drawn anew is enlarged from {_sides_of((height, width))} pixels, the rest is kept",
            err=True,
        )
    return picture, _resized(mask, painted, (picture.shape[-2], picture.shape[-1]), whose="as the image has")


def _resized(path: Path, picture: Tensor, wanted: tuple[int, int], *, whose: str) -> Tensor:
    from inverso.priors.singan._resize import resize  # noqa: PLC0415

    given = (picture.shape[-2], picture.shape[-1])
    if given == wanted:
        return picture
    _check_shape(path, picture, wanted)
    typer.echo(f"resized {path} from {_sides_of(given)} to {_sides_of(wanted)} pixels, {whose}", err=True)
    return resize(picture, wanted).clamp(0, 1)


def _check_shape(path: Path, picture: Tensor, wanted: tuple[int, int]) -> None:
    from inverso.priors.singan._editing import are_alike  # noqa: PLC0415

    given = (picture.shape[-2], picture.shape[-1])
    if not are_alike(given, wanted):
        msg = f"{path} is of {_sides_of(given)} pixels, and the photo of {_sides_of(wanted)}: make it the same shape"
        raise ValueError(msg)


def _sides_of(size: tuple[int, int]) -> str:
    """Write a size `(height, width)` as every command does, the width first."""
    return f"{size[1]} x {size[0]}"

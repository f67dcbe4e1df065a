"""`inverso export`: write a network as ONNX, for machines without PyTorch."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, cast

import typer

from inverso._files import check_folder
from inverso.cli.group import check_unused
from inverso.cli.inputs import check_apart, check_writable
from inverso.cli.options import RandomSeed, examples

if TYPE_CHECKING:
    from torch import Tensor, nn

_SUFFIX = ".onnx"

EPILOG = examples(
    "inverso export faces-64 -o faces.onnx",
    "inverso export faces-64 -o faces-int8.onnx --int8 --data photos/",
    "inverso export photos -o photos.onnx",
    "inverso export faces-64 --kind prior -o generator.onnx",
    "inverso export photos --web site/",
)


def export(  # noqa: PLR0913 - two kinds of output
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Name or file of a restorer, denoiser or generator.", metavar="MODEL")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="ONNX file to write.", metavar="FILE", show_default=False)
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option("--web", help="Folder to write a page into that runs the network in a browser.", metavar="DIR"),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            "--bits", help="Bits per weight of a page: 1 to 8, 16 or 32; by default 8, or 16 if 8 lose too much."
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option("--runtime", help="Folder of the npm package onnxruntime-web, for a page.", metavar="DIR"),
    ] = None,
    webgpu: Annotated[
        bool, typer.Option("--webgpu/--no-webgpu", help="Put the runtime for graphics cards into the page's folder.")
    ] = True,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="restorer or prior, for a name that both have: a restorer by default."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Compute in 8-bit integers.")] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Photos to calibrate --int8, which is faster then.", metavar="DIR"),
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Photos taken from --data.")] = 32,
    size: Annotated[
        int,
        typer.Option(
            "--size", help="Side of these photos, and of the image to export with, in pixels.", metavar="PIXELS"
        ),
    ] = 64,
    seed: RandomSeed = 0,
) -> None:
    """Write a network as an ONNX file, or as a page that runs it in its visitor's browser and uploads nothing.

    The file takes any batch size, and any image size if the network does. The page needs ONNX Runtime Web, which is
    taken from node_modules if it is installed there, and otherwise downloaded once by npm.
    """
    from inverso.cli.networks import load_network  # noqa: PLC0415
    from inverso.compression.onnx import quantize_onnx, to_onnx  # noqa: PLC0415
    from inverso.priors import Denoiser, LatentPrior  # noqa: PLC0415

    if (output is None) == (web is None):
        msg = "give -o FILE for an ONNX file or --web DIR for a page, one of the two"
        raise ValueError(msg)
    if web is None:
        reason = "only a page has that, with --web DIR; the weights of an ONNX file are rounded by --int8"
        check_unused(ctx, ("bits", "runtime", "webgpu"), reason)
    else:
        reason = "only an ONNX file has that, with -o FILE; --bits says how the weights of a page are rounded"
        check_unused(ctx, ("int8", "data", "n", "size", "seed"), reason)
    if not int8:
        check_unused(ctx, ("data",), "it shows --int8 the range of values; add --int8")
    if data is None:
        check_unused(ctx, ("n", "seed"), "there are no photos to choose and degrade; add --data DIR")
    _check_target(output, web, model)
    network = load_network(model, kind)
    if data is not None and isinstance(network, Denoiser | LatentPrior):
        msg = f"--data shows --int8 the images that a restorer takes, and {model} is a {type(network).__name__}"
        raise ValueError(msg)
    if output is None:
        _write_page(model, network, cast("Path", web), bits=bits, runtime=runtime, webgpu=webgpu)
        return
    images = None if data is None else _degraded(data, n=n, size=size, seed=seed)
    if int8:
        with TemporaryDirectory() as folder:
            whole = Path(folder, "network.onnx")
            to_onnx(network, whole, size=size)
            quantize_onnx(whole, output, images=images)
    else:
        to_onnx(network, output, size=size)
    typer.echo(f"wrote {output} ({output.stat().st_size / 1e6:.2f} MB)")


def _check_target(output: Path | None, web: Path | None, model: str) -> None:
    """Raise if the file or the folder cannot be written, before the network is exported."""
    if web is not None:
        check_folder(web, name="--web")
    if output is None:
        return
    check_apart(output, Path(model))
    check_writable(output)
    if output.suffix.lower() != _SUFFIX:
        msg = f"{output} must end in {_SUFFIX}"
        raise ValueError(msg)


def _write_page(
    model: str, network: nn.Module, folder: Path, *, bits: int | None, runtime: Path | None, webgpu: bool
) -> None:
    from inverso.browser import write_page  # noqa: PLC0415
    from inverso.cli.networks import find_card  # noqa: PLC0415

    page = write_page(
        network,
        folder,
        name=Path(model).stem,
        bits=bits,
        card=find_card(model, network),
        runtime=runtime,
        webgpu=webgpu,
    )
    typer.echo(
        f"wrote {folder}: {page.sent / 1e6:.2f} MB of page and network with {page.bits} bits a weight, "
        f"{page.runtime / 1e6:.1f} MB of ONNX Runtime Web; answers differ by {255 * page.difference:.2f} of 255"
    )
    typer.echo(f"to look at it: python -m http.server -d {folder}")


def _degraded(data: Path, *, n: int, size: int, seed: int) -> Tensor:
    """Degrade photos as in the training of the paper's restorer."""
    from inverso._random import step_generator  # noqa: PLC0415
    from inverso.degradations import Mixture, named  # noqa: PLC0415
    from inverso.images.folders import PhotoFolder  # noqa: PLC0415

    photos = PhotoFolder.read(data, size=size, progress=False)
    if len(photos) < n:
        typer.echo(f"--data has {len(photos)} photos, fewer than --n {n}: all are taken", err=True)
    chosen = photos.split(n)[1] if n < len(photos) else photos
    mixture = Mixture(tuple(named(name) for name in ("white-noise", "rgb-noise", "white-box")))
    return mixture(chosen.photos.float() / 255, seed=step_generator(seed, 0, stream=0)).y

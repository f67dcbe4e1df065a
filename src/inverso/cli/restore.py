"""`inverso restore`: repair a photo, without an operator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from tqdm import tqdm

from inverso._sources import existing
from inverso.cli.group import options_of
from inverso.cli.inputs import output_of
from inverso.cli.many import (
    HOUR,
    Again,
    Gpus,
    On,
    TimeLimit,
    Workers,
    are_many,
    check_alone,
    pick_executor,
    run_many,
    show_many,
)
from inverso.cli.options import AsJSON, Device, Face, FaceAt, Large, examples, pick_device

if TYPE_CHECKING:
    from inverso.jobs.restore import MaskFiles
    from inverso.repair import Repair

_FACES = "faces-64"

EPILOG = examples(
    "inverso restore photo.jpg -o clean.jpg",
    "inverso restore photo.jpg --mask scratches.png -o whole.jpg",
    "inverso restore small.jpg --scale 2 -o large.png",
    "inverso restore soft.jpg --blur auto -o sharp.jpg",
    "inverso restore print.jpg --old -o new.jpg",
    "inverso restore print.jpg --old --keep writing.png --found filled.png -o new.jpg",
    "inverso restore portrait.jpg --mask scratches.png --face -o whole.jpg",
    "inverso restore album/ --old --color -o restored/",
)


def restore(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    photos: Annotated[
        list[str],
        typer.Argument(help="Photo of any size and kind, or many, in a folder, table or URL.", metavar="PHOTO"),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write; a folder for several.", metavar="PATH"),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", help="Picture as large as the photo, white where it is damaged.", metavar="PICTURE"),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="Picture as large, white where nothing is damage or stain.", metavar="PICTURE"),
    ] = None,
    found: Annotated[
        Path | None,
        typer.Option("--found", help="Where to write a picture, white where damage was filled.", metavar="PATH"),
    ] = None,
    scale: Annotated[int, typer.Option("--scale", help="Factor of enlargement, 1 to 8.", metavar="TIMES")] = 1,
    blur: Annotated[
        str, typer.Option("--blur", help="auto, or the sigma in pixels of a Gaussian blur to undo.", metavar="SIGMA")
    ] = "0",
    disk: Annotated[
        bool, typer.Option("--disk", help="--blur is the radius of a disk, as of a lens out of focus.")
    ] = False,
    noise: Annotated[
        str, typer.Option("--noise", help="auto, or the noise to remove; white is 1.", metavar="LEVEL")
    ] = "auto",
    old: Annotated[
        bool, typer.Option("--old", help="Fill cracks, scratches and dust; undo stains and faded tones.")
    ] = False,
    stains: Annotated[
        bool, typer.Option("--stains/--no-stains", help="Take brown stains off a print of one color, with --old.")
    ] = True,
    color: Annotated[bool, typer.Option("--color", help="Undo faded colors and sepia, too.")] = False,
    detector: Annotated[
        str | None,
        typer.Option("--detector", help="Detector of damage for --old: a name, a file, or shape.", metavar="NAME"),
    ] = None,
    face: Face = False,
    face_at: FaceAt = None,
    prior: Annotated[
        str, typer.Option("--prior", help="A denoiser: its name, or a checkpoint file.", metavar="NAME")
    ] = "photos",
    face_prior: Annotated[
        str | None, typer.Option("--face-prior", help="Prior of aligned faces, for --face.", metavar="NAME")
    ] = None,
    large: Large = False,
    cut: Annotated[bool, typer.Option("--cut", help="Read what is there of a JPEG that ends too early.")] = False,
    device: Device = None,
    as_json: AsJSON = False,
    on: On = "local",
    workers: Workers = None,
    gpus: Gpus = None,
    time_limit: TimeLimit = HOUR,
    again: Again = False,
) -> None:
    """Repair a photo: remove noise, fill scratches, enlarge, sharpen; a good photo is left as it is."""
    face = face or bool(face_at)
    _check_needs(
        (detector is None or old, f"--detector {detector} finds the damage that --old fills: add --old"),
        (stains or old, "--no-stains leaves what --old would take off: add --old, or leave it out"),
        (keep is None or old, f"--keep {keep} protects from what --old would change: add --old, or leave it out"),
        (
            found is None or old or mask is not None,
            f"--found {found} shows what --old or --mask fills: add one of them, or leave it out",
        ),
        (
            face_prior is None or face,
            f"--face-prior {face_prior} is for the faces that --face restores: add --face, or leave it out",
        ),
    )
    level = _auto_or_number(noise, "--noise", "a number, of 1 for white")
    softness = _auto_or_number(blur, "--blur", "a number of pixels")
    many = are_many(photos)
    if many:
        _check_of_many({"--mask": mask, "--keep": keep, "--found": found}, face_at)
    else:
        check_alone(ctx)
        existing(photos[0])
    from inverso.jobs.restore import FINDER, MaskFiles, Restore  # noqa: PLC0415
    from inverso.repair import Repair  # noqa: PLC0415

    face_prior = face_prior or _FACES
    settings = Repair(scale=scale, blur=softness, disk=disk, noise=level, old=old, stains=stains, color=color)
    if many:
        executor = pick_executor(on, workers=workers, time_limit=time_limit, device=device, gpus=gpus)
        job = Restore(
            repair=settings,
            prior=prior,
            large=large,
            cut=cut,
            detector=detector or FINDER,
            faces=face_prior if face else None,
        )
        options = options_of(ctx)
        summary = run_many(photos, job, output, executor, again=again, progress=not as_json, options=options)
        show_many(summary, as_json=as_json, options=options)
        return
    photo = Path(photos[0])
    read = (mask, keep, Path(detector) if detector else None)
    target = output_of(photo, output or _beside(photo), also=read)
    damage = None if found is None else output_of(photo, found, also=(*read, target))
    report = _restore_one(
        photo,
        target,
        settings,
        prior=prior,
        masks=MaskFiles(mask=mask, keep=keep, found=damage),
        detector=detector or FINDER,
        faces=(face_prior, tuple(face_at or ())) if face else None,
        large=large,
        cut=cut,
        device=device,
        quiet=as_json,
    )
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for line in report["said"]:
        typer.echo(line)
    typer.echo(f"wrote {target}" + (f" and {damage}" if damage else ""))


def _check_needs(*needs: tuple[bool, str]) -> None:
    """Raise with the message of the first option that is given without the one that it needs."""
    for fulfilled, message in needs:
        if not fulfilled:
            raise ValueError(message)


def _check_of_many(of_one: Mapping[str, Path | None], face_at: Sequence[str] | None) -> None:
    """Raise for options of a single photo where several are given."""
    for option, given in of_one.items():
        if given is not None:
            msg = f"{option} {given} is of one photo, and several were given: restore it separately"
            raise ValueError(msg)
    if face_at:
        msg = f"--face-at {face_at[0]} is of one photo, and several were given: --face looks for faces in each"
        raise ValueError(msg)


def _restore_one(  # noqa: PLR0913 - what one photo needs of them
    source: Path,
    target: Path,
    settings: Repair,
    *,
    prior: str,
    masks: MaskFiles,
    detector: str,
    faces: tuple[str, Sequence[str]] | None,
    large: bool,
    cut: bool,
    device: str | None,
    quiet: bool,
) -> dict[str, Any]:
    """Restore one file, with a progress bar."""
    from inverso.jobs.restore import load_denoiser, load_faces, load_finder, restore_file  # noqa: PLC0415

    place = pick_device(device)
    denoiser = load_denoiser(prior).to(place)
    finder = load_finder(detector, settings, device=place)
    with tqdm(
        total=1.0, desc=source.name, bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}", leave=False,
        # Not in a log file.
        disable=quiet or None,
    ) as bar:  # fmt: skip

        def show(done: float, total: int) -> None:
            bar.update(done / total - bar.n)

        return restore_file(
            source,
            target,
            settings,
            denoiser=denoiser,
            masks=masks,
            detector=finder,
            faces=None if faces is None else load_faces(*faces, device=place),
            large=large,
            cut=cut,
            progress=show,
        )


def _beside(photo: Path) -> Path:
    """Return the default output: beside the photo and in its format, or as PNG if that cannot be written."""
    from inverso.images._encode import picture_format  # noqa: PLC0415

    default = photo.with_name(f"{photo.stem}-restored{photo.suffix}")
    try:
        picture_format(default)
    except ValueError:
        return photo.with_name(f"{photo.stem}-restored.png")
    return default


def _auto_or_number(text: str, option: str, number: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        msg = f"{option} must be auto or {number}, got {text!r}"
        raise ValueError(msg) from error

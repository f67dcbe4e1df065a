"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

OPERATOR_HELP = "How y is measured, such as fft:0.3; A@B applies B first."

Noise: TypeAlias = Annotated[
    float, typer.Option("--noise", help="Standard deviation of the noise; white is 1.", metavar="SIGMA")
]
RandomSeed: TypeAlias = Annotated[int, typer.Option("--seed", help="Seed of all random numbers.")]
Size: TypeAlias = Annotated[
    int | None, typer.Option("--size", help="Resize the central square of photos to this side.", metavar="PIXELS")
]
Prior: TypeAlias = Annotated[
    str,
    typer.Option("--prior", help="Name from `inverso models`, a checkpoint file, or hf:OWNER/NAME.", metavar="NAME"),
]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, ...; by default a GPU if there is one.")
]
Crop: TypeAlias = Annotated[bool, typer.Option("--crop", help="Crop photos to multiples of the operator's scale.")]
Large: TypeAlias = Annotated[bool, typer.Option("--large", help="Read more than 100 megapixels.")]
AsJSON: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else, on stdout.")]


Face: TypeAlias = Annotated[bool, typer.Option("--face", help="Find the faces in the photo, and restore them.")]
FaceAt: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--face-at", help="A face's center and side, in pixels; one option for each.", metavar="X,Y,SIDE"),
]


def examples(*lines: str) -> str:
    """Write the examples for a command's help, one per line."""
    return "\n\n".join(("Examples:", *lines))


def pick_device(device: str | None) -> str:
    """Check the name of a device, or choose one.

    Raises:
        ValueError: The device is unknown or not available.
    """
    import torch  # noqa: PLC0415

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        msg = f"device {device!r} cannot be used: {str(error).splitlines()[0]}"
        raise ValueError(msg) from error
    return device

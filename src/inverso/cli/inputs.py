"""Output paths of commands."""

from __future__ import annotations

import os
from pathlib import Path


def output_of(file: Path, output: Path) -> Path:
    """Choose the output path for a file.

    Args:
        file: The input.
        output: The requested output: a picture, or a folder for a picture with the name of the input.

    Raises:
        FileNotFoundError: The folder to write into does not exist.
        ValueError: The input would be overwritten, or the output is not a picture.
    """
    from inverso.images._encode import picture_format  # noqa: PLC0415

    target = output / f"{file.stem}.png" if output.is_dir() else output
    if not target.parent.is_dir():
        msg = f"the folder {target.parent} does not exist; create it, or write elsewhere"
        raise FileNotFoundError(msg)
    # Unlike Path.resolve, this takes links that go round in a circle.
    if os.path.realpath(target) == os.path.realpath(file):
        msg = f"{target} is one of the inputs and would be overwritten; write elsewhere"
        raise ValueError(msg)
    picture_format(target)
    return target

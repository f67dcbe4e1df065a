"""Output paths of commands."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile

from inverso._sources import existing


def output_of(file: Path, output: Path, *, also: tuple[Path | None, ...] = ()) -> Path:
    """Choose the output path for a file.

    Args:
        file: The input.
        output: The requested output: a picture, or a folder for a picture with the name of the input.
        also: Other input files.

    Raises:
        FileNotFoundError: The input, or the folder to write into, does not exist.
        PermissionError: The folder is read-only.
        ValueError: An input would be overwritten, or the output is not a picture.
    """
    # First: with a mistyped folder of photos, the folder of answers would be refused, which is no picture.
    existing(file)
    target = output / f"{file.stem}.png" if output.is_dir() else output
    check_picture(target, file, *also)
    return target


def check_picture(output: Path, *inputs: Path | None) -> None:
    """Check that a picture can be written, before anything is computed.

    Raises:
        FileNotFoundError: The folder to write into does not exist.
        IsADirectoryError: The output is a folder.
        PermissionError: The folder is read-only, or no place for files.
        ValueError: An input would be overwritten, or the output is no picture.
    """
    from inverso.images._encode import picture_format  # noqa: PLC0415

    check_apart(output, *inputs)
    check_writable(output)
    picture_format(output)


def check_apart(output: Path | None, *inputs: Path | None) -> None:
    """Check that the output is none of the input files.

    Raises:
        ValueError: The output is one of the inputs, or a link to one.
    """
    # Unlike Path.resolve, this takes links that go round in a circle.
    read = {os.path.realpath(file) for file in inputs if file is not None}
    if output is not None and os.path.realpath(output) in read:
        msg = f"{output} is one of the inputs and would be overwritten; write elsewhere"
        raise ValueError(msg)


def check_writable(output: Path) -> None:
    """Check that the output can be written, before anything is computed.

    Raises:
        FileNotFoundError: The folder does not exist.
        IsADirectoryError: There is a folder of this name.
        PermissionError: The folder is read-only, or no place for files.
    """
    if output.is_dir():
        msg = f"{output} is a folder; name a file in it"
        raise IsADirectoryError(msg)
    if not output.parent.is_dir():
        msg = f"the folder {output.parent} does not exist; create it, or write elsewhere"
        raise FileNotFoundError(msg)
    # Of a link, the target is replaced.
    folder = Path(os.path.realpath(output)).parent
    if not os.access(folder, os.W_OK):
        msg = f"{output} cannot be written: the folder {folder} may only be read; write elsewhere"
        raise PermissionError(msg)
    try:
        # The rights do not tell of folders such as /proc.
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"{output} cannot be written: the folder {folder} takes no files; write elsewhere"
        raise PermissionError(msg) from error

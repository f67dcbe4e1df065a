"""Which files a command reads, and which it writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

NPZ = ".npz"


def collect(inputs: Sequence[Path]) -> list[Path]:
    """List files, and those in folders that are pictures or measurements, by name.

    Raises:
        ValueError: A folder holds none.
    """
    from inverso.images.folders import pictures_in  # noqa: PLC0415

    files: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            files.append(path)
            continue
        found = pictures_in(path, also=frozenset({NPZ}))
        if not found:
            msg = f"the folder {path} holds neither pictures nor {NPZ} files"
            raise ValueError(msg)
        files += found
    return files


def pair_outputs(files: Sequence[Path], output: Path | None, *, several: bool, tag: str) -> list[Path]:
    """Choose where the answer to each file goes.

    Args:
        files: The inputs.
        output: What was asked for: a picture for one input, a folder for several; None for `<name>-<tag>.png` here.
        several: Whether `output` must be a folder.
        tag: What tells the default output from its input.

    Raises:
        FileNotFoundError: The folder to write into (for several inputs: the one above it) does not exist.
        ValueError: Several inputs have no folder to go to, two would be written to the same file, an input would be
            overwritten, or an output is no picture.
    """
    from inverso.images.encode import picture_format  # noqa: PLC0415

    if not several:
        single = Path(f"{files[0].stem}-{tag}.png") if output is None else output
        outputs = [single / f"{files[0].stem}.png" if single.is_dir() else single]
        _check_folder(outputs[0].parent)
    elif output is None or (output.exists() and not output.is_dir()) or (not output.exists() and output.suffix):
        given = "none was given" if output is None else f"{output} is none"
        msg = f"several inputs need a folder to write to, and {given}: add -o FOLDER"
        raise ValueError(msg)
    else:
        _check_folder(output.parent)
        outputs = [output / f"{file.stem}.png" for file in files]
    _check_distinct(files, outputs)
    for path in outputs:
        picture_format(path)
    return outputs


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        msg = f"the folder {folder} does not exist; create it, or write elsewhere"
        raise FileNotFoundError(msg)


def _check_distinct(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    sources: dict[Path, Path] = {}
    read = {file.resolve() for file in files}
    for file, output in zip(files, outputs, strict=True):
        if output in sources:
            msg = f"{sources[output]} and {file} would both be written to {output}; solve them apart"
            raise ValueError(msg)
        if output.resolve() in read:
            msg = f"{output} is one of the inputs and would be overwritten; write elsewhere"
            raise ValueError(msg)
        sources[output] = file

"""Encoders by name: the embedded ones, and files of your own."""

from __future__ import annotations

from pathlib import Path

from inverso.networks.files import embedded
from inverso.priors.encoder.files import read_encoder
from inverso.priors.encoder.network import LatentEncoder

NAMES = ("faces-64",)


def available() -> tuple[str, ...]:
    """List the encoders that can be loaded by name, that of the prior they belong to.

    Example:
        >>> from inverso.priors.encoder import available
        >>> available()
        ('faces-64',)
    """
    return NAMES


def load(name_or_path: str | Path) -> LatentEncoder:
    """Load an encoder by its name, or from a file.

    Embedded encoders work offline. Nothing in a file is ever executed.

    Args:
        name_or_path: A name that `available` lists, or the path of a file that `save_encoder` wrote. A name wins over
            a file called the same; write `./name` for the file.

    Returns:
        The encoder on the CPU, in float32 and in evaluation mode.

    Raises:
        TypeError: Neither text nor a path is given.
        ValueError: No encoder and no file has this name, or the file holds none.
        InversoError: The weights are missing from the installation.
    """
    if not isinstance(name_or_path, str | Path):
        msg = f"load takes the name of an encoder or the path of a file, got {type(name_or_path).__name__}"
        raise TypeError(msg)
    if name_or_path in NAMES:
        with embedded("inverso.priors.encoder", str(name_or_path)) as path:
            return read_encoder(path)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return read_encoder(path)
    msg = f"there is no encoder and no file called {str(name_or_path)!r}; known encoders: {', '.join(NAMES)}"
    raise ValueError(msg)

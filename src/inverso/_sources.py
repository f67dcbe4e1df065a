"""What an argument names: a file, or a table, a pattern or a URL, which stand for several."""

from __future__ import annotations

from pathlib import Path

TABLES = (".csv", ".parquet")
MAGIC = frozenset("*?[")
"""Characters that make a name a pattern, unless a file of that name exists."""


def is_file(given: str) -> bool:
    """Return whether the argument is a single picture or measurement, existing or not."""
    if given.lower().endswith(TABLES) or is_url(given) or Path(given).is_dir():
        return False
    return Path(given).exists() or not MAGIC & set(given)


def is_url(path: str) -> bool:
    """Return whether the argument is a URL."""
    return "://" in path


def existing(path: str | Path) -> Path:
    """Return the path; raise unless it is an existing file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is a folder, a pipe or a device.
    """
    path = Path(path)
    if not path.exists() and path.is_symlink():
        msg = f"{path} is a link to {path.readlink()}, which leads nowhere"
        raise FileNotFoundError(msg)
    if not path.exists():
        msg = f"there is no file {path}"
        raise FileNotFoundError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; name a file in it"
        raise ValueError(msg)
    if not path.is_file():
        # Opening a pipe would block until something is written to it.
        msg = f"{path} is not a regular file; write what comes out of it to one first"
        raise ValueError(msg)
    return path

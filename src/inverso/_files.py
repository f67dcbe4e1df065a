"""Atomic writes: a file is written completely or not at all."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Threads of one process share its number.
_numbers = itertools.count()
_LONG = 200


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on an error.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: `path` exists and is not a regular file.
        OSError: It cannot be written; the message names `path`, not the temporary name.
    """
    if not path.parent.is_dir():
        msg = f"the folder {path.parent} does not exist; create it, or write elsewhere"
        raise FileNotFoundError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; name a file in it"
        raise ValueError(msg)
    # Behind a link lies the file that is meant, and who may read it, may read the new one.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        msg = f"{path} is not a regular file, and would be replaced by one; write elsewhere"
        raise ValueError(msg)
    name = os.fsencode(target.name)
    # Of the 255 bytes that most systems take, a longer name leaves no room for the rest.
    begin = target.name if len(name) < _LONG else hashlib.sha256(name).hexdigest()
    temporary = target.with_name(f".{begin}.{os.getpid()}-{next(_numbers)}.tmp")
    try:
        yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        if error.errno is None or error.strerror is None or error.filename not in {None, str(temporary)}:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(path: Path, *, name: str) -> None:
    """Raise for a folder of results that is a file; one that is yet to be made will do.

    Raises:
        NotADirectoryError: It is a file.
    """
    if path.exists() and not path.is_dir():
        msg = f"{name} must be a folder, and {path} is a file"
        raise NotADirectoryError(msg)


def message_of(error: BaseException) -> str:
    """Return the message of an error; for errors of the operating system the file and the reason, without its number.

    Example:
        >>> message_of(FileNotFoundError(2, "No such file or directory", "photo.jpg"))
        'photo.jpg: No such file or directory'
        >>> message_of(OSError(28, "No space left on device"))
        'No space left on device'
        >>> message_of(KeyError())
        'KeyError'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__

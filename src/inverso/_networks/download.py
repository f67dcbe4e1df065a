"""Download a file once: with a progress bar, verified by its hash, and moved into place when complete."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import torch

from inverso._networks.files import refuse_text
from inverso.errors import InversoError

CHUNK = 1 << 20
_TIMEOUT = 30.0


def cache_folder() -> Path:
    """Return the folder of downloads: that of torch.hub's checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(
    url: str,
    *,
    digest: str | None = None,
    folder: Path | None = None,
    name: str | None = None,
    progress: bool = True,
) -> Path:
    """Get a file from the cache, or download it into the cache.

    Args:
        url: Address of the file: https, http or file.
        digest: Prefix of its hash, as "sha256:6196db68" or, with git's hash of a file, "git-blob-sha1:754ddb07be65".
            Without it, the hash of the first download is stored beside the file, and later uses are compared with that.
        folder: The cache, `cache_folder()` by default.
        name: Name of the file there; by default the last part of its address.
        progress: Whether to show a progress bar.

    Returns:
        The file in the cache.

    Raises:
        ValueError: The address or the digest is malformed.
        InversoError: The download fails, is incomplete or has another hash, or the file in the cache has another hash.
            A failed download leaves no file.
    """
    name = name or Path(unquote(urlsplit(url).path)).name
    if urlsplit(url).scheme not in ("https", "http", "file") or not name:
        msg = f"url must be an https, http or file address of a file, got {url!r}"
        raise ValueError(msg)
    if digest is not None:
        _split(digest)
    target = (cache_folder() if folder is None else folder) / name
    record = target.with_name(f"{name}.sha256")
    if target.is_file():
        _check_cached(target, digest or _recorded(record))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(url, target, digest, progress=progress)
    if digest is None and not record.is_file():
        _write(record, lambda stream: stream.write(f"sha256:{_hash(target, 'sha256')}\n".encode()))
    return target


def _download(url: str, target: Path, digest: str | None, *, progress: bool) -> None:
    def receive(stream: BinaryIO) -> None:
        try:
            _transfer(url, stream, name=target.name, progress=progress)
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            msg = f"could not download {url}: {reason}. Without a network, fetch it elsewhere and put it at {target}"
            raise InversoError(msg) from error
        stream.flush()
        try:
            refuse_text(Path(stream.name))
        except ValueError as error:
            msg = f"what came from {url} is not a checkpoint: {error}"
            raise InversoError(msg) from error
        if digest is not None and not _matches(Path(stream.name), digest):
            msg = (
                f"the file downloaded from {url} is not the one expected, its hash does not start with {digest}; it "
                "was deleted. Try again; if it happens twice, the file has changed upstream"
            )
            raise InversoError(msg)

    _write(target, receive)


def _transfer(url: str, stream: BinaryIO, *, name: str, progress: bool) -> None:
    from tqdm import tqdm  # noqa: PLC0415 - costs import time, and only downloads need it

    with urlopen(url, timeout=_TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        received = 0
        with tqdm(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024, disable=not progress) as bar:
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    if total is not None and received != total:
        msg = f"the connection ended after {received} of {total} bytes"
        raise OSError(msg)


def _check_cached(target: Path, digest: str | None) -> None:
    if digest is not None and not _matches(target, digest):
        msg = (
            f"{target} is not the file expected, its hash does not start with {digest}; delete it to download it again"
        )
        raise InversoError(msg)


def _write(target: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name and move it into place when it is complete."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as stream:
            fill(stream)
        os.replace(temporary, target)  # noqa: PTH105 - the call that is atomic on every platform
    finally:
        temporary.unlink(missing_ok=True)


def _recorded(record: Path) -> str | None:
    return record.read_text().strip() if record.is_file() else None


def _matches(path: Path, digest: str) -> bool:
    kind, prefix = _split(digest)
    return _hash(path, kind).startswith(prefix)


def _split(digest: str) -> tuple[str, str]:
    kind, _, prefix = digest.partition(":")
    if kind not in ("sha256", "git-blob-sha1") or len(prefix) < 7 or set(prefix) - set("0123456789abcdef"):
        msg = f"digest must be 'sha256:' or 'git-blob-sha1:' and 7 or more hexadecimal digits, got {digest!r}"
        raise ValueError(msg)
    return kind, prefix


def _hash(path: Path, kind: str) -> str:
    if kind == "sha256":
        state = hashlib.sha256()
    else:
        state = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            state.update(chunk)
    return state.hexdigest()

"""List the photos of a run: files, folders, patterns or tables of paths, local or behind a URL."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias

import fsspec

from inverso._extras import MissingPackageError, need
from inverso._sources import MAGIC, TABLES, is_file, is_url
from inverso.images.folders import picture_suffixes, pictures_in

Files: TypeAlias = "str | Path | Sequence[str | Path]"

_NPZ = ".npz"


class Photo(NamedTuple):
    """A file to process.

    Args:
        name: Name of its result, relative to the folder of results and without the suffix.
        path: Path or URL.
        stamp: Size and time from the listing, for a file behind a URL.
    """

    name: str
    path: str
    stamp: str | None = None


def list_photos(files: Files) -> list[Photo]:
    """List the photos of the given files, folders, patterns and tables.

    Folders are searched with their subfolders. Results are named by the paths of the photos relative to the folder, or
    to the fixed part of a pattern. A table is a CSV file with a header or a Parquet file, with the column `path`
    (relative to the table) and optionally `name`.

    Args:
        files: Path, URL for fsspec (`s3://...`), folder, pattern (`photos/**/*.jpg`) or table, or several of them.

    Returns:
        Pictures and measurements, those of one folder sorted, each once. Those that differ by their ending only have
        one name; `named_apart` gives them two.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A folder has no photos, a pattern matches none, or a table has no column of paths.
        InversoError: The package for a kind of URL is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("b.jpg", "a.png", "notes.txt"):
        ...         _ = Path(folder, name).write_bytes(b"")
        ...     [photo.name for photo in list_photos(folder)]
        ['a', 'b']
    """
    given = [files] if isinstance(files, str | Path) else list(files)
    return list({(photo.name, photo.path): photo for each in given for photo in _listed(str(each))}.values())


def file_of(path: str) -> str:
    """Return the name of a file without its folder.

    Example:
        >>> file_of("s3://bucket/scan.tif")
        'scan.tif'
    """
    return PurePosixPath(path).name


def ending_of(path: str) -> str:
    """Return the ending of a file, such as `.jpg`.

    Example:
        >>> ending_of("s3://bucket/scan.tif")
        '.tif'
    """
    return PurePosixPath(path).suffix


def stamp_of(photo: Photo) -> str | None:
    """Return size and time of a file, by which changes are detected; None if it does not exist or cannot be reached."""
    if photo.stamp is not None:
        return photo.stamp
    try:
        if not is_url(photo.path):
            status = Path(photo.path).stat()
            return f"{status.st_size}-{status.st_mtime_ns}"
        system, path = fsspec.core.url_to_fs(photo.path)
        return _stamp(system.info(path))
    except Exception:
        # Reading it, which comes next, gives the reason, such as a link that leads to itself.
        return None


def _stamp(info: dict[str, Any]) -> str:
    """Make the stamp from the information of a file system, whose names for the time differ."""
    keys = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")
    marks = (str(info[key]) for key in keys if info.get(key) is not None)
    return f"{info.get('size')}-{next(marks, '')}"


def _listed(given: str) -> Iterator[Photo]:
    try:
        yield from _expand(given)
    except MissingPackageError:
        raise
    except ImportError as error:
        msg = f"{given} needs a package that is not installed: {error}"
        raise MissingPackageError(msg) from error


def _expand(given: str) -> Iterator[Photo]:
    if given.lower().endswith(TABLES):
        yield from _read_table(given)
    elif is_url(given):
        yield from _expand_url(given)
    elif Path(given).is_dir():
        yield from _in_folder(Path(given))
    elif is_file(given):
        if not Path(given).exists():
            msg = f"there is no file {given}"
            raise FileNotFoundError(msg)
        yield Photo(Path(given).stem, given)
    else:
        yield from _fitting(given)


def _in_folder(folder: Path) -> Iterator[Photo]:
    found = pictures_in(folder, below=True, also=frozenset({_NPZ}))
    if not found:
        msg = f"the folder {folder} holds neither pictures nor {_NPZ} files"
        raise ValueError(msg)
    for path in found:
        yield Photo(path.relative_to(folder).with_suffix("").as_posix(), str(path))


def _fitting(pattern: str) -> Iterator[Photo]:
    import glob  # noqa: PLC0415

    base = Path(_fixed_part(pattern))
    found = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
    if not found:
        msg = f"no file fits the pattern {pattern}"
        raise ValueError(msg)
    for path in found:
        yield Photo(Path(path).relative_to(base).with_suffix("").as_posix(), path)


def _fixed_part(pattern: str) -> str:
    """Return the part of a pattern before its first wildcard."""
    parts = pattern.split("/")
    first = next(k for k, part in enumerate(parts) if MAGIC & set(part))
    return "/".join(parts[:first]) + ("/" if first else "")


def _expand_url(url: str) -> Iterator[Photo]:
    system, path = fsspec.core.url_to_fs(url)
    if MAGIC & set(path):
        base, found = _fixed_part(path), system.glob(path, detail=True)
    elif system.isdir(path):
        suffixes = picture_suffixes() | {_NPZ}
        base, found = path.rstrip("/") + "/", system.find(path, detail=True)
        found = {name: info for name, info in found.items() if PurePosixPath(name).suffix.lower() in suffixes}
    else:
        info = system.info(path)
        yield Photo(PurePosixPath(path).stem, system.unstrip_protocol(path), _stamp(info))
        return
    entries = sorted((name, info) for name, info in found.items() if info.get("type") == "file")
    if not entries:
        msg = f"there are neither pictures nor {_NPZ} files at {url}"
        raise ValueError(msg)
    for name, info in entries:
        yield Photo(_without_suffix(name.removeprefix(base)), system.unstrip_protocol(name), _stamp(info))


def _without_suffix(path: str) -> str:
    return PurePosixPath(path.lstrip("/")).with_suffix("").as_posix()


def _read_table(table: str) -> Iterator[Photo]:
    base = table.rpartition("/")[0]
    for row in _rows(table):
        if not row.get("path"):
            msg = f"the table {table} must have the column 'path' with a path in every row, got the row {row}"
            raise ValueError(msg)
        path = str(row["path"])
        if base and not is_url(path) and not os.path.isabs(path):  # noqa: PTH117 - also of a base behind a URL
            path = f"{base}/{path}"
        name = str(row.get("name") or PurePosixPath(path).stem)
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            msg = f"the table {table} names the answer {name!r}, which lies outside of the folder of results"
            raise ValueError(msg)
        yield Photo(name, path)


def _rows(table: str) -> Iterator[dict[str, Any]]:
    if table.lower().endswith(".csv"):
        with fsspec.open(table, "rt", newline="", encoding="utf-8-sig") as stream:
            yield from csv.DictReader(stream)
        return
    parquet = need("pyarrow.parquet", what=f"the table {table}")
    with fsspec.open(table, "rb") as stream:
        file = parquet.ParquetFile(stream)
        columns = [name for name in ("path", "name") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()

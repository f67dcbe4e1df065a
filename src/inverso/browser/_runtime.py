"""Find or download ONNX Runtime Web, which runs networks in browsers."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from inverso.errors import InversoError

PACKAGE = "onnxruntime-web"
RUNTIME_VERSION = "1.30.0"
"""The version that npm is asked for; the page was tested with it."""
WASM = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
WEBGPU = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_TIMEOUT = 600


def find_runtime(folder: str | Path | None = None, *, fetch: bool = True) -> Path:
    """Return the folder with the files of ONNX Runtime Web, which are not part of inverso.

    They are searched in `node_modules/onnxruntime-web` of the current folder and its parents, and in the cache beside
    torch.hub's checkpoints. Otherwise `npm pack` downloads the package once, 33 MB, into that cache.

    Args:
        folder: The installed npm package, or its folder `dist`; nothing else is searched then.
        fetch: Whether npm may download it.

    Returns:
        The folder with the files.

    Raises:
        InversoError: The files are in none of these places, and npm is missing or fails; the message says what to
            download and where to put it.
    """
    if folder is not None:
        given = Path(folder).expanduser()
        found = next((place for place in (given / "dist", given) if _holds(place, WASM)), None)
        if found is None:
            msg = (
                f"{given} holds no ONNX Runtime Web: {', '.join(WASM)} were expected in it or in its folder dist, as "
                f"`npm install {PACKAGE}@{RUNTIME_VERSION}` puts them into node_modules/{PACKAGE}"
            )
            raise InversoError(msg)
        return found
    here = Path.cwd()
    places = [above / "node_modules" / PACKAGE / "dist" for above in (here, *here.parents)]
    cache = Path(torch.hub.get_dir()) / f"{PACKAGE}-{RUNTIME_VERSION}"
    found = next((place for place in (*places, cache) if _holds(place, WASM)), None)
    if found is not None:
        return found
    if not fetch:
        raise InversoError(_advice("it is not on this machine"))
    _fetch(cache)
    return cache


def runtime_version(folder: Path) -> str:
    """Return the version of the package that a folder of files belongs to, or "unknown"."""
    for place in (folder / "package.json", folder.parent / "package.json"):
        if place.is_file():
            facts = json.loads(place.read_text())
            if facts.get("name") == PACKAGE:
                return str(facts.get("version", "unknown"))
    return "unknown"


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return all((folder / name).is_file() for name in names)


def _advice(reason: str) -> str:
    return (
        f"the page needs ONNX Runtime Web, and {reason}. Where there is a network and npm, run "
        f"`npm install {PACKAGE}@{RUNTIME_VERSION}`, and give the folder that it made: "
        f"--runtime node_modules/{PACKAGE}"
    )


def _fetch(cache: Path) -> None:
    """Download the package with npm, which verifies its hash, and keep the files that a page needs."""
    npm = shutil.which("npm")
    if npm is None:
        raise InversoError(_advice("there is no npm to fetch it"))
    cache.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache.parent) as name:
        folder = Path(name)
        command = [npm, "pack", f"{PACKAGE}@{RUNTIME_VERSION}", "--silent", "--pack-destination", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd=folder)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InversoError(_advice(f"npm could not fetch it ({type(error).__name__})")) from error
        archive = next(folder.glob("*.tgz"), None)
        if done.returncode != 0 or archive is None:
            said = done.stderr.strip().splitlines()
            raise InversoError(_advice(f"npm could not fetch it ({said[0] if said else done.returncode})"))
        files = folder / "files"
        files.mkdir()
        _extract(archive, files)
        if not _holds(files, WASM):
            raise InversoError(_advice("what npm fetched lacks its files"))
        # Of two that fetch at once, the second finds the folder there.
        if not cache.exists():
            files.rename(cache)


def _extract(archive: Path, folder: Path) -> None:
    wanted = {f"package/dist/{name}": name for name in (*WASM, *WEBGPU)} | {"package/package.json": "package.json"}
    with tarfile.open(archive) as package:
        for member in package:
            name = wanted.get(member.name)
            content = package.extractfile(member) if name and member.isfile() else None
            if name and content is not None:
                (folder / name).write_bytes(content.read())

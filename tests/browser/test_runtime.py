"""Where ONNX Runtime Web comes from, without a network: folders, the cache, and an npm that is played."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
import torch

from inverso.browser import RUNTIME_VERSION, find_runtime
from inverso.browser._runtime import WASM, runtime_version
from inverso.errors import InversoError


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def package(folder: Path) -> Path:
    """Lay a package as npm does, with empty files."""
    (folder / "dist").mkdir(parents=True)
    for name in WASM:
        (folder / "dist" / name).write_bytes(b"x")
    (folder / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.2.3"}')
    return folder


def play_npm(folder: Path, script: str) -> None:
    npm = folder / "bin" / "npm"
    npm.write_text(f"#!{os.sys.executable}\n{script}")
    npm.chmod(0o755)


def test_a_folder_that_is_given_counts_alone(tmp_path: Path) -> None:
    given = package(tmp_path / "given")
    package(Path("node_modules/onnxruntime-web"))
    assert find_runtime(given) == find_runtime(given / "dist") == given / "dist"
    assert runtime_version(given / "dist") == "1.2.3"
    with pytest.raises(InversoError, match=f"npm install onnxruntime-web@{RUNTIME_VERSION}"):
        find_runtime(tmp_path / "bin")


def test_node_modules_of_a_folder_above_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "work" / "node_modules" / "onnxruntime-web")
    (tmp_path / "work" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "work" / "deep")
    assert find_runtime(fetch=False) == tmp_path / "work" / "node_modules" / "onnxruntime-web" / "dist"


def test_without_npm_it_says_what_to_fetch_and_where_to_put_it() -> None:
    for fetch in (True, False):
        with pytest.raises(InversoError, match=r"npm install onnxruntime-web.*--runtime node_modules/onnxruntime-web"):
            find_runtime(fetch=fetch)


def test_npm_without_a_network_leaves_nothing(tmp_path: Path) -> None:
    play_npm(tmp_path, "import sys\nsys.exit('npm error network')")
    with pytest.raises(InversoError, match=r"npm error network.*npm install onnxruntime-web"):
        find_runtime()
    assert list((tmp_path / "torch" / "hub").iterdir()) == []


def test_npm_is_asked_once_and_only_named_files_are_kept(tmp_path: Path) -> None:
    package(tmp_path / "package")
    (tmp_path / "package" / "dist" / "other.js").write_text("x")
    with tarfile.open(tmp_path / "played.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
        archive.add(tmp_path / "package" / "package.json", "../escaped.json")
    play_npm(tmp_path, f"import shutil\nshutil.copy({str(tmp_path / 'played.tgz')!r}, 'onnxruntime-web.tgz')")
    found = find_runtime()
    assert found == Path(torch.hub.get_dir()) / f"onnxruntime-web-{RUNTIME_VERSION}"
    assert {path.name for path in found.iterdir()} == {*WASM, "package.json"}
    assert runtime_version(found) == "1.2.3"
    assert not list(tmp_path.rglob("escaped.json"))
    (tmp_path / "bin" / "npm").unlink()
    assert find_runtime() == found

"""A command line to call, a tiny prior, and a photo in the current folder."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
import typer.main
from typer.testing import CliRunner

from inverso.cli.app import app
from inverso.images.io import photo, save_image
from inverso.priors import DCGAN, save_prior


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """Typer builds all commands anew for each command line, which takes half of the time of most tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def inverso() -> Callable:
    """Run a command line given as words, and hand back exit code, stdout and stderr."""

    def run(*words: object):
        return CliRunner().invoke(app, [str(word) for word in words], prog_name="inverso")

    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Replace the training by one that does nothing, and hand back what a command asks of it."""
    calls: dict[str, object] = {}
    monkeypatch.setattr(
        "inverso.training.fit", lambda recipe, data, **options: calls.update(options, recipe=recipe, data=data)
    )
    return calls


@pytest.fixture(scope="session")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained prior of 16 x 16 images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DCGAN(8, width=4, depth=2)
    path = tmp_path_factory.mktemp("prior") / "tiny.safetensors"
    save_prior(network, path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo of 24 x 24 pixels."""
    save_image(photo("coffee", size=24), tmp_path / "photo.png")
    return tmp_path / "photo.png"

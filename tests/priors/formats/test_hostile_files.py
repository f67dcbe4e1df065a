"""No checkpoint can run code, whichever door it comes through."""

from __future__ import annotations

import pickle

import pytest
import torch

from inverso._networks.files import read_file
from inverso.errors import InversoError
from inverso.priors import Card, _zoo, load
from inverso.priors._formats.readers import read_prior
from priors.hostile import FORMATS, MARK, PAYLOADS


def load_by_name(path):
    """Come in as a downloaded checkpoint."""
    text = dict.fromkeys(("license", "data", "recipe", "quality", "bias"), "")
    card = Card(
        name="trap", kind="prior", family="DCGAN", image_shape=(3, 64, 64), latent_dim=8, url=path.as_uri(), **text
    )
    return _zoo.ZOO.load_card(card, progress=False)


DOORS = {"load": load, "load by name": load_by_name, "read_prior": read_prior, "read_file": read_file}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("door", DOORS)
def test_code_is_refused_and_not_run(folder, door, payload, form):
    path = folder / "trap.pth"
    FORMATS[form](PAYLOADS[payload], path)
    with pytest.raises((ValueError, InversoError), match=r"trap\.pth"):
        DOORS[door](path)
    assert not (folder / MARK).exists()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_payloads_do_run_when_read_carelessly(folder, payload):
    pickle.loads(pickle.dumps(PAYLOADS[payload]))
    assert (folder / MARK).exists()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_the_message_says_why_and_does_not_advise_to_read_it_anyway(folder, form):
    path = folder / "trap.pth"
    FORMATS[form](PAYLOADS["in an entry"], path)
    with pytest.raises(ValueError, match=r"trap\.pth is refused: it holds [\w.]*eval, .* could run code") as caught:
        load(path)
    assert "weights_only" not in str(caught.value)


def test_torchscript_programs_are_refused(folder):
    class Double(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    torch.jit.save(torch.jit.trace(Double(), torch.zeros(1)), folder / "program.pt")
    with pytest.raises(ValueError, match=r"program\.pt cannot be read as a checkpoint|program\.pt is refused"):
        load(folder / "program.pt")

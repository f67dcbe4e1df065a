"""The encoder and the denoiser that a generative prior names come back from its file, and only from safe places."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from inverso.methods import default_for
from inverso.operators import RandomMask
from inverso.priors import DCGAN, load, save_prior
from inverso.priors.denoisers import PhotoDenoiser
from inverso.priors.encoder import LatentEncoder, save_encoder
from inverso.problem import Problem
from inverso.stages._guess import misfit, named


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a prior, its encoder and its denoiser."""
    folder = tmp_path / "mine"
    folder.mkdir()
    denoiser = PhotoDenoiser(widths=(8, 8, 8), blocks=(1, 1, 1, 1, 1), image_shape=(3, 16, 16))
    save_encoder(LatentEncoder(16, (3, 16, 16), width=8), folder / "encoder.safetensors")
    save_prior(denoiser, folder / "denoiser.safetensors")
    prior = DCGAN(16, width=4, depth=2)
    prior.encoder_name = str(folder / "encoder.safetensors")
    prior.denoiser_name = str(folder / "denoiser.safetensors")
    save_prior(prior, folder / "prior.safetensors")
    return folder


def write(path: Path, **metadata: str) -> Path:
    """Write a prior's file as save_prior does, with any metadata."""
    prior = DCGAN(16, width=4, depth=2)
    described = {"family": "DCGAN", "config": json.dumps(prior.config), **metadata}
    save_file(prior.state_dict(), path, metadata=described)
    return path


@pytest.mark.parametrize("dtype", [None, torch.float16], ids=["as it is", "in half precision"])
def test_a_prior_with_a_card_keeps_its_default_method(dtype, tmp_path):
    prior, A = load("faces-64"), RandomMask(0.3)
    save_prior(prior, tmp_path / "mine.safetensors", dtype=dtype)
    loaded = load(tmp_path / "mine.safetensors")
    assert (loaded.encoder_name, loaded.denoiser_name) == ("faces-64", "faces-64-denoiser")
    y = A(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert default_for(Problem(y, A, loaded)) == default_for(Problem(y, A, prior)) == "encoder+bp+pnp"
    assert misfit(named("own", loaded), loaded, y) is None


def test_networks_in_the_same_folder_are_found_where_it_is_moved(folder, tmp_path):
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    loaded = load(moved / "prior.safetensors")
    assert loaded.encoder_name == str(moved / "encoder.safetensors")
    assert loaded.denoiser_name == str(moved / "denoiser.safetensors")


def test_the_name_of_a_network_elsewhere_is_not_written(folder, tmp_path):
    prior = load(folder / "prior.safetensors")
    prior.denoiser_name = None
    with pytest.warns(UserWarning, match=r"without the prior's encoder_name.*nor a file in the same folder"):
        save_prior(prior, tmp_path / "prior.safetensors")
    assert load(tmp_path / "prior.safetensors").encoder_name is None


def test_a_network_that_is_gone_is_warned_of(folder):
    (folder / "encoder.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"encoder 'encoder.safetensors'.*Set the prior's encoder_name"):
        loaded = load(folder / "prior.safetensors")
    assert loaded.encoder_name is None
    assert loaded.denoiser_name is not None


def test_a_file_without_names_loads_as_before(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(write(tmp_path / "old.safetensors"))
    assert loaded.encoder_name is loaded.denoiser_name is None


STRANGE = (
    "",
    ".",
    "..",
    "../secret",
    "sub/secret",
    "..\\secret",
    "C:secret",
    "hf:me/network",
    "no-such",
    "a\0b",
    "[1]",
)


@pytest.mark.parametrize("name", STRANGE)
def test_paths_addresses_and_unknown_names_are_ignored(name, tmp_path):
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    for place in (tmp_path / "secret", tmp_path / "mine" / "sub" / "secret"):
        save_encoder(LatentEncoder(16, (3, 16, 16), width=8), place)
    with pytest.warns(UserWarning, match="is ignored"):
        loaded = load(write(tmp_path / "mine" / "prior.safetensors", encoder=name))
    assert loaded.encoder_name is None


def test_an_absolute_path_is_ignored(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with pytest.warns(UserWarning, match="is ignored"):
        loaded = load(write(other / "prior.safetensors", denoiser=str(folder / "denoiser.safetensors")))
    assert loaded.denoiser_name is None

"""Published denoisers by name: what is fetched is what the card announces."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from inverso._networks.download import cache_folder
from inverso.errors import InversoError
from inverso.priors import Denoiser, card, load
from inverso.priors._zoo import ZOO
from inverso.priors.denoisers._adm import ADMSizes, ADMUNet
from inverso.priors.denoisers._cards import DENOISER_CARDS
from inverso.priors.denoisers._diffusers import UNet2D, UNet2DSizes
from inverso.priors.denoisers._dncnn import IRCNN, DnCNN
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet
from priors.denoisers.golden import DATA

SMALL = UNet2DSizes(
    block_out_channels=(32, 32),
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=None,
    norm_eps=1e-6,
    downsample_padding=0,
    flip_sin_to_cos=False,
    freq_shift=1,
)


def write_ircnn(path):
    networks = IRCNN(width=4).networks
    torch.save({str(k): {f"model.{n}": v for n, v in row.state_dict().items()} for k, row in enumerate(networks)}, path)


def write_adm(path):
    torch.save(ADMUNet(ADMSizes(width=32, widths=(64, 64), blocks=1, attention=(False, True))).state_dict(), path)


def write_edm(path):
    path.write_bytes((DATA / "edm" / "edm_ddpmpp.pkl").read_bytes())


WRITERS = {
    "DRUNet": lambda path: torch.save(DRUNet(widths=(4, 4, 4, 4), blocks=1).state_dict(), path),
    "DnCNN": lambda path: torch.save(DnCNN(channels=1, width=4, depth=3).state_dict(), path),
    "FFDNet": lambda path: torch.save(FFDNet(width=4, depth=3).state_dict(), path),
    "IRCNN": write_ircnn,
    "DiffusionDenoiser": write_adm,
    "EDMDenoiser": write_edm,
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))


@pytest.fixture(params=DENOISER_CARDS, ids=lambda known: known.name)
def known(request):
    return request.param


def test_every_address_leads_to_what_the_card_announces(known, tmp_path, monkeypatch):
    """The file of each card, in small, under the name that its address has."""
    file = tmp_path / known.url.rpartition("/")[2]
    if known.name == "ddpm-celebahq-256":
        torch.save(UNet2D(SMALL).state_dict(), file)
    else:
        WRITERS[known.family](file)
    moved = dataclasses.replace(known, url=file.as_uri())
    if known.family == "EDMDenoiser":
        moved = dataclasses.replace(moved, image_shape=(3, 16, 16))
    monkeypatch.setattr(ZOO, "cards", (moved,))
    denoiser = load(known.name, kind=Denoiser, progress=False)
    assert type(denoiser).__name__ == known.family
    assert denoiser.image_shape == moved.image_shape
    assert (cache_folder() / (known.file or file.name)).is_file()
    if known.name == "dncnn-25":
        assert denoiser.sigma_range == (25 / 255, 25 / 255)


def test_another_family_than_announced_is_refused(tmp_path, monkeypatch):
    WRITERS["FFDNet"](tmp_path / "drunet_color.pth")
    moved = dataclasses.replace(card("drunet-color"), url=(tmp_path / "drunet_color.pth").as_uri())
    monkeypatch.setattr(ZOO, "cards", (moved,))
    with pytest.raises(InversoError, match=r"'FFDNet'.* where its card announces .*'DRUNet'"):
        load("drunet-color", progress=False)


def test_weights_without_a_folder_are_taken_as_google_s(tmp_path):
    network = UNet2D(SMALL).eval()
    torch.save(network.state_dict(), tmp_path / "weights.bin")
    denoiser = load(tmp_path / "weights.bin", kind=Denoiser)
    assert denoiser.network.sizes == SMALL
    assert denoiser.image_shape is None
    z, t = torch.rand(1, 3, 8, 8), torch.tensor([10.0])
    torch.testing.assert_close(denoiser.network(z, t), network(z, t))


@pytest.mark.parametrize(
    ("denoiser", "sigma", "decibels"),
    [
        (DRUNet(widths=(4, 4, 4, 4), blocks=1), 25 / 255, 31.69),
        (FFDNet(channels=1, width=4, depth=3), 50 / 255, 26.29),
        (FFDNet(width=4, depth=3), 75 / 255, 26.24),
        (DnCNN(channels=1, width=4, depth=3), 25 / 255, 29.23),
        (IRCNN(width=4), 15 / 255, 33.86),
    ],
)
def test_their_error_is_the_published_one(denoiser, sigma, decibels):
    assert denoiser.error(sigma) == pytest.approx(10 ** (-decibels / 20))

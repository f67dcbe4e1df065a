"""DRUNet, DnCNN, FDnCNN, IRCNN and FFDNet against KAIR's own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inverso._networks.files import read_file
from inverso.priors import Denoiser, LatentPrior, load
from inverso.priors._formats.kair import is_drunet, is_ircnn, is_row, read_drunet, read_ircnn, read_row
from inverso.priors.denoisers._dncnn import IRCNN, DnCNN, FDnCNN
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet
from priors.denoisers.golden import DATA, arrays, assert_same, full_size


def state(name):
    return read_file(DATA / "kair" / f"{name}.pth").data


@pytest.mark.parametrize("kind", ["color", "gray"])
def test_drunet_with_one_sigma_each_and_on_odd_sizes(kind):
    denoiser = read_drunet(state(f"drunet_{kind}_tiny"))
    golden = arrays(f"kair/drunet_{kind}_tiny")
    assert_same(denoiser(golden["x"], golden["sigma"]), golden["out"])
    assert_same(denoiser(golden["x_odd"], golden["sigma_odd"]), golden["out_odd_pad8"])
    assert_same(denoiser.denoise(golden["x"], golden["sigma_map"]), golden["out_map"])


def test_drunet_does_not_depend_on_the_scale():
    denoiser = DRUNet(channels=1, widths=(4, 4, 8, 8), blocks=1)
    x = torch.rand(1, 1, 16, 16)
    assert_same(denoiser(4 * x, 0.4), 4 * denoiser(x, 0.1))


@pytest.mark.parametrize("kind", ["color", "gray"])
def test_dncnn_with_and_without_batch_norm(kind):
    golden = arrays(f"kair/dncnn_{kind}_tiny")
    assert_same(read_row(state(f"dncnn_{kind}_bn_tiny"))(golden["x"], 0.1), golden["out_bn"])
    assert_same(read_row(state(f"dncnn_{kind}_tiny"))(golden["x"], 0.1), golden["out"])


def test_dncnn_of_deepinv_adds_what_kair_subtracts():
    ours = DnCNN(channels=1, width=4, depth=4)
    kair = ours.state_dict()
    layers = {"model.0": "in_conv", "model.2": "conv_list.0", "model.4": "conv_list.1", "model.6": "out_conv"}
    theirs = {f"{layers[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in kair.items()}
    x = torch.rand(1, 1, 8, 8)
    assert_same(read_row(theirs)(x, 0.1), x + ours.model(x))


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("dncnn_25", (25 / 255, 25 / 255)),
        ("DnCNN_gray_50", (50 / 255, 50 / 255)),
        ("dncnn_gray_blind", (0.0, 55 / 255)),
        ("dncnn3", (0.0, 55 / 255)),
        ("weights", (0.0, 55 / 255)),
    ],
)
def test_the_noise_that_dncnn_knows_stands_in_its_name(stem, expected):
    assert read_row(state("dncnn_gray_tiny"), stem=stem).sigma_range == expected


def test_fdncnn():
    golden = arrays("kair/fdncnn_color_tiny")
    denoiser = read_row(state("fdncnn_color_tiny"))
    assert isinstance(denoiser, FDnCNN)
    assert_same(denoiser(golden["x"], golden["sigma"]), golden["out"])


@pytest.mark.parametrize("kind", ["color", "gray"])
def test_ffdnet_on_even_and_odd_sizes(kind):
    denoiser = read_row(state(f"ffdnet_{kind}_tiny"))
    golden = arrays(f"kair/ffdnet_{kind}_tiny")
    assert_same(denoiser(golden["x"], golden["sigma"]), golden["out"])
    assert_same(denoiser(golden["x_odd"], golden["sigma_odd"]), golden["out_odd"])


@pytest.mark.parametrize(
    ("sigma", "network"), [(1 / 255, 0), (2 / 255, 0), (25.9 / 255, 12), (26 / 255, 12), (50 / 255, 24), (1.0, 24)]
)
def test_ircnn_chooses_by_the_noise(sigma, network):
    denoiser = read_ircnn(state("ircnn_color_tiny"))
    golden = arrays("kair/ircnn_color_tiny")
    assert_same(denoiser(golden["x"], sigma), golden[f"out_{network}"])


def test_ircnn_chooses_for_each_image():
    denoiser = read_ircnn(state("ircnn_color_tiny"))
    golden = arrays("kair/ircnn_color_tiny")
    both = denoiser(golden["x"].expand(2, -1, -1, -1), torch.tensor([2 / 255, 50 / 255]))
    assert_same(both, torch.cat([golden["out_0"], golden["out_24"]]))


@pytest.mark.parametrize("kind", ["color", "gray"])
def test_full_size_drunet(kind):
    upstream, known = full_size(f"drunet_{kind}")
    assert is_drunet(upstream)
    network = DRUNet.from_state_dict(upstream)
    assert sum(weight.numel() for weight in network.parameters()) == known["elements"]
    assert (len(network.m_body), network.channels) == (4, {"color": 3, "gray": 1}[kind])


@pytest.mark.parametrize(
    ("name", "family", "depth"),
    [
        ("dncnn_25", DnCNN, 17),
        ("dncnn_color_blind", DnCNN, 20),
        ("fdncnn_color", FDnCNN, 20),
        ("ffdnet_color", FFDNet, 12),
        ("ffdnet_gray", FFDNet, 15),
    ],
)
def test_full_size_rows(name, family, depth):
    upstream, known = full_size(name)
    assert is_row(upstream)
    network = family.from_state_dict(upstream)
    assert sum(weight.numel() for weight in network.parameters()) == known["elements"]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network.model) == depth


def test_full_size_ircnn():
    upstream, known = full_size("ircnn_color_one_of_25")
    entries = {str(k): upstream for k in range(25)}
    assert is_ircnn(entries)
    network = IRCNN.from_state_dicts(entries)
    assert sum(weight.numel() for weight in network.parameters()) == 25 * known["elements"]


def test_usual_sizes_are_those_published():
    for name, network in {
        "drunet_color": DRUNet(),
        "drunet_gray": DRUNet(channels=1),
        "dncnn_25": DnCNN(channels=1, depth=17),
        "dncnn_color_blind": DnCNN(),
        "fdncnn_color": FDnCNN(),
        "ffdnet_color": FFDNet(),
        "ffdnet_gray": FFDNet(channels=1),
    }.items():
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        assert shapes == {key: value.shape for key, value in full_size(name)[0].items()}, name


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        (DRUNet, {"widths": (4, 4, 4)}, r"four numbers.* got \(4, 4, 4\)"),
        (DRUNet, {"widths": (4, 4, 4, 0)}, "widths .* 0"),
        (DRUNet, {"blocks": 0}, "blocks .* 0"),
        (DnCNN, {"depth": 1}, "depth .* 1"),
        (DnCNN, {"sigma": 0.0}, "sigma .* 0"),
        (FDnCNN, {"width": 0}, "width .* 0"),
        (FFDNet, {"channels": 4}, "channels .* 4"),
        (IRCNN, {"channels": 2}, "channels .* 2"),
    ],
)
def test_settings_that_are_refused(family, settings, message):
    with pytest.raises(ValueError, match=message):
        family(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("m_body.res.2.weight"), r"missing m_body\.0\.res\.2\.weight"),
        (lambda state: state.update({"more": torch.zeros(1)}), "unknown more"),
        (lambda state: state.update({"m_head.weight": torch.zeros(8, 9, 3, 3)}), r"m_head.weight has shape \(8, 9, 3"),
        (lambda state: state.update({"m_tail.weight": torch.zeros(2)}), "expected m_head"),
        (lambda state: state.pop("m_down2.0.res.0.weight"), "expected m_head"),
    ],
)
def test_another_drunet_is_refused(change, message):
    upstream = dict(state("drunet_color_tiny"))
    change(upstream)
    with pytest.raises(ValueError, match=message):
        read_drunet(upstream)


def test_another_row_is_refused():
    with pytest.raises(ValueError, match="from 3 to 5 channels"):
        read_row({"model.0.weight": torch.zeros(4, 3, 3, 3), "model.2.weight": torch.zeros(5, 4, 3, 3)})
    with pytest.raises(ValueError, match="not those of a sequence of convolutions"):
        read_row({"model.0.weight": torch.zeros(4, 3, 3, 3)})
    with pytest.raises(ValueError, match=r"25 networks, .* found 1"):
        IRCNN.from_state_dicts({"0": {}})


WRAPPED = {
    "alone": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "params_ema": lambda state: {"params": {}, "params_ema": state},
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "compiled": lambda state: {"model": {f"_orig_mod.module.{name}": value for name, value in state.items()}},
}


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("drunet_color_tiny", DRUNet),
        ("dncnn_gray_bn_tiny", DnCNN),
        ("fdncnn_color_tiny", FDnCNN),
        ("ircnn_color_tiny", IRCNN),
        ("ffdnet_gray_tiny", FFDNet),
    ],
)
def test_load_finds_out_what_a_file_holds(tmp_path, name, family, wrap):
    path = tmp_path / f"{name}.pth"
    torch.save(WRAPPED[wrap](dict(state(name))), path)
    denoiser = load(path, kind=Denoiser)
    assert type(denoiser) is family
    assert not denoiser.training
    with pytest.raises(ValueError, match=f"{name}.pth holds a {family.__name__}, where a LatentPrior"):
        load(path, kind=LatentPrior)


@pytest.mark.slow
@pytest.mark.skipif("INVERSO_PHOTOS" not in os.environ, reason="INVERSO_PHOTOS names no folder of photos")
def test_published_weights_reach_their_published_figure():
    """BSD68 in gray at noise 25: 29.23 dB in the paper, noise not clipped, answers rounded, one seed per photo."""
    folder = Path(os.environ["INVERSO_PHOTOS"])
    denoiser = load(folder.parent / "weights" / "dncnn_25.pth", kind=Denoiser)
    assert denoiser.sigma_range == (25 / 255, 25 / 255)
    scores = []
    for path in sorted((folder / "test" / "CBSD68").glob("*.png")):
        gray = np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255
        noise = np.random.RandomState(0).normal(0, 25 / 255, gray.shape).astype(np.float32)
        with torch.no_grad():
            answer = denoiser(torch.from_numpy(gray + noise)[None, None], 25 / 255)[0, 0].numpy()
        error = np.round(answer.clip(0, 1) * 255) - gray * 255
        scores.append(20 * np.log10(255) - 10 * np.log10((error**2).mean()))
    assert len(scores) == 68
    assert np.mean(scores) == pytest.approx(29.23, abs=0.01)

"""Networks of other projects, at tiny sizes and with random weights, through spandrel."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch

import inverso
from inverso.interop import from_spandrel
from inverso.restorers import load
from inverso.restorers._foreign import ForeignRestorer
from priors.hostile import FORMATS, MARK, PAYLOADS

pytest.importorskip("spandrel")
# What SwinIR of spandrel is told by torch.
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")

NETWORKS = {
    "Compact": ("Compact.__arch.SRVGG", "SRVGGNetCompact", {"num_feat": 8, "num_conv": 2, "upscale": 2}),
    "ESRGAN": (
        "ESRGAN.__arch.RRDB",
        "RRDBNet",
        {"in_nc": 3, "out_nc": 3, "num_filters": 8, "num_blocks": 1, "scale": 1},
    ),
    "NAFNet": (
        "NAFNet.__arch.NAFNet_arch",
        "NAFNet",
        {"img_channel": 3, "width": 4, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]},
    ),
    "SPAN": ("SPAN.__arch.span", "SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}),
    "SwinIR": (
        "SwinIR.__arch.SwinIR",
        "SwinIR",
        {"img_size": 16, "window_size": 8, "embed_dim": 12, "depths": [1], "num_heads": [2], "mlp_ratio": 2},
    ),
}
SCALES = {"Compact": 2, "ESRGAN": 1, "NAFNet": 1, "SPAN": 2, "SwinIR": 1}


def network(name):
    module, kind, settings = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return getattr(importlib.import_module(f"spandrel.architectures.{module}"), kind)(**settings).eval()


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"params": {}, "params_ema": state}])
def test_restorers_in_one_line(tmp_path, name, wrap):
    state = network(name).state_dict()
    torch.save(wrap(dict(state)), tmp_path / f"{name}.pth")
    restorer = load(tmp_path / f"{name}.pth", kind=ForeignRestorer)
    assert (restorer.architecture, restorer.scale, restorer.channels) == (name, SCALES[name], 3)
    assert not restorer.training
    y = torch.rand(2, 3, 21, 30)
    answer = restorer(y)
    assert answer.shape == (2, 3, 21 * restorer.scale, 30 * restorer.scale)
    torch.testing.assert_close(restorer(y[:1]), answer[:1])
    assert restorer(y.double()).dtype == torch.float64


@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_the_answer_is_the_network_s(tmp_path, name, size):
    theirs = network(name)
    torch.save(theirs.state_dict(), tmp_path / "network.pth")
    x = torch.rand(1, 3, *size)
    with torch.no_grad():
        expected = theirs(x).clamp(0, 1)
    torch.testing.assert_close(load(tmp_path / "network.pth")(x), expected, atol=1e-5, rtol=1e-4)


def test_a_stage_runs_with_one(tmp_path):
    torch.save(network("NAFNet").state_dict(), tmp_path / "nafnet.pth")
    y = torch.rand(1, 3, 16, 16)
    restorer = load(tmp_path / "nafnet.pth")
    answer = inverso.solve(y, method="ff", restorer=restorer, progress=False)
    torch.testing.assert_close(answer.image, restorer(y).detach())


def test_denoisers(tmp_path):
    torch.save(network("NAFNet").state_dict(), tmp_path / "nafnet.pth")
    denoiser = from_spandrel(tmp_path / "nafnet.pth", sigma_range=(0.0, 50 / 255), error={25 / 255: 0.03})
    x = torch.rand(2, 3, 13, 20)
    torch.testing.assert_close(denoiser(x, 0.1), load(tmp_path / "nafnet.pth")(x))
    assert denoiser.error(25 / 255) == pytest.approx(0.03)
    assert denoiser.sigma_range == (0.0, 50 / 255)


def test_one_that_enlarges_is_no_denoiser(tmp_path):
    torch.save(network("SPAN").state_dict(), tmp_path / "span.pth")
    with pytest.raises(ValueError, match=r"span\.pth holds no denoiser"):
        from_spandrel(tmp_path / "span.pth", sigma_range=(0.0, 0.2))


def test_images_of_another_kind_are_refused(tmp_path):
    torch.save(network("NAFNet").state_dict(), tmp_path / "nafnet.pth")
    with pytest.raises(ValueError, match=r"NAFNet takes .* \(n, 3, H, W\), got torch.float32 of shape \(1, 1, 8, 8\)"):
        load(tmp_path / "nafnet.pth")(torch.rand(1, 1, 8, 8))


def test_unknown_networks_and_missing_packages_are_said(tmp_path, monkeypatch):
    torch.save({"mine.weight": torch.zeros(2, 2)}, tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=r"mine\.pth cannot be used .* none that spandrel supports .*mine\.weight"):
        load(tmp_path / "mine.pth")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ValueError, match=r"mine\.pth .* spandrel: pip install 'inverso-imaging\[interop\]'"):
        load(tmp_path / "mine.pth")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    state = dict(network("NAFNet").state_dict())
    state["intro.weight"] = torch.zeros(7, 3, 3, 3)
    torch.save(state, tmp_path / "nafnet.pth")
    with pytest.raises(ValueError, match=r"nafnet\.pth cannot be used as a restorer"):
        load(tmp_path / "nafnet.pth")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_is_refused_and_not_run(tmp_path, monkeypatch, payload, form):
    monkeypatch.chdir(tmp_path)
    FORMATS[form](PAYLOADS[payload], tmp_path / "trap.pth")
    with pytest.raises(ValueError, match=r"trap\.pth"):
        load(tmp_path / "trap.pth")
    assert not (tmp_path / MARK).exists()

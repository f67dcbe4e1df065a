"""Pickles of EDM against what upstream's code computes with them."""

from __future__ import annotations

import json

import pytest
import torch

from inverso.priors import load
from inverso.priors.denoisers import EDMDenoiser
from inverso.priors.denoisers._dhariwal import DhariwalUNet
from inverso.priors.denoisers._song import SongSizes, SongUNet, UNetSizes
from inverso.priors.denoisers.edm import EDM, IDDPM, VE, VP
from priors.denoisers.golden import DATA, arrays, assert_same

NAMES = ("edm_ddpmpp", "edm_ncsnpp", "vp_ddpmpp_cond", "ve_ncsnpp", "iddpm_adm")


def read(name):
    return load(DATA / "edm" / f"{name}.pkl", kind=EDMDenoiser)


@pytest.mark.parametrize("name", NAMES)
def test_every_wrapper_and_network(name):
    denoiser, golden = read(name), arrays(f"edm/{name}")
    labels, s = golden.get("class_labels"), golden["sigma"][:, None, None, None]
    factors = denoiser.preconditioning.factors(s)
    torch.testing.assert_close(factors.noise.flatten(), golden["c_noise"], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(factors.inside * golden["x"], golden["model_in"], atol=1e-5, rtol=1e-5)
    assert_same(denoiser.model(golden["model_in"], golden["c_noise"], labels), golden["model_out"])
    assert_same(denoiser.denoise_signed(golden["x"], s, labels), golden["out"])
    u, s = 2 * golden["x01_noisy"] - 1, 2 * golden["sigma01"][:, None, None, None]
    assert_same((denoiser.denoise_signed(u, s, labels) + 1) / 2, golden["denoised01"])


@pytest.mark.parametrize("name", ["edm_ddpmpp", "edm_ncsnpp", "ve_ncsnpp"])
def test_as_denoisers(name):
    denoiser, golden = read(name), arrays(f"edm/{name}")
    assert denoiser.image_shape == (3, 16, 16)
    denoiser.image_shape = None
    assert_same(denoiser(golden["x01_noisy"], golden["sigma01"]), golden["denoised01"])


@pytest.mark.parametrize(("name", "classes"), [("vp_ddpmpp_cond", 4), ("iddpm_adm", 3)])
def test_classes_are_left_out_or_given(name, classes):
    denoiser, golden = read(name), arrays(f"edm/{name}")
    s = golden["sigma"][:, None, None, None]
    assert_same(denoiser.denoise_signed(golden["x"], s), golden["out_no_label"])
    denoiser.image_shape, denoiser.label = None, 1
    one = torch.eye(classes)[[1, 1]]
    expected = (denoiser.denoise_signed(2 * golden["x01_noisy"] - 1, s, one) + 1) / 2
    torch.testing.assert_close(denoiser(golden["x01_noisy"], golden["sigma"] / 2), expected)
    denoiser.label = classes
    with pytest.raises(ValueError, match=f"one of the {classes} classes, got {classes}"):
        denoiser(golden["x01_noisy"], 0.1)


def test_noise_and_time_of_the_variance_preserving_one():
    golden, vp = arrays("edm/vp_ddpmpp_cond"), VP()
    sigmas = torch.tensor([0.01, 1.0, 100.0])[:, None, None, None]
    times = vp.factors(sigmas).noise.flatten() / 999
    torch.testing.assert_close(times, golden["t_of_sigma"].to(times.dtype), atol=1e-6, rtol=1e-3)
    # Upstream's float32 rounds the first.
    assert [vp._sigma(t) for t in (1e-5, 0.25, 1)] == pytest.approx(golden["sigma_of_t"].tolist(), rel=0.03)
    assert vp._sigma(0.25) == pytest.approx(float(golden["sigma_of_t"][1]), rel=1e-5)


def test_the_row_of_noises():
    torch.testing.assert_close(IDDPM.cosine().u, arrays("edm/iddpm_adm")["u"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("edm_ddpmpp", 0.002, 80),
        ("vp_ddpmpp_cond", 0.0009765625, 152.16697692871094),
        ("ve_ncsnpp", 0.02, 100),
        ("iddpm_adm", 0.006422337144613266, 20291.171875),
    ],
)
def test_the_range_of_noise_is_upstream_s_in_our_unit(name, low, high):
    assert read(name).sigma_range == pytest.approx((low / 2, high / 2), rel=0.03)


@pytest.mark.parametrize("preconditioning", [EDM(), VP(), VE(), IDDPM.cosine()])
def test_no_noise_leaves_the_image_alone(preconditioning):
    zero = torch.zeros(1, 1, 1, 1)
    skip, out, inside, noise = preconditioning.factors(zero)
    assert (float(skip), float(out)) == (1, 0)
    assert bool(torch.isfinite(inside * noise))


def full_size(name):
    known = json.loads((DATA / "keys" / f"{name}.json").read_text())
    return known, {key: torch.Size(shape) for key, shape in known["keys"].items()}


@pytest.mark.parametrize("name", ["edm_ffhq_64_vp_ddpmpp", "edm_ffhq_64_ve_ncsnpp", "edm_cifar10_32_uncond_vp"])
def test_full_size_song(name):
    known, shapes = full_size(name)
    given = {key: value for key, value in known["kwargs"].items() if key in SongSizes.__dataclass_fields__}
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    with torch.device("meta"):
        network = SongUNet(SongSizes(in_channels=3, out_channels=3, **settings))
    assert {f"model.{key}": value.shape for key, value in network.state_dict().items()} == shapes


def test_full_size_dhariwal():
    known, shapes = full_size("edm_imagenet_64_cond_adm")
    given = {key: value for key, value in known["kwargs"].items() if key in UNetSizes.__dataclass_fields__}
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    defaults = {"num_blocks": 3, "attn_resolutions": (32, 16, 8), "channel_mult": (1, 2, 3, 4), "model_channels": 192}
    with torch.device("meta"):
        network = DhariwalUNet(UNetSizes(in_channels=3, out_channels=3, **{**defaults, **settings}))
    assert {f"model.{key}": value.shape for key, value in network.state_dict().items()} == shapes

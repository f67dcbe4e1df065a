"""Discriminators: the multi-scale one and its losses against pix2pixHD's, the plain one by its layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inverso.losses._adversarial import least_squares_discriminator, least_squares_generator, over_scales
from inverso.losses._feature_matching import feature_matching
from inverso.training._discriminators import MultiscaleDiscriminator, PlainDiscriminator

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def upstream() -> dict[str, Tensor]:
    with np.load(DATA / "pix2pixhd_tiny_io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.fixture(scope="module")
def network() -> MultiscaleDiscriminator:
    """The network with upstream's weights, whose scale 0 is the coarsest and whose layers are numbered."""
    network = MultiscaleDiscriminator(scales=3, width=4)
    theirs = torch.load(DATA / "pix2pixhd_tiny_state.pth", weights_only=True)["D"]
    renamed = {}
    for name, value in theirs.items():
        scale, layer, kind = int(name[5]), int(name[12]), name.rsplit(".")[-1]
        inner = "" if layer == 4 else "0."
        renamed[f"scales.{2 - scale}.{layer}.{inner}{kind}"] = value
    network.load_state_dict(renamed)
    return network


@pytest.fixture(scope="module")
def seen(
    network: MultiscaleDiscriminator, upstream: dict[str, Tensor]
) -> tuple[tuple[tuple[Tensor, ...], ...], tuple[tuple[Tensor, ...], ...]]:
    condition, real, fake = ((upstream[name] + 1) / 2 for name in ("x", "real", "fake"))
    with torch.no_grad():
        return network(real, condition), network(fake, condition)


class TestAgainstPix2PixHD:
    def test_answers(self, seen, upstream) -> None:
        for name, scales in zip(("real", "fake"), seen, strict=True):
            for k, scale in enumerate(scales):
                torch.testing.assert_close(scale[-1], upstream[f"D_{name}_out_{k}"], atol=1e-4, rtol=1e-4)

    def test_least_squares_losses(self, seen, upstream) -> None:
        real, fake = seen
        asked = over_scales([least_squares_generator(scale[-1]) for scale in fake])
        torch.testing.assert_close(asked, upstream["loss_G_GAN"], atol=1e-4, rtol=1e-4)
        told = [least_squares_discriminator(a[-1], b[-1]) for a, b in zip(real, fake, strict=True)]
        expected = upstream["loss_D_real"] + upstream["loss_D_fake"]
        torch.testing.assert_close(over_scales(told), expected, atol=1e-4, rtol=1e-4)

    def test_feature_matching(self, seen, upstream) -> None:
        pairs = [[scale[:-1] for scale in scales] for scales in seen]
        # Upstream divides by the number of scales, the paper does not.
        torch.testing.assert_close(
            feature_matching(*pairs) / 3, upstream["loss_FM_without_lambda"], atol=1e-4, rtol=1e-4
        )


def test_the_multiscale_discriminator_looks_at_the_condition_and_the_plain_one_does_not() -> None:
    image, one, other = torch.rand(3, 2, 3, 32, 32)
    multiscale, plain = MultiscaleDiscriminator(width=4).eval(), PlainDiscriminator(size=32).eval()
    assert not torch.equal(multiscale(image, one)[0][-1], multiscale(image, other)[0][-1])
    assert torch.equal(plain(image, one)[0][-1], plain(image, other)[0][-1])


def test_the_plain_discriminator_is_that_of_the_paper() -> None:
    network = PlainDiscriminator(size=64)
    kernels = [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(3, 32, 5), (32, 64, 5), (64, 96, 5)]
    assert sum(isinstance(m, nn.Linear) for m in network.modules()) == 2
    [seen] = network(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    assert [tuple(layer.shape) for layer in seen] == [(2, 32, 64, 64), (2, 64, 32, 32), (2, 96, 16, 16), (2, 1)]


def test_dropout_is_for_training_alone() -> None:
    network, x = PlainDiscriminator(size=16), torch.rand(2, 3, 16, 16)
    assert not torch.equal(network(x, x)[0][-1], network(x, x)[0][-1])
    network.eval()
    assert torch.equal(network(x, x)[0][-1], network(x, x)[0][-1])


def test_seeds_decide_the_weights() -> None:
    for make in (PlainDiscriminator, MultiscaleDiscriminator):
        one, same, other = (next(make(seed=seed).parameters()) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="size must be a multiple of 8, got 20"):
        PlainDiscriminator(size=20)
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\), got 1"):
        PlainDiscriminator(dropout=1)
    with pytest.raises(ValueError, match="scales must be an integer of at least 1, got 0"):
        MultiscaleDiscriminator(scales=0)

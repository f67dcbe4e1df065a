"""Our own denoiser: its formula, sizes, noise levels, cost and file."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from inverso.priors.denoisers import PhotoDenoiser

SMALL = {"widths": (8, 8, 8), "blocks": (1, 1, 1, 1, 1)}


def photos(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def small(**settings: object) -> PhotoDenoiser:
    return PhotoDenoiser(**SMALL, **settings).double().eval().requires_grad_(False)


def test_without_noise_an_image_stays_as_it_is():
    x = photos(2, 3, 11, 17)
    torch.testing.assert_close(small()(x, 0.0), x)


def test_where_the_network_says_nothing_the_image_is_shrunk_towards_gray():
    """D = 1/2 + 0.25^2 / (sigma^2 + 0.25^2) (x - 1/2): at sigma = 0.25 half of the contrast is left."""
    network = small()
    torch.nn.init.zeros_(network.leave.weight)
    torch.nn.init.zeros_(network.leave.bias)
    x = photos(1, 3, 8, 8)
    torch.testing.assert_close(network(x, 0.25), 0.25 + x / 2)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 16), (30, 45)])
def test_any_size_is_denoised_as_its_padded_version(size):
    network, x = small(), photos(1, 3, *size)
    padded = torch.nn.functional.pad(x, (0, -size[1] % 8, 0, -size[0] % 8), mode="replicate")
    torch.testing.assert_close(network(x, 0.1), network(padded, 0.1)[..., : size[0], : size[1]])


def test_every_image_has_a_noise_of_its_own():
    network, x = small(), photos(3, 3, 8, 8)
    levels = torch.tensor([0.01, 0.1, 1.0], dtype=torch.float64)
    alone = torch.cat([network(x[k : k + 1], float(level)) for k, level in enumerate(levels)])
    torch.testing.assert_close(network(x, levels), alone)
    assert float((network(x, 0.1) - network(x, 0.2)).abs().max()) > 1e-3


def test_one_seed_one_network():
    x = photos(1, 3, 8, 8)
    first, again, other = (small(seed=seed)(x, 0.1) for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert float((first - other).abs().max()) > 1e-4


def test_a_deepened_network_denoises_the_same_until_it_is_trained():
    network, x = small(calibration=2.0, errors={0.1: 0.02}), photos(1, 3, 16, 24)
    deep = network.deepened((1, 0, 2, 0, 1))
    assert deep.blocks == tuple(have + more for have, more in zip(network.blocks, (1, 0, 2, 0, 1), strict=True))
    assert (deep.calibration, deep.errors, deep.training) == (2.0, {0.1: 0.02}, False)
    torch.testing.assert_close(deep(x, 0.1), network(x, 0.1), rtol=0, atol=0)
    (deep(x, 0.1) - 0.5).square().mean().backward()
    assert all(
        float(block.second.weight.grad.abs().max()) > 0 for block in [*deep.down_fine, *deep.bottom, *deep.up_fine]
    )


@pytest.mark.parametrize("more", [(1, 1), (0, 0, -1, 0, 0)])
def test_what_cannot_be_added_is_refused(more):
    with pytest.raises(ValueError, match="more"):
        small().deepened(more)


def test_the_usual_size_costs_less_than_twice_ffdnet():
    """FFDNet does 0.43 million operations per pixel, and is allowed twice as many."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        PhotoDenoiser()(torch.rand(1, 3, 64, 64), 0.1)
    assert 0.2e6 < counter.get_total_flops() / 64**2 < 0.86e6


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"widths": (8, 8)}, r"widths.*\(8, 8\)"),
        ({"blocks": (1, 1)}, r"blocks.*\(1, 1\)"),
        ({"widths": (8, 0, 8)}, "widths.*0"),
        ({"channels": 4}, "channels.*4"),
        ({"sigma_range": (0.5, 0.1)}, "sigma_range.*0.5"),
    ],
)
def test_sizes_out_of_range_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        PhotoDenoiser(**{**SMALL, **settings})

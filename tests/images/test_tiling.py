"""Pieces cover an image once, and the answer is that of the whole image wherever the network's view allows."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from inverso.images.tiling import Tiled, in_tiles, tiles
from inverso.priors import WrappedDenoiser
from inverso.priors.denoisers import TiledDenoiser
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet


@settings(max_examples=40)
@given(
    height=st.integers(1, 70), width=st.integers(1, 70), side=st.integers(9, 40), margin=st.integers(0, 4),
    multiple=st.sampled_from([1, 2, 4]), same_size=st.booleans(),
)  # fmt: skip
def test_every_pixel_belongs_to_one_tile(height, width, side, margin, multiple, same_size):
    count = torch.zeros(height, width)
    for tile in tiles(height, width, side=side, margin=margin, multiple=multiple, same_size=same_size):
        count[tile.top : tile.bottom, tile.left : tile.right] += 1
        top, left, bottom, right = tile.window
        assert same_size or top % multiple == left % multiple == 0
        if same_size and max(height, width) > side:
            assert bottom - top >= min(side, height)
            assert right - left >= min(side, width)
        assert top <= max(0, tile.top - margin)
        assert bottom >= min(height, tile.bottom + margin)
        assert left <= max(0, tile.left - margin)
        assert right >= min(width, tile.right + margin)
    assert bool((count == 1).all())


@given(height=st.integers(3, 40), width=st.integers(3, 40), overlap=st.integers(2, 4), extra=st.integers(1, 9))
@settings(max_examples=30)
def test_pieces_give_the_whole_where_the_view_is_covered(height, width, overlap, extra):
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64)
    x = torch.rand(2, 3, height, width, generator=generator, dtype=torch.float64)

    def filtered(u):
        return nn.functional.conv2d(u, kernel, padding=2)

    torch.testing.assert_close(in_tiles(filtered, x, side=2 * overlap + extra, margin=overlap), filtered(x))


def test_networks_that_enlarge():
    def enlarged(u):
        return nn.functional.interpolate(u, scale_factor=3, mode="nearest")

    x = torch.rand(1, 1, 11, 17)
    torch.testing.assert_close(in_tiles(enlarged, x, side=6, margin=1), enlarged(x))


def test_tiled_restorer_and_its_gradient():
    network = nn.Conv2d(3, 3, 3, padding=1).double()
    x = torch.rand(1, 3, 13, 9, dtype=torch.float64, requires_grad=True)
    tiled = Tiled(network, tile=6, overlap=1)
    torch.testing.assert_close(tiled(x), network(x))
    (a,) = torch.autograd.grad(tiled(x).square().sum(), x)
    (b,) = torch.autograd.grad(network(x).square().sum(), x)
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("size", [(37, 64), (64, 21), (15, 90)])
def test_tiled_denoisers_are_seamless(size):
    denoiser = FFDNet(width=8, depth=4)
    x, sigma = torch.rand(2, 3, *size), torch.tensor([0.05, 0.3])
    torch.testing.assert_close(
        TiledDenoiser(denoiser, tile=24, overlap=8)(x, sigma), denoiser(x, sigma), atol=1e-5, rtol=0
    )


def test_a_network_at_lower_resolutions_sees_the_same_cells():
    denoiser = DRUNet(channels=1, widths=(4, 4, 4, 4), blocks=1)
    x = torch.rand(1, 1, 200, 70)
    torch.testing.assert_close(
        TiledDenoiser(denoiser, tile=160, overlap=64)(x, 0.1), denoiser(x, 0.1), atol=1e-3, rtol=0
    )


def test_a_denoiser_of_one_size_gets_pieces_of_that_size():
    seen = []

    def half(x, _):
        seen.append(tuple(x.shape))
        return x / 2

    denoiser = WrappedDenoiser(half, channels=3, sigma_range=(0, 1), image_shape=(3, 16, 16), error={0.1: 0.03})
    tiled = TiledDenoiser(denoiser)
    assert (tiled.tile, tiled.overlap, tiled.image_shape) == (16, 2, None)
    assert tiled.error(0.1) == 0.03
    for size in ((16, 16), (50, 23), (9, 40)):
        x = torch.rand(2, 3, *size)
        torch.testing.assert_close(tiled(x, 0.1), x / 2)
    assert set(seen) == {(1, 3, 16, 16)}


def test_progress_is_shown_on_request(capsys):
    in_tiles(lambda u: u, torch.rand(1, 1, 20, 20), side=10, margin=0, progress=True)
    assert "4/4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (torch.rand(3, 8, 8), {}, ValueError, r"\(3, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), {}, TypeError, "uint8"),
        (torch.rand(1, 3, 8, 8), {"side": 8, "margin": 4}, ValueError, "margin of 4"),
        (torch.rand(1, 3, 8, 8), {"side": 0}, ValueError, "side .* 0"),
        (torch.rand(1, 3, 8, 8), {"margin": -1}, ValueError, "margin of -1"),
        (torch.rand(1, 3, 8, 8), {"side": 8.0}, TypeError, r"side .* 8\.0"),
    ],
)
def test_what_is_refused(images, options, error, message):
    with pytest.raises(error, match=message):
        in_tiles(lambda u: u, images, **{"side": 8, "margin": 1, **options})


def test_answers_of_other_sizes_are_refused():
    x = torch.rand(1, 3, 20, 20)
    with pytest.raises(ValueError, match=r"\(1, 3, 10, 10\) was answered with shape \(1, 3, 9, 10\)"):
        in_tiles(lambda u: u[:, :, 1:], x, side=10, margin=0)
    with pytest.raises(ValueError, match="with a str"):
        in_tiles(lambda _: "image", x, side=10, margin=0)


def test_sizes_that_do_not_go_with_a_network_are_refused():
    with pytest.raises(ValueError, match="tile 16 and overlap 8"):
        TiledDenoiser(DRUNet(widths=(4, 4, 4, 4), blocks=1), tile=16, overlap=8)
    with pytest.raises(ValueError, match=r"\(3, 16, 16\).* not 32"):
        TiledDenoiser(WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0, 1), image_shape=(3, 16, 16)), tile=32)
    with pytest.raises(TypeError, match="Conv2d; WrappedDenoiser"):
        TiledDenoiser(nn.Conv2d(3, 3, 1))
    with pytest.raises(TypeError, match="function"):
        Tiled(lambda x: x)


LARGE = """
import resource, torch
from inverso.priors.denoisers._ffdnet import FFDNet
from inverso.priors.denoisers import TiledDenoiser
with torch.inference_mode():
    answer = TiledDenoiser(FFDNet(width=4, depth=2))(torch.rand(1, 3, 4000, 6000), 0.1)
assert answer.shape == (1, 3, 4000, 6000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_24_megapixels_fit_in_4_gigabytes():
    answer = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert float(answer.stdout) < 4


def test_margins_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="margin of 5"):
        list(tiles(20, 20, side=10, margin=5))

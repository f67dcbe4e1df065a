from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inverso.priors.stylegan2._modulation import enlarge_image, modulated_conv, smooth
from priors.golden import arrays
from priors.stylegan2 import plain

SIZES = st.integers(1, 4)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_hand(x, weight, style, *, demodulate, enlarge):
    """Filter by filter, through the affine map of the plain network that leaves the style as it is."""
    state = {"f.weight": weight, "f.affine.weight": torch.zeros(weight.shape[1], 1, dtype=x.dtype)}
    images = []
    for image, own in zip(x, style, strict=True):
        filters = []
        for index in range(len(weight)):
            offset = own if own.ndim == 1 else own[index]
            # The plain network divides styles by the root of their number where it does not demodulate.
            scale = offset if demodulate else offset * len(offset) ** 0.5
            one = {**state, "f.weight": weight[index : index + 1], "f.affine.bias": scale}
            row = torch.zeros(1, dtype=x.dtype)
            filters.append(plain.convolve(one, "f", image, row, demodulate=demodulate, enlarge=enlarge))
        images.append(torch.cat(filters))
    return torch.stack(images)


@settings(max_examples=15)
@given(SIZES, SIZES, SIZES, st.integers(1, 5), st.sampled_from([1, 3]), st.booleans(), st.booleans(), st.booleans())
def test_it_is_the_convolution_with_scaled_filters(n, inputs, outputs, side, kernel, demodulate, enlarge, per_filter):
    enlarge = enlarge and kernel == 3
    x, weight = normal(n, inputs, side, side + 1), normal(outputs, inputs, kernel, kernel, seed=1)
    style = normal(n, outputs, inputs, seed=2) if per_filter else normal(n, inputs, seed=2)
    result = modulated_conv(x, weight, style, demodulate=demodulate, enlarge=enlarge)
    expected = by_hand(x, weight, style, demodulate=demodulate, enlarge=enlarge)
    torch.testing.assert_close(result, expected, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("enlarge", [False, True])
def test_one_style_for_all_filters_is_the_same_style_for_each(enlarge):
    x, weight, style = normal(2, 3, 5, 5), normal(4, 3, 3, 3, seed=1), normal(2, 3, seed=2)
    alike = modulated_conv(x, weight, style[:, None].expand(-1, 4, -1), demodulate=True, enlarge=enlarge)
    torch.testing.assert_close(modulated_conv(x, weight, style, demodulate=True, enlarge=enlarge), alike)


@pytest.mark.parametrize("per_filter", [False, True])
def test_gradients_are_right_up_to_the_second(per_filter):
    x, weight = normal(2, 2, 2, 2).requires_grad_(), normal(1, 2, 3, 3, seed=1).requires_grad_()
    style = (normal(2, 1, 2, seed=2) if per_filter else normal(2, 2, seed=2)).requires_grad_()

    def run(*given):
        return modulated_conv(*given, demodulate=True, enlarge=True)

    assert torch.autograd.gradcheck(run, (x, weight, style))
    assert torch.autograd.gradgradcheck(run, (x, weight, style))


def test_demodulated_filters_have_unit_length():
    """On white noise, the variance stays, however large the style."""
    x, weight = normal(1, 16, 64, 64), normal(8, 16, 3, 3, seed=1)
    result = modulated_conv(x, weight, 100 * normal(1, 16, seed=2).abs(), demodulate=True)
    torch.testing.assert_close(float(result.std()), 1.0, atol=0.05, rtol=0)


def test_a_style_of_zero_gives_zero():
    result = modulated_conv(normal(1, 2, 3, 3), normal(2, 2, 3, 3), torch.zeros(1, 2).double(), demodulate=True)
    assert not result.any()


def test_images_are_enlarged_as_upstream_does():
    golden = arrays("stylegan2_rosinality_tiny")
    torch.testing.assert_close(enlarge_image(golden["upsample_in"]), golden["upsample_out"], atol=1e-6, rtol=1e-5)


@settings(max_examples=25)
@given(SIZES, SIZES, SIZES)
def test_enlarging_is_zeros_in_between_and_the_filter(channels, height, width):
    image = normal(channels, height, width)
    expected = plain.filtered(plain.stuffed(image), before=2, after=1)
    torch.testing.assert_close(enlarge_image(image[None])[0], expected)


def test_a_constant_stays_a_constant_inside():
    assert enlarge_image(torch.ones(1, 1, 4, 4))[0, 0, 1:-1, 1:-1].eq(1).all()
    torch.testing.assert_close(smooth(torch.ones(1, 2, 9, 9))[..., 2:-2, 2:-2], torch.full((1, 2, 4, 4), 4.0))


def test_the_filter_by_hand():
    spike = torch.zeros(1, 1, 5, 5)
    spike[0, 0, 2, 2] = 16
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    torch.testing.assert_close(smooth(spike)[0, 0], taps[:, None] * taps)

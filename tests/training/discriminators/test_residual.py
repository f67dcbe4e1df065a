"""The residual discriminator: its filters, its scale, and what it makes of a batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import conv2d, pad

from inverso.losses._adversarial import gradient_penalty_r1
from inverso.training._discriminators.residual import EqualizedConv, ResidualCritic
from inverso.training._discriminators.strided import MinibatchDeviation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_answers_are_one_number_per_image():
    critic = ResidualCritic((8, 6, 4), seeded())
    assert critic(torch.zeros(5, 3, 16, 16)).shape == (5, 1)


@pytest.mark.parametrize("side", [1, 3])
def test_halving_filters_with_1_3_3_1_before_it_takes_every_other_pixel(side):
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    layer = EqualizedConv(3, 5, side, seeded(), halve=True).double()
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    border = 1 if side == 1 else 2
    smoothed = conv2d(pad(x, (border,) * 4).reshape(6, 1, *(8 + 2 * border,) * 2), taps.outer(taps)[None, None])
    smoothed = smoothed.reshape(2, 3, *smoothed.shape[-2:])
    expected = conv2d(smoothed, layer.weight / math.sqrt(3 * side**2), stride=2)
    assert expected.shape == (2, 5, 4, 4)
    torch.testing.assert_close(layer(x), expected)


def test_a_plain_layer_is_a_convolution_with_scaled_weights():
    x, layer = torch.randn(2, 4, 5, 5), EqualizedConv(4, 2, 3, seeded())
    torch.testing.assert_close(layer(x), conv2d(x, layer.weight / 6, padding=1))


@pytest.mark.parametrize("halve", [False, True])
def test_fresh_weights_keep_the_scale(halve):
    layer = EqualizedConv(64, 64, 3, seeded(), halve=halve)
    # Equal pixels, which smoothing leaves as they are; borders see zeros beside them.
    images = torch.randn(64, 64, 1, 1, generator=seeded(1)).expand(-1, -1, 12, 12)
    inner = layer(images).detach()[..., 2:-2, 2:-2]
    assert float(inner.std()) == pytest.approx(1, abs=0.05)
    assert float(layer.weight.detach().std()) == pytest.approx(1, abs=0.02)


def test_deviation_over_groups_of_the_batch_by_hand():
    # Two groups of two: images 0 and 2, 1 and 3. Deviations 1 and 3 at the two pixels, and 0.
    x = torch.tensor([[0.0, 0.0], [5.0, 5.0], [2.0, 6.0], [5.0, 5.0]]).reshape(4, 1, 1, 2)
    deviation = MinibatchDeviation(2)(x)[:, 1]
    expected = torch.tensor([2.0, 1e-4, 2.0, 1e-4])[:, None, None].expand(4, 1, 2)
    torch.testing.assert_close(deviation, expected)


def test_it_sees_how_varied_a_batch_is():
    critic = ResidualCritic((8, 4), seeded())
    images = torch.randn(4, 3, 8, 8, generator=seeded(2))
    alone = critic(images[:1].expand(4, -1, -1, -1))
    torch.testing.assert_close(alone, alone[:1].expand(4, 1))
    assert not torch.allclose(critic(images)[:1], alone[:1])


def test_weights_are_those_of_the_generator_given():
    one, other = (ResidualCritic((8, 4), seeded(k)).state_dict() for k in (0, 0))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not torch.equal(ResidualCritic((8, 4), seeded(1)).answer.weight, one["answer.weight"])


def test_half_precision_ends_before_the_deviation():
    critic, images = ResidualCritic((8, 4), seeded()), torch.randn(4, 3, 8, 8, generator=seeded(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answers = critic(images)
    assert answers.dtype == torch.float32
    torch.testing.assert_close(answers, critic(images), rtol=0.05, atol=0.05)


def test_its_r1_penalty_is_half_the_square_of_the_slope():
    critic = ResidualCritic((6, 4), seeded()).double()
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=seeded(4), requires_grad=True)
    penalty = gradient_penalty_r1(images, critic(images))
    with torch.no_grad():
        steps = 1e-5 * torch.eye(192, dtype=torch.float64).reshape(192, 1, 3, 8, 8)
        slopes = torch.stack([(critic(images + step) - critic(images - step)).squeeze() / 2e-5 for step in steps])
    torch.testing.assert_close(penalty.detach(), slopes.square().sum() / 2, rtol=1e-5, atol=0)

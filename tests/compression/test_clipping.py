"""Clipping to the range that is worth its bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from inverso.compression import clip_model, round_model
from inverso.compression.clipping import clip_tensor
from inverso.compression.rounding import round_weights


def bell(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=6, max_size=30),
    bits=st.integers(1, 8),
    axis=st.sampled_from([None, 0, 1]),
)
@settings(max_examples=50)
def test_rounding_the_clipped_tensor_is_never_worse(values: list[float], bits: int, axis: int | None) -> None:
    tensor = torch.tensor(values[: len(values) // 2 * 2], dtype=torch.float64).reshape(2, -1)
    clipped = round_weights(clip_tensor(tensor, bits=bits, axis=axis), bits=bits, axis=axis)
    plain = round_weights(tensor, bits=bits, axis=axis)
    assert (clipped - tensor).square().sum() <= (plain - tensor).square().sum() * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("axis", [None, 0])
def test_an_outlier_no_longer_stretches_the_levels(axis: int | None) -> None:
    weights = bell(2, 2000)
    weights[0, 0] = 30.0
    plain = (round_weights(weights, bits=3, axis=axis) - weights).square().mean()
    better = (round_weights(clip_tensor(weights, bits=3, axis=axis), bits=3, axis=axis) - weights).square().mean()
    assert better < 0.5 * plain


def test_one_bit_of_a_normal_distribution_is_its_mean_deviation() -> None:
    # The two values that are nearest to N(0, 1) in squared error are -sqrt(2 / pi) and sqrt(2 / pi).
    rounded = round_weights(clip_tensor(bell(100_000), bits=1), bits=1)
    torch.testing.assert_close(rounded.abs().mean(), torch.tensor(2 / torch.pi).sqrt(), rtol=0.06, atol=0)


def test_evenly_spread_weights_keep_their_whole_range() -> None:
    weights = torch.linspace(-3, 5, 256)
    assert torch.equal(clip_tensor(weights, bits=8), weights)


def test_each_channel_is_clipped_as_if_alone() -> None:
    weights = bell(3, 400) * torch.tensor([[1.0], [5.0], [0.1]])
    clipped = clip_tensor(weights, bits=2, axis=0)
    for channel, alone in zip(clipped, weights, strict=True):
        torch.testing.assert_close(channel, clip_tensor(alone, bits=2))


@pytest.mark.parametrize("tensor", [torch.full((4,), 2.5), torch.tensor([1.0])])
def test_constant_tensors_stay(tensor: torch.Tensor) -> None:
    assert torch.equal(clip_tensor(tensor, bits=2), tensor)
    assert torch.equal(clip_tensor(tensor, bits=2, axis=0), tensor)


def test_float16_needs_no_clipping() -> None:
    weights = bell(50)
    assert torch.equal(clip_tensor(weights, bits=16), weights)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_clipped_network_is_nearer_when_rounded_and_leaves_the_original(per_channel: bool) -> None:
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.ConvTranspose2d(16, 8, 3))
    for layer in network:
        nn.init.normal_(layer.weight)
    before = [parameter.clone() for parameter in network.parameters()]
    clipped = round_model(clip_model(network, bits=2, per_channel=per_channel), bits=2, per_channel=per_channel)
    plain = round_model(network, bits=2, per_channel=per_channel)
    for k in (0, 1):
        error = (clipped[k].weight - network[k].weight).square().mean()
        assert error < 0.8 * (plain[k].weight - network[k].weight).square().mean()
        assert torch.equal(clipped[k].bias, network[k].bias)
    assert all(torch.equal(parameter, old) for parameter, old in zip(network.parameters(), before, strict=True))


def test_what_cannot_be_rounded_cannot_be_clipped() -> None:
    with pytest.raises(TypeError, match="only floating-point tensors are quantized, got str"):
        clip_tensor("w", bits=4)
    with pytest.raises(ValueError, match="bits must be 1 to 8"):
        clip_model(nn.Linear(2, 2), bits=11)
    with pytest.raises(ValueError, match="there is nothing to quantize"):
        clip_model(nn.ReLU(), bits=4)

"""Rounding to few levels: how far a value moves, which levels there are, what gradients see."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from inverso.compression import QuantizedTensor, dequantize, quantize, round_model
from inverso.compression.rounding import round_parameters, round_weights, weight_axes

LARGEST = torch.finfo(torch.float32).max
BITS = range(1, 9)
AXES = (None, 0, 1, -1)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
bits = st.integers(1, 8)


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    values = draw(st.lists(finite, min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(values, dtype=torch.float32).reshape(rows, columns)


def random_weights(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


class TinyNetwork(nn.Module):
    """A layer of every kind that is quantized, and of some that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.batch_norm = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2)
        self.mix = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = self.up(self.batch_norm(self.norm(self.down(x))))
        return self.mix(features.movedim(1, -1)).movedim(-1, 1)


@given(tensor=matrices(), bits=bits, axis=st.sampled_from(AXES))
@settings(max_examples=200)
def test_no_entry_moves_by_more_than_half_a_step(tensor: Tensor, bits: int, axis: int | None) -> None:
    quantized = quantize(tensor.double(), bits=bits, axis=axis)
    moved = (dequantize(quantized) - tensor.double()).abs()
    rounding = 4 * torch.finfo(torch.float64).eps * tensor.double().abs().max()
    assert bool((moved <= quantized.step / 2 * (1 + 1e-12) + rounding).all())


@given(tensor=matrices(), bits=bits, axis=st.sampled_from(AXES))
@settings(max_examples=200)
def test_rounding_twice_is_rounding_once(tensor: Tensor, bits: int, axis: int | None) -> None:
    once = round_weights(tensor, bits=bits, axis=axis)
    torch.testing.assert_close(round_weights(once, bits=bits, axis=axis), once, rtol=0, atol=0)


@given(tensor=matrices(), bits=bits)
@settings(max_examples=100)
def test_extremes_stay_and_there_are_no_more_than_2_to_the_bits_values(tensor: Tensor, bits: int) -> None:
    rounded = round_weights(tensor, bits=bits)
    assert rounded.min() == tensor.min()
    assert rounded.max() == tensor.max()
    assert len(rounded.unique()) <= 2**bits


@given(tensor=matrices(), bits=bits)
@settings(max_examples=100)
def test_order_is_kept(tensor: Tensor, bits: int) -> None:
    ordered = tensor.flatten().sort().values
    assert bool((quantize(ordered, bits=bits).codes.int().diff() >= 0).all())


def test_levels_are_those_of_the_formula() -> None:
    quantized = quantize(torch.tensor([-1.0, -0.4, 0.0, 0.3, 0.95, 2.0], dtype=torch.float64), bits=2)
    assert quantized.codes.tolist() == [0, 1, 1, 1, 2, 3]
    expected = torch.tensor([-1.0, 0.0, 0.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(dequantize(quantized), expected)
    assert float(quantized.step) == pytest.approx(1.0)


def test_one_bit_leaves_the_smallest_and_the_largest_value() -> None:
    weights = random_weights(50)
    assert round_weights(weights, bits=1).unique().tolist() == [float(weights.min()), float(weights.max())]


@pytest.mark.parametrize("bits", BITS)
def test_error_halves_with_every_bit(bits: int) -> None:
    weights = random_weights(4000)
    step = float((weights.max() - weights.min()) / (2**bits - 1))
    error = float((round_weights(weights, bits=bits) - weights).abs().max())
    assert 0.4 * step < error <= 0.5 * step * (1 + 1e-9)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-38, LARGEST])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_constant_tensor_stays_as_it_is(value: float, bits: int) -> None:
    constant = torch.full((2, 3), value)
    assert torch.equal(round_weights(constant, bits=bits), constant)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_numbers_do_not_overflow(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    weights = torch.tensor([-largest, 0.1 * largest, largest], dtype=dtype)
    quantized = quantize(weights, bits=8)
    assert quantized.codes.tolist() == [0, 140, 255]
    assert dequantize(quantized)[[0, 2]].tolist() == [-largest, largest]
    assert bool(quantized.step.isfinite())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [3, 16])
def test_dtype_and_shape_are_kept(dtype: torch.dtype, bits: int) -> None:
    weights = random_weights(2, 3, dtype=torch.float64).to(dtype)
    rounded = round_weights(weights, bits=bits, axis=0)
    assert (rounded.dtype, rounded.shape) == (dtype, (2, 3))
    spread = (weights.amax(dim=1).clamp_min(0) - weights.amin(dim=1).clamp_max(0)).double()[:, None]
    # Half a step, or half of float16's last digit, and what the dtype itself rounds.
    bound = spread * (0.5 / 7 if bits == 3 else torch.finfo(torch.float16).eps / 2) + spread * torch.finfo(dtype).eps
    assert bool(((rounded - weights).double().abs() <= bound).all())


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_each_channel_is_rounded_as_if_alone(axis: int) -> None:
    weights = random_weights(3, 4, 5)
    rounded = round_weights(weights, bits=3, axis=axis)
    for channel, alone in zip(rounded.unbind(axis), weights.unbind(axis), strict=True):
        torch.testing.assert_close(channel, round_weights(alone, bits=3), rtol=0, atol=0)


def test_an_outlier_spoils_its_own_channel_alone() -> None:
    weights = random_weights(4, 100)
    weights[0, 0] = 1000.0
    apart = (round_weights(weights, bits=4, axis=0) - weights).abs().amax(dim=1)
    together = (round_weights(weights, bits=4) - weights).abs().amax(dim=1)
    assert bool((apart[1:] < 0.5).all())
    assert bool((together[1:] > 1).all())


def test_16_bits_are_float16() -> None:
    weights = random_weights(20, dtype=torch.float32)
    assert torch.equal(round_weights(weights, bits=16), weights.half().float())


@pytest.mark.parametrize("bits", [1, 4, 16])
def test_gradients_pass_straight_through(bits: int) -> None:
    weights = random_weights(6).requires_grad_()
    factors = torch.arange(6, dtype=torch.float64)
    (round_weights(weights, bits=bits) * factors).sum().backward()
    torch.testing.assert_close(weights.grad, factors)


def test_gradients_are_taken_at_the_rounded_values() -> None:
    weights = torch.tensor([0.0, 0.4, 1.0], requires_grad=True)
    round_weights(weights, bits=1).square().sum().backward()
    torch.testing.assert_close(weights.grad, torch.tensor([0.0, 0.0, 2.0]))


def test_weights_of_convolutions_and_linear_layers_are_quantized_and_nothing_else() -> None:
    assert weight_axes(TinyNetwork()) == {"down.weight": 0, "up.weight": 1, "mix.weight": 0}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", [1, 6, 16])
def test_a_rounded_network_has_rounded_weights_and_the_old_rest(bits: int, per_channel: bool) -> None:
    network = TinyNetwork()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    axes = weight_axes(network)
    for name, value in round_model(network, bits=bits, per_channel=per_channel).state_dict().items():
        if name in axes:
            expected = round_weights(before[name], bits=bits, axis=axes[name] if per_channel else None)
            assert not torch.equal(value, before[name])
        else:
            expected = before[name]
        torch.testing.assert_close(value, expected, rtol=0, atol=0)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_rounded_parameters_make_the_rounded_network_and_carry_gradients_to_the_weights() -> None:
    network, x = TinyNetwork().eval(), torch.rand(2, 3, 8, 8)
    answer = functional_call(network, round_parameters(network, bits=3), (x,))
    torch.testing.assert_close(answer, round_model(network, bits=3)(x))
    answer.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert float(network.down.weight.grad.abs().sum()) > 0


def test_a_weight_that_two_layers_share_is_rounded_for_both() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    rounded = round_model(network, bits=2)
    assert rounded[0].weight is rounded[1].weight
    assert len(rounded[1].weight.unique()) <= 4


@pytest.mark.parametrize(
    ("tensor", "error", "message"),
    [
        ([1.0], TypeError, "only floating-point tensors are quantized, got list"),
        (torch.arange(3), TypeError, r"only floating-point tensors are quantized, got torch.int64"),
        (torch.empty(0, 3), ValueError, r"an empty tensor has no range to quantize: its shape is \(0, 3\)"),
        (torch.tensor([0.0, torch.nan]), ValueError, "must be finite, but 1 of its 2 entries"),
        (torch.tensor([0.0, -torch.inf]), ValueError, "must be finite, but 1 of its 2 entries"),
    ],
)
def test_what_cannot_be_quantized_is_refused(tensor: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize(tensor, bits=4)
    with pytest.raises(error, match=message):
        round_weights(tensor, bits=16)


@pytest.mark.parametrize(
    ("bits", "error", "message"),
    [
        (0, ValueError, "bits must be 1 to 8, or 16 for float16, got 0"),
        (9, ValueError, "bits must be 1 to 8, or 16 for float16, got 9"),
        (4.0, TypeError, r"bits must be an integer from 1 to 8, or 16 for float16, got 4.0 \(float\)"),
        (True, TypeError, r"got True \(bool\)"),
    ],
)
def test_other_bits_are_refused(bits: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        round_weights(torch.rand(3), bits=bits)
    with pytest.raises(error, match=message):
        quantize(torch.rand(3), bits=bits)


def test_codes_of_16_bits_and_a_missing_axis_are_refused() -> None:
    with pytest.raises(ValueError, match=r"quantize makes codes of 1 to 8 bits; for float16 use tensor.half\(\)"):
        quantize(torch.rand(3), bits=16)
    with pytest.raises(ValueError, match=r"shape \(3,\) has no dimension 1"):
        quantize(torch.rand(3), bits=4, axis=1)


def test_what_float16_cannot_hold_is_refused_by_name() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    nn.init.constant_(network[0].weight, 70_000)
    message = r"the weight '0.weight' cannot be rounded to 16 bits: float16 holds numbers up to 65504, .* 70000"
    with pytest.raises(ValueError, match=message):
        round_model(network, bits=16)


def test_networks_without_plain_weights_are_refused() -> None:
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got builtin_function_or_method"):
        weight_axes(torch.sin)
    with pytest.raises(ValueError, match="this ReLU has neither convolutions nor linear layers"):
        weight_axes(nn.ReLU())
    with pytest.raises(ValueError, match="the weight of the layer '0' is computed from other parameters"):
        weight_axes(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))))


def test_a_quantized_tensor_says_its_step_per_channel() -> None:
    quantized = QuantizedTensor(
        torch.tensor([[0, 3], [3, 0]], dtype=torch.uint8), torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [7.0]]), 2
    )
    torch.testing.assert_close(quantized.step, torch.tensor([[1.0], [2.0]]))
    torch.testing.assert_close(dequantize(quantized), torch.tensor([[0.0, 3.0], [7.0, 1.0]]))


def test_only_the_named_layers_are_rounded() -> None:
    network = TinyNetwork()
    rounded = round_model(network, bits=1, layers=["down.*", "mi?.weight"])
    assert len(rounded.down.weight.unique()) == len(rounded.mix.weight.unique()) == 2
    assert torch.equal(rounded.up.weight, network.up.weight)
    assert weight_axes(network, layers=["up.*"]) == {"up.weight": 1}
    assert set(round_parameters(network, bits=1, layers=["up.*"])) == {"up.weight"}


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (["norm.*"], ValueError, r"no weight is called 'norm\.\*'; there are down\.weight, up\.weight, mix\.weight"),
        (["up.*", "nothing"], ValueError, "no weight is called 'nothing'"),
        ([], ValueError, "no weight is called so"),
        ("up.*", TypeError, "must be a list of names or patterns"),
    ],
)
def test_layers_that_are_not_there_are_refused(layers, error, message: str) -> None:
    with pytest.raises(error, match=message):
        round_model(TinyNetwork(), bits=4, layers=layers)

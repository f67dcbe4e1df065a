"""What the tests of the laws share: settings that hypothesis draws, and how exact an answer must be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from cases import OPERATORS, OperatorCase, Setting
from inverso.operators import LinearOperator

# Whatever is refused at the door is refused by code that operators of a kind share.
ONE_OF_EACH_KIND = (
    "Identity",
    "RandomMask",
    "Mask per image",
    "Bicubic",
    "FFTMask",
    "GaussianBlur",
    "Blur",
    "RandomGaussian",
    "sampled blur",
    "masked blur",
    "stacked masks",
    "user's, another size",
    "user's, complex",
)
every_operator = pytest.mark.parametrize("case", OPERATORS.values(), ids=OPERATORS)
exact_operators = pytest.mark.parametrize(
    "case",
    [case for case in OPERATORS.values() if case.exact],
    ids=[name for name in OPERATORS if OPERATORS[name].exact],
)
every_kind = pytest.mark.parametrize(
    "case",
    [OPERATORS[name] for name in ONE_OF_EACH_KIND],
    ids=ONE_OF_EACH_KIND,
)
few = settings(max_examples=3, derandomize=True, database=None)


@st.composite
def some_setting(draw: st.DrawFn, case: OperatorCase, *, images: int = 3) -> Setting:
    """Draw gray and color images of any sides the operator takes, a batch, a ratio and a seed."""
    smallest = -(-case.smallest // case.multiple)
    sides = [case.multiple * draw(st.integers(smallest, max(smallest, 14 // case.multiple))) for _ in range(2)]
    return Setting(
        image_shape=(draw(st.sampled_from([1, 2, 3])), sides[0], sides[1]),
        images=draw(st.integers(1, images)),
        ratio=draw(st.floats(0.05, 1.0)),
        seed=draw(st.integers(-(2**62), 2**62)),
    )


def small(case: OperatorCase, *, images: int = 2, channels: int = 2) -> Setting:
    """Give a setting small enough to write the operator down as a matrix: 6x5 pixels, or what the operator takes."""
    sides = [max(-(-side // case.multiple) * case.multiple, case.smallest) for side in (6, 5)]
    return Setting(image_shape=(channels, sides[0], sides[1]), images=images)


def tolerance(A: LinearOperator, setting: Setting, dtype: torch.dtype = torch.float64) -> float:
    """Bound relative errors by 1e-10 or 1e-4, by what the condition allows, or by what conjugate gradients promise."""
    plan = A.plan(setting.image_shape, dtype)
    if plan is None:
        return 1e-9 if dtype == torch.float64 else 1e-4
    return max(1e-10 if dtype == torch.float64 else 1e-4, 100 * torch.finfo(dtype).eps * plan.condition)


def assert_near(actual: Tensor, expected: Tensor, bound: float) -> None:
    """Compare to a bound relative to the largest entry."""
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(actual, expected, atol=bound * scale, rtol=0)


def as_matrix(A: LinearOperator, setting: Setting) -> Tensor:
    """Write an operator down as a real matrix, `(m, C H W)`: complex measurements as real and imaginary parts."""
    size = torch.Size(setting.image_shape).numel()
    pixels = torch.eye(size, dtype=torch.float64).reshape(size, *setting.image_shape)
    return torch.stack([as_vector(A(pixel[None])[0]) for pixel in pixels], dim=1)


def as_vector(y: Tensor) -> Tensor:
    """Write one measurement as a real vector."""
    return (torch.view_as_real(y.resolve_conj()) if y.is_complex() else y).flatten()


def random_like(y: Tensor, *, seed: int = 5) -> Tensor:
    """Draw a measurement that no image need have."""
    return torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(seed))

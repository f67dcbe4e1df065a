"""Argument checks shared by the library: an error names the argument, its value and what was expected."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Collection, Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso._warning import warn_caller
from inverso.errors import RangeWarning

MIN_IMAGE_DIMS = 3
HALF = (torch.float16, torch.bfloat16, torch.complex32)


def as_generator(seed: int | torch.Generator) -> torch.Generator:
    """Turn an integer seed into a CPU generator; return a generator unchanged.

    Raises:
        TypeError: The seed is neither an integer nor a generator.
        ValueError: The integer does not fit in 64 bits.
    """
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator().manual_seed(check_seed(seed))


def as_seed(seed: int | torch.Generator) -> int:
    """Turn a seed into an integer: return an integer unchanged, draw one number from a generator.

    Raises:
        TypeError: The seed is neither an integer nor a generator.
        ValueError: The integer does not fit in 64 bits.
    """
    if isinstance(seed, torch.Generator):
        return int(torch.randint(2**62, (), generator=seed, device=seed.device))
    return check_seed(seed)


def check_seed(seed: object) -> int:
    """Return the seed; raise unless it is an integer that fits in 64 bits."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        msg = f"seed must be an integer or a torch.Generator, got {seed!r} ({type(seed).__name__})"
        raise TypeError(msg)
    number = int(seed)
    if not -(2**63) <= number < 2**63:
        msg = f"seed must fit in 64 bits, got {number}"
        raise ValueError(msg)
    return number


def check_image(x: object, *, name: str = "x") -> Tensor:
    """Return x; raise unless it is a float tensor `(..., C, H, W)` with at least one entry."""
    if not isinstance(x, Tensor):
        msg = f"{name} must be a torch.Tensor (..., C, H, W), got {type(x).__name__}"
        raise TypeError(msg)
    check_dense(x, name=name)
    if not x.is_floating_point():
        msg = f"{name} must be a floating-point image with values in [0, 1], got {x.dtype}{_integer_advice(x)}"
        raise TypeError(msg)
    if x.ndim < MIN_IMAGE_DIMS:
        msg = f"{name} must have shape (..., C, H, W), got {tuple(x.shape)}"
        raise ValueError(msg)
    if x.numel() == 0:
        msg = f"{name} is empty: its shape is {tuple(x.shape)}"
        raise ValueError(msg)
    return x


def check_measurement(y: object, *, name: str = "y", finite: bool = True) -> Tensor:
    """Return y; raise unless it is a non-empty float or complex tensor and, if `finite`, free of NaN and infinity."""
    if not isinstance(y, Tensor):
        msg = f"{name} must be a torch.Tensor, got {type(y).__name__}"
        raise TypeError(msg)
    check_dense(y, name=name)
    if not (y.is_floating_point() or y.is_complex()):
        msg = f"{name} must be a floating-point or complex tensor, got {y.dtype}{_integer_advice(y)}"
        raise TypeError(msg)
    if y.numel() == 0:
        msg = f"{name} is empty: its shape is {tuple(y.shape)}"
        raise ValueError(msg)
    if finite:
        if y.is_meta:
            msg = f"{name} is on the device meta, which holds shapes and no values"
            raise ValueError(msg)
        check_finite(y, name=name)
    return y


def check_dense(values: Tensor, *, name: str) -> None:
    """Raise for a sparse tensor."""
    if values.layout != torch.strided:
        msg = f"{name} must be a dense tensor, got one of layout {values.layout}: to_dense() makes it so"
        raise TypeError(msg)


def check_finite(values: Tensor, *, name: str) -> None:
    """Raise if there is a NaN or an infinity, with their number; check nothing in a compiled or exported graph."""
    if torch.compiler.is_compiling():
        return
    try:
        # One reduction settles the usual case; a sum may overflow on finite values, so it is asked again entry by
        # entry.
        finite = cmath.isfinite(values.detach().sum().item()) or bool(values.detach().isfinite().all())
    except RuntimeError:  # Inside torch.func.vmap values cannot be asked.
        return
    if not finite:
        bad = int((~values.detach().isfinite()).sum())
        msg = f"{name} must be finite, but {bad} of its {values.numel()} entries are NaN or infinite"
        raise ValueError(msg)


def check_digits(values: Tensor, *, name: str, to: str) -> None:
    """Raise for half precision where it is too coarse for what `to` names, such as "invert Bicubic(scale=2)"."""
    if values.dtype in HALF:
        precise = f"{name}.to(torch.complex64)" if values.is_complex() else f"{name}.float()"
        msg = f"to {to} takes the digits of float32 or float64, got {name} in {values.dtype}: pass {precise}"
        raise TypeError(msg)


def other_precision(measure: Callable[[Tensor], Tensor], x: Tensor) -> torch.dtype | None:
    """Return the precision, float32 or float64, in which images can be measured, if it is not that of x."""
    other = torch.float32 if x.dtype == torch.float64 else torch.float64
    return other if not _measures(measure, x) and _measures(measure, x.to(other)) else None


def _measures(measure: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    try:
        with torch.no_grad():
            measure(x)
    except (RuntimeError, TypeError):
        return False
    return True


def check_unit_range(x: Tensor, *, name: str) -> None:
    """Raise for images with values far outside [0, 1], and warn if they seem to lie in [-1, 1].

    Raises:
        ValueError: The values reach beyond -2 or 3.
    """
    x = x.detach()
    if float(x.max()) > 3 or float(x.min()) < -2:
        msg = f"{name} must hold values in [0, 1], got {span(x)}. If they are 8-bit ones, divide by 255"
        raise ValueError(msg)
    warn_of_signed_values(x, name=name)


def warn_of_signed_values(x: Tensor, *, name: str, slack: float = 0.0) -> None:
    """Warn if values look like images in [-1, 1]: all lie in that range, and more than 5 % are below -0.1 - slack."""
    x = x.detach()
    inside = float(x.abs().max()) <= 1 + slack / 2
    if inside and bool((x < -0.1 - slack).float().mean() > 0.05):
        msg = f"{name} is expected to hold values in [0, 1], got {span(x)}. If 0 stands for gray, take (x + 1) / 2"
        warn_caller(msg, RangeWarning, each_time=True)


def span(values: Tensor) -> str:
    """Describe the range of the values, for messages."""
    if values.is_complex():
        return f"up to {float(values.abs().max()):.3g} in absolute value"
    return f"from {float(values.min()):.3g} to {float(values.max()):.3g}"


def batch_advice(values: Tensor, dimensions: int) -> str:
    """Suggest adding the batch dimension if exactly one dimension is missing, for messages."""
    return ": add a batch dimension, as in y[None]" if values.ndim == dimensions - 1 else ""


def check_number(value: object, *, name: str, expected: str) -> float:
    """Return the value as a float; raise unless it is a finite real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"{name} must be {expected}, got {value!r} ({type(value).__name__})"
        raise TypeError(msg)
    if not math.isfinite(value):
        msg = f"{name} must be {expected}, got {value}"
        raise ValueError(msg)
    return float(value)


def check_interval(value: object, *, name: str) -> tuple[float, float]:
    """Return (low, high); raise unless it is a pair of numbers with low < high."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        msg = f"{name} must be (low, high), got {value!r}"
        raise ValueError(msg)
    low, high = (check_number(end, name=name, expected="two numbers") for end in value)
    if low >= high:
        msg = f"{name} must be (low, high) with low < high, got {value}"
        raise ValueError(msg)
    return low, high


def check_fraction(value: object, *, name: str) -> float:
    """Return the number; raise unless it lies in (0, 1]."""
    number = check_number(value, name=name, expected="a number in (0, 1]")
    if not 0 < number <= 1:
        msg = f"{name} must lie in (0, 1], got {value}"
        raise ValueError(msg)
    return number


def check_non_negative(value: object, *, name: str) -> float:
    """Return the number; raise if it is negative."""
    number = check_number(value, name=name, expected="a number >= 0")
    if number < 0:
        msg = f"{name} must be at least 0, got {value}"
        raise ValueError(msg)
    return number


def check_positive(value: object, *, name: str) -> float:
    """Return the number; raise unless it is greater than 0."""
    number = check_number(value, name=name, expected="a number > 0")
    if number <= 0:
        msg = f"{name} must be greater than 0, got {value}"
        raise ValueError(msg)
    return number


def check_count(value: object, *, name: str, minimum: int = 1) -> int:
    """Return the integer; raise unless it is one of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"{name} must be an integer of at least {minimum}, got {value!r} ({type(value).__name__})"
        raise TypeError(msg)
    if value < minimum:
        msg = f"{name} must be an integer of at least {minimum}, got {value}"
        raise ValueError(msg)
    return int(value)


def check_choice(value: object, choices: Collection[object], *, name: str) -> None:
    """Raise unless the value is one of the choices."""
    if value not in tuple(choices):
        msg = f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
        raise ValueError(msg)


def check_constant(value: Tensor, *, name: str, of: str) -> None:
    """Raise if a tensor that an operator is made of asks for a gradient, which it would not get."""
    if value.requires_grad:
        msg = (
            f"a {of} has no gradient in its {name}, and this one asks for it: give {name}.detach(), or write an "
            f"operator of your own whose forward uses the {name}"
        )
        raise ValueError(msg)


def check_image_shape(shape: Sequence[int]) -> ImageShape:
    """Return the three positive integers `(C, H, W)`; raise if they are none."""
    if not isinstance(shape, Sequence) or len(shape) != MIN_IMAGE_DIMS:
        msg = f"image_shape must be (C, H, W), got {shape!r}"
        raise ValueError(msg)
    channels, height, width = (check_count(size, name="each size of image_shape") for size in shape)
    return channels, height, width


def _integer_advice(values: Tensor) -> str:
    return " (divide 8-bit pixels by 255: x.float() / 255)" if values.dtype == torch.uint8 else ""

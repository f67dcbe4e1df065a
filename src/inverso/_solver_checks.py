"""Checks of the arguments of `solve` before it runs, and of its answer before it is returned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from inverso._checks import (
    as_generator,
    batch_advice,
    check_digits,
    check_unit_range,
    other_precision,
    span,
    warn_of_signed_values,
)
from inverso._linalg import energies
from inverso._random import normal, uniform
from inverso._types import ImageShape
from inverso._warning import warn_caller
from inverso.errors import InversoError, RangeWarning, WorseThanInputWarning
from inverso.operators import LinearOperator
from inverso.operators._plans import real_dtype
from inverso.operators.bound import BoundOperator
from inverso.stages import Problem, State
from inverso.stages.back_project import squared_norm

BATCHED_IMAGE = 4
LARGEST = 4.0
"""Images whose root mean square must be above this are none in [0, 1]; it would be 128 of 8-bit values."""
STRAY = 0.05
"""Root mean square distance to [0, 1] from which an answer looks blown up; of good ones it is below 0.01."""
ROUGH = 0.25
"""Likewise, the root mean square difference of neighbors; of photos it is below 0.15."""
HARDLY_SEEN = 0.1
"""Likewise, the root mean square of what A hardly measures; of photos it is below 0.05."""
MORE = 2.5
"""How many times as much as in a cautious answer counts as blown up."""
CAUTION = 1e-2
"""Ridge of the cautious answer, in units of the squared norm of A."""


def check_parts(A: object, restorer: object) -> None:
    """Raise unless A is an operator and the restorer a network."""
    if A is not None and not isinstance(A, LinearOperator):
        given = f"the class {A.__name__}" if isinstance(A, type) else type(A).__name__
        if isinstance(A, BoundOperator):
            given = f"one at a size, A.at(...): give A itself, {A.operator!r}"
        msg = f"A must be an operator from inverso.operators or a subclass of LinearOperator, got {given}"
        raise TypeError(msg)
    if restorer is not None and not isinstance(restorer, nn.Module):
        msg = f"restorer must be a torch.nn.Module, got {type(restorer).__name__}"
        raise TypeError(msg)


def check_y(problem: Problem) -> None:
    """Raise unless A is linear and y a possible measurement by A of images in [0, 1]."""
    y, A = problem.y, problem.A
    if problem.noise > 1:
        msg = (
            f"noise={problem.noise:g} is more than the whole range of an image, [0, 1]: noise is a standard deviation "
            f"in the image's unit. If you mean {problem.noise:g} of 255, give noise={problem.noise / 255:.3g}"
        )
        warn_caller(msg, RangeWarning, each_time=True)
    if A is None:
        if y.ndim != BATCHED_IMAGE or y.is_complex():
            msg = (
                f"without an operator y must be a batch of images (n, C, H, W), got {y.dtype} of shape "
                f"{tuple(y.shape)}{batch_advice(y, BATCHED_IMAGE)}"
            )
            raise ValueError(msg)
        check_unit_range(y, name="y")
        return
    shape = problem.image_shape
    expected = A.output_shape(shape)
    if tuple(y.shape[1:]) != tuple(expected):
        of = "images" if problem.prior is None else "the prior's images"
        msg = (
            f"{A!r} measures {of} {tuple(shape)} as (n, {', '.join(map(str, expected))}), with one batch dimension n "
            f"before the measurement, got y of shape {tuple(y.shape)}{batch_advice(y, 1 + len(expected))}"
        )
        raise ValueError(msg)
    _check_kind(y, A, shape)
    with torch.no_grad(), torch.autocast(y.device.type, enabled=False):
        _check_linear(A.for_image(0), shape, y)
        _check_scale(problem)


def _check_kind(y: Tensor, A: LinearOperator, image_shape: ImageShape) -> None:
    """Raise if y and A's measurements differ in kind (real or complex) or shape, or if A is affine."""
    dtype = real_dtype(y.dtype)
    check_digits(y, name="y", to=f"invert {A!r}")
    A.check(y, image_shape=image_shape)
    nothing = torch.zeros(len(y), *image_shape, dtype=dtype, device=y.device)
    with torch.no_grad():
        measured = _measure(A, nothing)
        if measured.shape != y.shape:
            msg = (
                f"{A!r} measures {len(y)} images as {tuple(measured.shape)}, expected {tuple(y.shape)}, as y: its "
                "forward must treat the images of a batch alike"
            )
            raise ValueError(msg)
        _check_one_by_one(A, nothing[:1], measured[:1])
    if bool(measured.count_nonzero()):
        msg = (
            f"{A!r} is not linear: it measures something of an image that is zero everywhere. If it adds a constant c, "
            "take c off both: off what it gives, and off y"
        )
        raise ValueError(msg)
    if measured.is_complex() != y.is_complex():
        kinds = ("real", "complex")
        given = kinds[y.is_complex()]
        msg = f"{A!r} has {kinds[measured.is_complex()]} measurements, got {given} y ({y.dtype})"
        raise TypeError(msg)


def _measure(A: LinearOperator, x: Tensor) -> Tensor:
    """Measure images; raise if A can do so in another precision only."""
    try:
        return A(x)
    except (RuntimeError, TypeError) as error:
        other = other_precision(A, x)
        if other is None:
            raise
        cast = "y.double()" if other == torch.float64 else "y.float()"
        msg = (
            f"{A!r} fails for images in {x.dtype}, the precision of y, ({error}) and measures those in {other}: pass "
            f"{cast}, or convert its own tensors in forward to the dtype of the images, weight.to(x)"
        )
        raise TypeError(msg) from error


def _check_one_by_one(A: LinearOperator, image: Tensor, expected: Tensor) -> None:
    """Raise if A has a mask per image and `for_image` does not select the mask of one image."""
    msg = (
        f"{A!r} cannot measure the first image of a batch separately, as stages that process images one by one "
        "need: if it has data for each image, override for_image(index)"
    )
    try:
        measured = A.for_image(0)(image)
    except (RuntimeError, ValueError, IndexError) as error:
        more = f"{msg}. It says: {error}"
        raise ValueError(more) from error
    if measured.shape != expected.shape:
        raise ValueError(msg)


def _check_linear(A: LinearOperator, image_shape: ImageShape, y: Tensor) -> None:
    """Raise unless `A(2 u - v/2) = 2 A u - A v / 2` on random images u and v."""
    dtype = real_dtype(y.dtype)
    drawn = normal((2, 1, *image_shape), as_generator(0)).to(y.device, dtype)
    u, v = drawn
    expected = 2 * A(u) - A(v) / 2
    error, scale = float((A(2 * u - v / 2) - expected).abs().max()), float(expected.abs().max())
    tolerance = 1e-3 if dtype == torch.float32 else 1e-6
    if error > tolerance * scale:
        msg = (
            f"{A!r} is not linear: on two images u and v of random numbers, A(2 u - v/2) is off 2 A u - A v / 2 by "
            f"{error / scale:.2g} of its largest value. `solve` inverts linear operators only"
        )
        raise ValueError(msg)


def _check_scale(problem: Problem) -> None:
    """Raise if y cannot come from images in [0, 1], and warn if it suggests images in [-1, 1].

    From `|y|^2 = <A^T y, x>` up to the noise, the images behind y have at least the norm `|y|^2 / |A^T y|`.
    """
    A, y, shape = problem.operator, problem.measured, problem.image_shape
    try:
        back = A.adjoint(y, image_shape=shape)
    except RuntimeError:  # It breaks gradients off, which whatever needs them says better.
        return
    energy = energies(y)
    explained = energy - 1.5 * (energy * problem.noise_energy).sqrt()
    size = explained / (energies(back) * math.prod(shape)).sqrt().clamp_min(torch.finfo(energy.dtype).tiny)
    if bool((size > LARGEST).any()):
        msg = (
            f"images behind y have values of about {float(size.max()):.3g} (root mean square), and are expected in "
            f"[0, 1]; y has values {span(y)}. If they are 8-bit ones, divide by 255"
        )
        raise ValueError(msg)
    if y.is_complex():
        return
    # An operator that measures nothing negative of images in [0, 1], as masks and blurs do, shows where there are such.
    probe = uniform((1, *shape), as_generator(0)).to(back)
    if bool((A.for_image(0)(probe) >= 0).all()):
        warn_of_signed_values(y, name="y", slack=4 * problem.noise)


def check_state(name: str, state: object, problem: Problem) -> State:
    """Return what a stage returned; raise unless it is a state whose images, if any, are finite and as many as y.

    Raises:
        TypeError: It is no state.
        ValueError: The images have another shape than A measures.
        InversoError: The images are not finite.
    """
    if not isinstance(state, State):
        msg = (
            f"stage {name!r} returned a {type(state).__name__}, expected a State: state.following(StageRecord(...)) or "
            "State(image=...)"
        )
        raise TypeError(msg)
    image = state.image
    if image is None:
        return state
    expected = (len(problem.y), *(image.shape[1:] if problem.A is None else problem.image_shape))
    if tuple(image.shape) != expected:
        msg = f"stage {name!r} made images of shape {tuple(image.shape)}, expected {expected}"
        raise ValueError(msg)
    if not bool(image.isfinite().all()):
        bad = int((~image.isfinite()).sum())
        msg = f"stage {name!r} made images of which {bad} of {image.numel()} entries are NaN or infinite"
        raise InversoError(msg)
    return state


def warn_if_blown_up(problem: Problem, image: Tensor, method: str) -> None:
    """Warn if the answer shows errors of y (noise, or a wrong A) amplified by the inverse of A.

    Such an answer leaves [0, 1] or is rough, much more than the regularized `A.pinv(y, ridge=|A|^2 / 100)`; and its
    excess lies in directions of small singular values: `A.pinv(A x)` minus the same with that ridge.
    """
    if problem.A is None:
        return
    with torch.no_grad():
        stray, rough = _stray(image), _roughness(image)
        if not bool(((stray > STRAY) | (rough > ROUGH)).any()):
            return
        ridge = CAUTION * squared_norm(problem, like=image)
        cautious = problem.operator.pinv(problem.measured, ridge=ridge, image_shape=problem.image_shape)
        blown_up = (stray > STRAY) & (stray > MORE * _stray(cautious))
        blown_up = blown_up | ((rough > ROUGH) & (rough > MORE * _roughness(cautious)))
        if not bool(blown_up.any()):
            return
        # An answer that does not explain y either is bad in another way.
        blown_up = blown_up & (problem.misfit(image) <= problem.misfit(cautious))
        measured = problem.operator(image)
        seen, clearly_seen = (
            problem.operator.pinv(measured, ridge=each, image_shape=problem.image_shape) for each in (0.0, ridge)
        )
        blown_up = blown_up & ((seen - clearly_seen).square().flatten(1).mean(dim=1).sqrt() > HARDLY_SEEN)
    if bool(blown_up.any()):
        msg = (
            f"the answer of {method!r} is likely worse than the measurement: it strays from [0, 1] by "
            f"{float(stray[blown_up].max()):.2g} and neighbors differ by {float(rough[blown_up].max()):.2g} (root mean "
            f"square), more than {MORE:g} times as much as in a cautious answer. The inverse of {problem.operator!r} "
            "has blown up what is wrong with y. Is there more noise in y than noise= says? Does the scene go on beyond "
            "the frame, where the operator has a border (padding='valid' has none)? method='tv' is more careful"
        )
        warn_caller(msg, WorseThanInputWarning, each_time=True)


def _stray(images: Tensor) -> Tensor:
    """Compute the root mean square distance to [0, 1] per image."""
    return (images - images.clamp(0, 1)).square().flatten(1).mean(dim=1).sqrt()


def _roughness(images: Tensor) -> Tensor:
    """Compute the root mean square difference of neighbors per image."""
    down, right = (images.diff(dim=dim).square().flatten(1).sum(dim=1) for dim in (-2, -1))
    return ((down + right) / images[0].numel()).sqrt()

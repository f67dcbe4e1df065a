"""Convert operators from and to deepinv physics, and denoisers both ways. Needs the extra `interop`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from inverso._checks import check_non_negative
from inverso._extras import need
from inverso._types import ImageShape
from inverso.interop._calls import DenoiserCalls, OperatorCalls, SpectralCalls
from inverso.interop._physics import DecomposedOperator, PhysicsOperator, black_image
from inverso.interop._spectrum import Spectrum
from inverso.interop.vectors import check_bound
from inverso.operators import LinearOperator
from inverso.operators.bound import BoundOperator
from inverso.priors import Denoiser, WrappedDenoiser


def to_physics(A: BoundOperator, *, noise: float = 0.0, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401 - deepinv has no types, and may be missing
    """Convert an operator to a deepinv `LinearPhysics`.

    Its pseudo-inverse and its proximal operator `prox(z) = z + A^T (A A^T + I / gamma)^-1 (y - A z)` are computed by
    this library: exactly if A has an exact plan, without inner iterations. Operators that are diagonal in pixels,
    frequencies or cosines become a `DecomposablePhysics` with their singular values, which DDRM needs. Complex
    measurements become pairs of real numbers, as in `real_numbers`, since deepinv's data terms expect real ones.

    Args:
        A: The operator at one image size, `A.at(image_shape)`; with a mask per image it is for that number of images.
        noise: Standard deviation of the Gaussian noise that the physics adds.
        device: Device of the computation.

    Returns:
        A `deepinv.physics.LinearPhysics` in single precision, or another after `.to(torch.float64)`.

    Raises:
        MissingPackageError: deepinv is not installed.
        TypeError: A is no operator at one image size.
        ValueError: The noise is negative, or A is a transpose.
    """
    theirs = need("deepinv.physics", what="to_physics")
    check_bound(A, name="to_physics")
    level = check_non_negative(noise, name="noise")
    if A.transposed:
        msg = f"a physics measures images, and {A!r} is a transpose"
        raise ValueError(msg)
    operator, image_shape = A.operator, A.image_shape
    noise_model = theirs.GaussianNoise(level) if level > 0 else theirs.ZeroNoise()
    is_complex = operator._measurement(image_shape)[1]
    spectrum = Spectrum.of(operator, image_shape)
    if spectrum is None:
        kind = type("OperatorPhysics", (OperatorCalls, theirs.LinearPhysics), {})
        physics = kind(img_size=image_shape, noise_model=noise_model)
    else:
        kind = type("OperatorPhysics", (SpectralCalls, theirs.DecomposablePhysics), {})
        physics = kind(img_size=image_shape, noise_model=noise_model, mask=spectrum.values)
        physics.spectrum = spectrum
    physics.operator, physics.is_complex = operator, is_complex
    return physics.to(device)


def from_physics(physics: Any, image_shape: ImageShape) -> LinearOperator:  # noqa: ANN401 - see above
    """Convert a deepinv physics to an operator of this library.

    A `DecomposablePhysics`, `A = U diag(s) V^T`, has an exact pseudo-inverse by its singular values. Any other
    `LinearPhysics` keeps its own adjoint, and its pseudo-inverse is computed by conjugate gradients. Noise and sensor
    model of the physics are ignored.

    Args:
        physics: A `deepinv.physics.LinearPhysics`. It should not be changed afterwards.
        image_shape: `(C, H, W)` of the images.

    Returns:
        The operator.

    Raises:
        MissingPackageError: deepinv is not installed.
        TypeError: The physics is not linear, or its measurements are not tensors.
    """
    theirs = need("deepinv.physics", what="from_physics")
    if not isinstance(physics, theirs.LinearPhysics):
        msg = f"physics must be a deepinv.physics.LinearPhysics, got {type(physics).__name__}"
        raise TypeError(msg)
    probe = physics.A(black_image(physics, image_shape))
    if not isinstance(probe, Tensor):
        msg = f"measurements of {type(physics).__name__} are a {type(probe).__name__}, and must be one tensor"
        raise TypeError(msg)
    kind = DecomposedOperator if isinstance(physics, theirs.DecomposablePhysics) else PhysicsOperator
    return kind(physics, image_shape, tuple(probe.shape[1:]), probe.is_complex())


def to_denoiser(denoiser: Denoiser) -> nn.Module:
    """Convert a denoiser to a module for deepinv's methods, which pass noise levels of several shapes.

    Most of them accept a `Denoiser` directly. The module also accepts noise of shape `(n, 1, 1, 1)` or `(1,)`, and
    computes in the denoiser's precision.

    Args:
        denoiser: A denoiser of this library.

    Returns:
        A module with `forward(x, sigma)`.
    """
    return DenoiserCalls(denoiser)


def from_denoiser(
    model: nn.Module,
    *,
    channels: int = 3,
    sigma_range: tuple[float, float] = (0.0, 1.0),
) -> Denoiser:
    """Convert a deepinv denoiser, called as `model(x, sigma)` with images in [0, 1], to a `Denoiser`.

    Args:
        model: deepinv's model; call `.eval()` on it.
        channels: 1 or 3.
        sigma_range: Range of noise levels it was trained for.

    Returns:
        The denoiser.
    """
    return WrappedDenoiser(model, channels=channels, sigma_range=sigma_range)

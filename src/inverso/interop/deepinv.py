"""Operators as deepinv physics and deepinv physics as operators, denoisers both ways. It comes with `interop`."""

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
from inverso.operators import LinearOperator
from inverso.operators.bound import BoundOperator
from inverso.priors import Denoiser, WrappedDenoiser


def to_physics(A: BoundOperator, *, noise: float = 0.0, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401 - deepinv has no types, and may be missing
    """Give an operator as a deepinv `LinearPhysics`.

    Its pseudo-inverse and its proximal operator are ours, `prox(z) = z + A^T (A A^T + I / gamma)^-1 (y - A z)`: where A
    has an exact plan, deepinv's methods iterate nowhere. Operators that are diagonal in pixels, frequencies or cosines
    become a `DecomposablePhysics` with their singular values, as its DDRM needs them. deepinv's data terms are made for
    real measurements, so that complex ones are pairs of real numbers there, as `real_numbers` gives them.

    Args:
        A: The operator at one image size, `A.at(image_shape)`; one with a mask per image is for as many images.
        noise: Standard deviation of the Gaussian noise that calling the physics adds.
        device: Where it computes.

    Returns:
        A `deepinv.physics.LinearPhysics`, in single precision; `.to(torch.float64)` changes that.

    Raises:
        MissingPackageError: deepinv is not installed.
        ValueError: The noise is negative, or A is a transpose.
    """
    theirs = need("deepinv.physics", what="to_physics")
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
    """Give a deepinv physics as an operator of this library.

    A `DecomposablePhysics`, `A = U diag(s) V^T`, gets an exact plan: pseudo-inverses and ridges are formulas in its
    singular values. Any other `LinearPhysics` keeps its own adjoint, and gets its pseudo-inverse from conjugate
    gradients. Noise and sensor of the physics are left out.

    Args:
        physics: A `deepinv.physics.LinearPhysics`. It should not be changed afterwards.
        image_shape: `(C, H, W)` of the images.

    Returns:
        The operator.

    Raises:
        MissingPackageError: deepinv is not installed.
        TypeError: The physics is not linear, or its measurements are no tensors.
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
    """Give a denoiser to deepinv's methods, which call it with noise levels of several shapes.

    Most of them take a `Denoiser` as it is. This one also takes noise of shape `(n, 1, 1, 1)` or `(1,)`, and computes
    in the denoiser's precision.

    Args:
        denoiser: Ours.

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
    """Take a deepinv denoiser, called as `model(x, sigma)` with images in [0, 1], for one of ours.

    Args:
        model: deepinv's model; call `.eval()` on it.
        channels: 1 or 3.
        sigma_range: Noise that it was made for.

    Returns:
        The denoiser.
    """
    return WrappedDenoiser(model, channels=channels, sigma_range=sigma_range)

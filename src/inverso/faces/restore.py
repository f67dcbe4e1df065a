"""Restore the faces of a photo with a prior of aligned faces, and paste them back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from inverso.errors import InversoError
from inverso.faces._framed import FramedFace
from inverso.faces.find import find_faces
from inverso.faces.fit import FittedFace, fit_face
from inverso.faces.pose import Pose, check_inside
from inverso.methods import Method, default_for, stages_of
from inverso.operators import LinearOperator
from inverso.priors import Denoiser, LatentPrior
from inverso.problem import Need, Problem, StageRecord, State, no_losses
from inverso.reconstruction import Reconstruction
from inverso.solver import solve
from inverso.stages import CSGM, BackProject, Resume

FACE = 1.2
"""Up to this misfit, in that which the prior is expected to leave, something is taken for a face; above, if the face
explains edges that are unlikely without it."""
_COARSE = 0.01
"""Noise that stands for what the warp cannot say exactly."""


class NoFaceError(InversoError, ValueError):
    """There is no face in a photo, or none that the prior can explain.

    Args:
        message: What was given and expected.
        reason: Why the prior finds no face where one was supposed, without the place; empty if none was supposed.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class RestoredFace:
    """A restored face.

    Args:
        fitted: The fit of pose and latent that it started from.
        face: The restored aligned face, `(1, C, side, side)`.
        photo: The photo with the restored face, `(1, C, H, W)`.
    """

    fitted: FittedFace
    face: Tensor
    photo: Tensor


def restore_face(
    y: Tensor,
    A: LinearOperator,
    photo: Tensor,
    prior: LatentPrior,
    start: Pose,
    *,
    method: Method | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> RestoredFace:
    """Restore one face: fit its pose and latent, run a method in its frame, and paste it back with a soft edge.

    Args:
        y: The measurement of one photo, with a batch of one.
        A: Its operator.
        photo: The photo reconstructed without the prior, `(1, C, H, W)`.
        prior: Prior of aligned faces.
        start: Approximate pose of the face.
        method: Method as for `inverso.solve`; its stages after the latent search run in the frame of the face.
        noise: Standard deviation of the noise of y.
        seed: Seed of all random numbers.

    Raises:
        NoFaceError: The prior cannot explain the image in the frame.
        ValueError: The prior's images are not square or have other channels.
    """
    fitted = fit_face(y, A, photo, prior, start, noise=noise, seed=seed)
    if fitted.misfit > FACE and fitted.evidence < 0:
        reason = f"the prior finds no face (misfit {fitted.misfit:.2f}, at most {FACE})"
        msg = f"at column {start.x:.0f} and row {start.y:.0f} {reason}"
        raise NoFaceError(msg, reason)
    height, width = photo.shape[-2:]
    framed = FramedFace(A, fitted.pose.tensor().to(photo)[None], (height, width), prior.image_shape[-1])
    share = framed.share(photo)
    rest = A.restrict(y, image_shape=(photo.shape[1], height, width)) - A((1 - share) * photo)
    if method is None:
        method = default_for(Problem(y, A, prior))
    later = [stage for stage in stages_of(method) if not isinstance(stage, CSGM)]
    begin = Resume(State(image=fitted.face, latent=fitted.latent))
    answer = solve(rest, framed, prior, [begin, *later], noise=max(noise, _COARSE), seed=seed, progress=False)
    return RestoredFace(fitted, answer.image, photo + share * (framed.laid(answer.image) - photo))


def starts_of(photo: Tensor, poses: Sequence[Pose] | None = None) -> tuple[Pose, ...]:
    """Return the approximate poses of the faces of a photo, given or detected.

    Raises:
        NoFaceError: None was given or detected.
        ValueError: A given pose lies outside the photo.
    """
    height, width = photo.shape[-2:]
    check_inside(poses or (), (width, height))
    found = tuple(poses) if poses else find_faces(photo)
    if not found:
        msg = (
            f"no face was found in the photo of {width} x {height} pixels. Damage may hide one: say where it is by its "
            "center and the side of its frame, in pixels, poses=[Pose(x, y, side)]"
        )
        raise NoFaceError(msg)
    return found


def solve_faces(
    y: Tensor,
    A: LinearOperator,
    prior: LatentPrior,
    denoiser: Denoiser,
    *,
    poses: Sequence[Pose] | None = None,
    method: Method | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[Reconstruction, tuple[RestoredFace, ...]]:
    """Reconstruct a photo of any size with faces anywhere in it: `y = A x + e`.

    A denoiser reconstructs the whole photo; each face detected in it is restored by the prior and pasted back; the last
    step is a back-projection onto the measurement.

    Args:
        y: The measurement of one photo, with a batch of one.
        A: The operator that measured the photo.
        prior: Prior of aligned faces, such as `inverso.priors.load("faces-64")`.
        denoiser: Denoiser for photos of any size, such as `inverso.priors.load("photos")`.
        poses: Approximate poses of the faces; by default they are detected.
        method: Method for the faces, as for `inverso.solve`.
        noise: Standard deviation of the noise of y.
        seed: Seed of all random numbers.

    Returns:
        The reconstruction, and the faces in it.

    Raises:
        NoFaceError: There is no face.
        ValueError: y has several photos, or is not a measurement of A.
    """
    if len(y) != 1:
        msg = f"faces are restored photo by photo, got a y of {len(y)}"
        raise ValueError(msg)
    whole = solve(y, A, denoiser, noise=noise, seed=seed, progress=False)
    state, faces = whole.state, []
    refusal: NoFaceError | None = None
    for start in starts_of(whole.image.clamp(0, 1), poses):
        began, photo = time.perf_counter(), state.need(Need.IMAGE)
        try:
            face = restore_face(y, A, photo, prior, start, method=method, noise=noise, seed=seed)
        except NoFaceError as error:
            refusal = error
            continue
        faces.append(face)
        seconds = time.perf_counter() - began
        state = state.following(
            StageRecord("face", face.photo, no_losses(face.photo), seconds, note=face.fitted.pose.told())
        )
    if not faces and refusal is not None:
        raise refusal
    answer = solve(y, A, method=[Resume(state), BackProject()], noise=noise, seed=seed, progress=False)
    return replace(answer, method="pnp+face+bp"), tuple(faces)

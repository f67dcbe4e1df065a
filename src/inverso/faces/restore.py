"""Faces of a photo restored by a prior of aligned faces, and put back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from inverso.errors import InversoError
from inverso.faces._framed import FramedFace
from inverso.faces.find import find_faces
from inverso.faces.fit import FittedFace, fit_face
from inverso.faces.pose import Pose
from inverso.methods import Method, best_for, stages_of
from inverso.operators import LinearOperator
from inverso.priors import Denoiser, LatentPrior
from inverso.problem import Need, Problem, StageRecord, State, no_losses
from inverso.reconstruction import Reconstruction
from inverso.solver import solve
from inverso.stages import CSGM, BackProject, Resume

FACE = 1.0
"""Up to this misfit, in that which the prior is expected to leave, something is taken for a face."""
_COARSE = 0.01
"""Noise that stands for what the warp cannot say exactly."""


class NoFaceError(InversoError, ValueError):
    """There is no face in a photo, or none that the prior takes for one."""


@dataclass(frozen=True)
class RestoredFace:
    """A face that was restored.

    Args:
        fitted: Where it lies, and what the prior made of it at first.
        face: The aligned face as restored, `(1, C, side, side)`.
        photo: The photo with the face in it, `(1, C, H, W)`.
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
    """Restore one face: fit its pose and latent together, go on in its frame, and put it back with a soft edge.

    Args:
        y: The measurement of one photo, with a batch of one.
        A: Its operator.
        photo: The photo as it is known without the prior, `(1, C, H, W)`.
        prior: Makes aligned faces.
        start: About where the face lies.
        method: As `inverso.solve` takes it; what comes after its search of the latent is done in the frame.
        noise: Standard deviation of the noise of y.
        seed: Of what is random.

    Raises:
        NoFaceError: The prior cannot explain what is there.
        ValueError: The prior makes no squares, or images of other channels.
    """
    fitted = fit_face(y, A, photo, prior, start, noise=noise, seed=seed)
    if fitted.misfit > FACE:
        msg = f"at column {start.x:.0f} and row {start.y:.0f} the prior finds no face (misfit {fitted.misfit:.1f} of 1)"
        raise NoFaceError(msg)
    height, width = photo.shape[-2:]
    framed = FramedFace(A, fitted.pose.tensor().to(photo)[None], (height, width), prior.image_shape[-1])
    share = framed.share(photo)
    rest = A.restrict(y, image_shape=(photo.shape[1], height, width)) - A((1 - share) * photo)
    if method is None:
        method = best_for(Problem(y, A, prior).has)
    later = [stage for stage in stages_of(method) if not isinstance(stage, CSGM)]
    begin = Resume(State(image=fitted.face, latent=fitted.latent))
    answer = solve(rest, framed, prior, [begin, *later], noise=max(noise, _COARSE), seed=seed, progress=False)
    return RestoredFace(fitted, answer.image, photo + share * (framed.laid(answer.image) - photo))


def starts_of(photo: Tensor, poses: Sequence[Pose] | None = None) -> tuple[Pose, ...]:
    """Give about where the faces of a photo lie, as told or as found.

    Raises:
        NoFaceError: None was told or found.
    """
    found = tuple(poses) if poses else find_faces(photo)
    height, width = photo.shape[-2:]
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

    A denoiser reconstructs the whole photo; each face that is found there is restored by the prior and put back; what
    was measured is put back last.

    Args:
        y: The measurement of one photo, with a batch of one.
        A: The operator that measured the photo.
        prior: Makes aligned faces, such as `inverso.priors.load("faces-64")`.
        denoiser: Knows photos of any size, such as `inverso.priors.load("photos")`.
        poses: About where faces lie; by default they are looked for.
        method: For the faces, as `inverso.solve` takes it.
        noise: Standard deviation of the noise of y.
        seed: Of what is random.

    Returns:
        The reconstruction, and the faces in it.

    Raises:
        NoFaceError: There is no face.
        ValueError: y holds several photos, or is none that A measures.
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

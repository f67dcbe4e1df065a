"""Restore faces of a photo with a prior of aligned faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.faces import NoFaceError, Pose, RestoredFace, restore_face, starts_of
from inverso.faces._warp import lay, paste, soft_frame
from inverso.operators import Identity, LinearOperator, Mask
from inverso.priors import LatentPrior
from inverso.restorers._filling import fill_in
from inverso.solver import solve
from inverso.stages import BackProject, Resume, State

_AROUND = 0.65
"""Half a window around a face, of the side of its frame."""
_THIN = 3.0
"""Damage that is thinner, in pixels of the prior's face, is filled better by what lies beside it."""
_LARGER = 2.0
"""A face that is so many times as large as the prior's has detail that the prior does not know."""


@dataclass(frozen=True)
class Faces:
    """The prior for faces, and their poses.

    Args:
        prior: Prior of aligned faces, such as `inverso.priors.load("faces-64")`.
        poses: Approximate poses of the faces, in pixels of the photo; by default they are detected.
        needed: Whether it is an error if there is no face and nothing else has to be done; otherwise a line says so.
    """

    prior: LatentPrior
    poses: Sequence[Pose] = ()
    needed: bool = True


@dataclass(frozen=True)
class FaceWork:
    """A photo whose faces are restored.

    Args:
        pixels: The given photo, `(1, C, H, W)`.
        damaged: True where it is damaged, `(1, 1, H, W)`; None for no damage.
        operator: Function that composes the blur and shrinking of the photo with a last operator.
        scale: Factor by which the result is larger.
        noise: Noise of the measurement.
        sharpens: Whether the photo is enlarged or a blur undone, so that all pixels change.
    """

    pixels: Tensor
    damaged: Tensor | None
    operator: Callable[[LinearOperator], LinearOperator]
    scale: int
    noise: float
    sharpens: bool

    def run(self, answer: Tensor, faces: Faces, said: list[str]) -> Tensor:
        """Restore all damaged or blurred faces of a result, and append what was done to `said`.

        Raises:
            NoFaceError: There is no face.
        """
        told = [replace(pose, **{k: self.scale * getattr(pose, k) for k in ("x", "y", "size")}) for pose in faces.poses]
        answer, others = answer.clone(), 0
        refused: list[NoFaceError] = []
        for start in starts_of(answer, told):
            where = f"at column {start.x / self.scale:.0f} and row {start.y / self.scale:.0f}"
            place = f"the face {where}"
            reason = self._left(start, faces.prior.image_shape[-1])
            if reason:
                said.append(f"{place} {reason}")
                others += 1
                continue
            try:
                found = self._restore(answer, start, faces.prior)
            except NoFaceError as error:
                # The message of the error has the place in a shrunk part of the photo.
                refused.append(NoFaceError(f"{where} {error.reason}", error.reason))
                continue
            others += 1
            size, angle = found.size / self.scale, found.angle
            said.append(
                f"{place} was restored by the prior of faces: {size:.0f} pixels, turned by {angle:.0f} degrees; what "
                "it shows there is likely, not certain"
            )
        if refused and not others:
            raise refused[0]
        said += [f"{each}: it was left to the photo's prior" for each in refused]
        return answer

    def _left(self, start: Pose, side: int) -> str:
        """Return why a face is not restored, or an empty text."""
        if self.sharpens and start.size > _LARGER * side:
            return f"has {start.size:.0f} pixels and the prior's faces {side}: it was left to the photo's prior"
        if self.sharpens:
            return ""
        if self.damaged is None or not self._touched(start, self.damaged):
            return "is not damaged and was left as it was"
        least = _thinnest(start, side)
        if not self._touched(start, _wide(self.damaged, least)):
            return f"is damaged in places thinner than {least} pixels only, which the photo's prior filled"
        return ""

    def _touched(self, start: Pose, damaged: Tensor) -> bool:
        frame = torch.ones(1, 1, 8, 8).to(self.pixels)
        inside = lay(frame, start.tensor()[None], (self.pixels.shape[-2], self.pixels.shape[-1])) > 0
        return bool((damaged & inside).any())

    def _restore(self, answer: Tensor, start: Pose, prior: LatentPrior) -> Pose:
        """Restore one face in the result, which is changed in place, and return its pose."""
        step = 1 if self.sharpens else max(1, round(start.size / prior.image_shape[-1]))
        rows, columns = self._window(start, step)
        y = self.pixels[..., rows, columns]
        damaged = None if self.damaged is None else self.damaged[..., rows, columns]
        scale = self.scale
        place = (
            slice(scale * rows.start, scale * rows.stop),
            slice(scale * columns.start, scale * columns.stop),
        )
        photo = answer[(..., *place)]
        local = replace(start, x=start.x - place[1].start, y=start.y - place[0].start)
        if self.sharpens or damaged is None:
            restored = self._sharpen(y, damaged, photo, prior, local)
            pose, new = restored.fitted.pose, restored.photo
        else:
            pose, new = self._fill(y, damaged, photo, prior, local, step)
        answer[(..., *place)] = new.clamp(0, 1)
        return pose

    def _sharpen(
        self, y: Tensor, damaged: Tensor | None, photo: Tensor, prior: LatentPrior, start: Pose
    ) -> RestoredFace:
        """Restore a face of a blurred or shrunk photo; the last step is a back-projection onto the measurement."""
        if damaged is None or not bool(damaged.any()):
            A = self.operator(Identity())
        else:
            A, y = self.operator(Mask(~damaged[0])), y.masked_fill(damaged, 0.0)
        found = restore_face(y, A, photo, prior, start, noise=self.noise)
        begin = Resume(State(image=found.photo))
        new = solve(y, A, method=[begin, BackProject()], noise=self.noise, progress=False).image
        pose = found.fitted.pose.tensor().to(photo)[None]
        share = lay(soft_frame(prior.image_shape[-1]).to(photo), pose, (photo.shape[-2], photo.shape[-1]))
        return replace(found, photo=photo + share * (new - photo))

    def _fill(
        self, y: Tensor, damaged: Tensor, photo: Tensor, prior: LatentPrior, start: Pose, step: int
    ) -> tuple[Pose, Tensor]:
        """Fill the damage of a face; pose and latent are fitted at about the prior's resolution."""
        known = (~damaged).to(y)
        count = F.avg_pool2d(known, step)
        coarse = F.avg_pool2d(y * known, step) / count.clamp_min(1e-6)
        whole = count > 1 - 1e-6
        local = Pose(x=start.x / step, y=start.y / step, size=start.size / step, angle=start.angle)
        smaller = F.avg_pool2d(photo, step)
        found = restore_face(coarse * whole, Mask(whole[0]), smaller, prior, local, noise=self.noise)
        fitted = found.fitted.pose
        pose = Pose(x=fitted.x * step, y=fitted.y * step, size=fitted.size * step, angle=fitted.angle)
        new = paste(photo, found.face, pose.tensor().to(photo)[None])
        wide = _wide(damaged, _thinnest(start, prior.image_shape[-1]))
        # Where the face differs from the photo around the damage, it is shifted smoothly, so that no edge is left.
        new = new + fill_in(photo.where(damaged, y) - new, ~wide)
        return pose, torch.where(wide, new, photo)

    def _window(self, start: Pose, step: int) -> tuple[slice, slice]:
        """Return the rows and columns of the photo around a face, with lengths divisible by the step."""
        height, width = self.pixels.shape[-2:]
        slices = []
        for center, length in ((start.y, height), (start.x, width)):
            reach = (_AROUND * start.size + 8) * 2**0.5 / self.scale
            first, last = max(0, int(center / self.scale - reach)), min(length, int(center / self.scale + reach) + 1)
            last = first + max(1, (last - first) // step) * step
            slices.append(slice(first, min(last, length)))
        return slices[0], slices[1]


def _thinnest(start: Pose, side: int) -> int:
    """Return the least width of damage that is filled by the prior, in pixels of the photo. It is odd."""
    return 2 * round(_THIN * start.size / side / 2) + 1


def _wide(damaged: Tensor, width: int) -> Tensor:
    """Keep the damage that a square of an odd width fits into, beyond the frame as well (a morphological opening).

    Example:
        >>> import torch
        >>> damaged = torch.zeros(1, 1, 5, 9, dtype=torch.bool)
        >>> damaged[..., 1:4, 1:4] = damaged[..., 2, :] = True
        >>> _wide(damaged, 3)[0, 0, 2].int().tolist()
        [0, 1, 1, 1, 0, 0, 0, 0, 0]
    """
    reach = width // 2
    centers = ~(F.max_pool2d((~damaged).float(), width, stride=1, padding=reach) > 0)
    return F.max_pool2d(centers.float(), width, stride=1, padding=reach) > 0

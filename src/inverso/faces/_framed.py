"""The operator from an aligned face to the measurement of the photo it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from inverso._types import ImageShape
from inverso.faces._warp import lay, samples_for, soft_frame
from inverso.operators import LinearOperator


@dataclass(frozen=True, eq=False)
class FramedFace(LinearOperator):
    """Warp an aligned face into its frame in the photo and measure it: `A (m W x)`.

    W is the warp and m the soft mask of the frame. The contribution of the photo around the face, `A ((1 - m) photo)`,
    has to be subtracted from y.

    Args:
        A: Operator that measured the photo.
        pose: Pose of the face, `(1, 4)`.
        photo: Height and width of the photo.
        side: Side of the aligned face in pixels.
    """

    A: LinearOperator
    pose: Tensor
    photo: tuple[int, int]
    side: int

    def share(self, like: Tensor) -> Tensor:
        """Return the weight of the face at every pixel of the photo, `(1, 1, H, W)`."""
        return self._share.to(like)

    def laid(self, x: Tensor) -> Tensor:
        """Warp faces `(..., C, side, side)` into photos."""
        faces = x.reshape(-1, *x.shape[-3:])
        poses = self.pose.expand(len(faces), -1)
        photos = lay(faces, poses, self.photo, samples=self._samples, beyond="border")
        return photos.reshape(*x.shape[:-2], *self.photo)

    def forward(self, x: Tensor) -> Tensor:
        """Warp and measure."""
        return self.A(self.share(x) * self.laid(x))

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the shape of the aligned face: as many channels as the photo."""
        return self.A.input_shape(y_shape)[0], self.side, self.side

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of the photo's measurement."""
        return self.A.output_shape((image_shape[0], *self.photo))

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Restrict as the photo's operator does."""
        shape = self.input_shape(tuple(y.shape)) if image_shape is None else image_shape
        return self.A.restrict(y, image_shape=(shape[0], *self.photo))

    @cached_property
    def _share(self) -> Tensor:
        return lay(soft_frame(self.side).to(self.pose), self.pose, self.photo, samples=self._samples)

    @property
    def _samples(self) -> int:
        return samples_for(float(self.pose[0, 2]), self.side)

"""How an aligned face is measured that lies in a photo."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from inverso._types import ImageShape
from inverso.faces._warp import lay, samples_for, soft_frame
from inverso.operators import LinearOperator


@dataclass(frozen=True, eq=False)
class FramedFace(LinearOperator):
    """Lay an aligned face into the frame that it has in a photo, and measure that: `A (m W x)`.

    W is the warp and m the soft edge of the frame. What else of y the photo around it explains, `A ((1 - m) photo)`,
    has to be taken off.

    Args:
        A: How the photo was measured.
        pose: Of the face, `(1, 4)`.
        photo: Height and width.
        side: Of the aligned face.
    """

    A: LinearOperator
    pose: Tensor
    photo: tuple[int, int]
    side: int

    def share(self, like: Tensor) -> Tensor:
        """Give how much of every pixel of the photo is the face, `(1, 1, H, W)`."""
        return lay(soft_frame(self.side).to(like), self.pose, self.photo, samples=self._samples)

    def laid(self, x: Tensor) -> Tensor:
        """Lay faces `(..., C, side, side)` into photos."""
        faces = x.reshape(-1, *x.shape[-3:])
        poses = self.pose.expand(len(faces), -1)
        photos = lay(faces, poses, self.photo, samples=self._samples, beyond="border")
        return photos.reshape(*x.shape[:-2], *self.photo)

    def forward(self, x: Tensor) -> Tensor:
        """Lay and measure."""
        return self.A(self.share(x) * self.laid(x))

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """As many channels as the photo, and the side of the face."""
        return self.A.input_shape(y_shape)[0], self.side, self.side

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """That of the photo's measurement."""
        return self.A.output_shape((image_shape[0], *self.photo))

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """As the photo's operator does."""
        shape = self.input_shape(tuple(y.shape)) if image_shape is None else image_shape
        return self.A.restrict(y, image_shape=(shape[0], *self.photo))

    @property
    def _samples(self) -> int:
        return samples_for(float(self.pose[0, 2]), self.side)

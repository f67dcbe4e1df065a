"""Fit the pose and the latent of a face together."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from inverso._checks import check_count
from inverso._linalg import energies
from inverso._optim.quasi_newton import QuasiNewton
from inverso.faces._guess import seen_at
from inverso.faces._warp import lay, samples_for, soft_frame
from inverso.faces.pose import Pose
from inverso.operators import LinearOperator
from inverso.priors import LatentPrior
from inverso.priors.encoder import LatentEncoder, load

SPREAD = (0.06, 0.06, 0.12, 8.0)
"""Deviations that are one unit: of the place, of the frame's side; of the logarithm of the size; of the angle."""
_PLACES, _SIZES, _ANGLES = (-1.5, 0.0, 1.5), (-3.0, -1.5, 0.0, 1.5, 3.0), (-2.0, 0.0, 2.0)
"""Where descents may begin, in these units: 9 %, 0.7 to 1.4, and 16 degrees."""
_OUTSIDE = 2.0
"""What lies outside of the frame counts as explained so many times worse than the prior explains its images: with less,
frames shrink onto what is smooth."""
_HOLD = 0.01
"""A unit of deviation costs as much as this share of the frame's numbers, badly explained: what the prior leaves hangs
together over tens of pixels, and frames of any place fit a smooth photo."""
_PIXELS = 1 << 18
"""Of photos that are looked at together."""


@dataclass(frozen=True)
class FittedFace:
    """A face fitted by the prior.

    Args:
        pose: Pose of the face.
        latent: Latent of the aligned face, `(1, *latent_shape)`.
        face: The aligned face `(1, C, side, side)` generated from the latent.
        misfit: Mean squared misfit of the measurements in its frame, divided by its expected value: about 1 for a face.
    """

    pose: Pose
    latent: Tensor
    face: Tensor
    misfit: float


def fit_face(
    y: Tensor,
    A: LinearOperator,
    photo: Tensor,
    prior: LatentPrior,
    start: Pose,
    *,
    noise: float = 0.0,
    steps: int = 40,
    descents: int = 4,
    seed: int = 0,
) -> FittedFace:
    """Fit pose p and latent z to the measurement of a photo, from several start poses.

    Minimizes, with the frame's soft mask `m(p)`, the warp `W(p)` and the photo b reconstructed without the prior:

        |A (b + m(p) (W(p) G(z) - b)) - y|^2 - 2 s |A m(p)|^2 + s |z - z0|^2 + 0.01 n s |(p - start) / spread|^2

    where s is the expected squared error of the prior per value and n the number of values of a face. The second term
    counts the misfit outside of the frame as larger than s, so that frames do not shrink to avoid misfit. The prior's
    encoder estimates z0 at each of 135 poses around the start; the best of them are optimized by a quasi-Newton method.
    Without an encoder the best of random latents are the start.

    Args:
        y: The measurement of one photo, with a batch of one.
        A: Its operator.
        photo: The photo reconstructed without the prior, `(1, C, H, W)`.
        prior: Prior of aligned faces, with square images.
        start: Approximate pose of the face.
        noise: Standard deviation of the noise of y.
        steps: Number of steps of each optimization.
        descents: Number of optimizations, of which the best is kept.
        seed: Seed of random latents.

    Raises:
        ValueError: The prior's images are not square or have other channels.
    """
    fit = _Fit(y, A, photo, prior, start, noise)
    poses = fit.around()
    latents = fit.latents(poses, seed=seed)
    with torch.no_grad():
        losses = torch.cat([
            fit.loss(z, p) + fit.weight * energies(z) + fit.hold * energies(fit.deviations(p))
            for z, p in zip(latents.split(fit.together), poses.split(fit.together), strict=True)
        ])  # fmt: skip
    best = losses.argsort(stable=True)[: check_count(descents, name="descents")]
    return fit.descend(latents[best], poses[best], check_count(steps, name="steps"))


class _Fit:
    """The constant data of the fit of one face."""

    def __init__(
        self, y: Tensor, A: LinearOperator, photo: Tensor, prior: LatentPrior, start: Pose, noise: float
    ) -> None:
        channels, self.side, width = prior.image_shape
        if self.side != width or channels != photo.shape[1]:
            msg = (
                f"the prior makes images of shape {prior.image_shape}, and a face in a photo of {photo.shape[1]} "
                "channels is a square of as many"
            )
            raise ValueError(msg)
        self.A, self.photo, self.prior = A, photo, prior
        self.shape = (channels, photo.shape[-2], photo.shape[-1])
        self.y, self.seen = A.restrict(y, image_shape=self.shape), y
        self.start = start.tensor().to(photo)[None]
        self.weight = prior.latent_weight + noise**2
        self.hold = _HOLD * self.weight * channels * self.side**2
        # A large face has more pixels than the prior has, which then do not err independently.
        self.scale = min(1.0, (self.side / start.size) ** 2)
        self.samples = samples_for(start.size, self.side)
        self.together = max(1, _PIXELS // (photo.shape[-1] * photo.shape[-2] * self.samples**2))
        self.soft = soft_frame(self.side).to(photo)

    def around(self) -> Tensor:
        """Return the start poses `(n, 4)`."""
        units = torch.tensor(list(product(_PLACES, _PLACES, _SIZES, _ANGLES))).to(self.photo)
        return moved(self.start.expand(len(units), -1), units)

    def latents(self, poses: Tensor, *, seed: int) -> Tensor:
        """Estimate the latents at poses, `(n, *latent_shape)`."""
        if self.prior.encoder_name is not None:
            encoder = copy.deepcopy(load(self.prior.encoder_name)).to(self.photo).eval()
            return torch.cat([self._guess(encoder, some) for some in poses.split(self.together)])
        drawn = self.prior.sample_latent(len(poses), seed=seed).to(self.photo)
        with torch.no_grad():
            losses = torch.cat([self.loss(z[None], self.start) for z in drawn])
        return drawn[losses.argmin()][None].expand(len(poses), *drawn.shape[1:])

    def _guess(self, encoder: LatentEncoder, poses: Tensor) -> Tensor:
        with torch.no_grad():
            latents: Tensor = encoder(seen_at(self.seen, self.A, poses, self.shape, self.side))
        return latents

    def parts(self, latents: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the misfit of the photo with each face in it, and how much was measured in its frame, `(n,)` each."""
        size, n = self.shape[1:], len(poses)
        share = lay(self.soft.expand(n, -1, -1, -1), poses, size, samples=self.samples)
        laid = lay(self.prior(latents), poses, size, samples=self.samples, beyond="border")
        misfit = energies(self.A(self.photo + share * (laid - self.photo)) - self.y)
        return misfit, energies(self.A(share.expand(-1, self.shape[0], -1, -1)))

    def loss(self, latents: Tensor, poses: Tensor) -> Tensor:
        """Compute the data term of the loss, `(n,)`."""
        misfit, area = self.parts(latents, poses)
        return self.scale * (misfit - _OUTSIDE * self.weight * area)

    def deviations(self, poses: Tensor) -> Tensor:
        """Return the deviations of poses from the start, in units of `SPREAD`, `(n, 4)`."""
        size = self.start[:, 2]
        return torch.stack(
            [
                (poses[:, 0] - self.start[:, 0]) / (SPREAD[0] * size),
                (poses[:, 1] - self.start[:, 1]) / (SPREAD[1] * size),
                (poses[:, 2] / size).log() / SPREAD[2],
                (poses[:, 3] - self.start[:, 3]) / SPREAD[3],
            ],
            dim=1,
        )

    def descend(self, latents: Tensor, poses: Tensor, steps: int) -> FittedFace:
        """Optimize from each start, and return the best."""
        rows, dims = len(latents), latents[0].numel()
        u = torch.cat([latents.flatten(1), latents.new_zeros(rows, len(SPREAD))], dim=1).requires_grad_()
        optimizer = QuasiNewton(u)
        least, best = u.new_full((rows,), torch.inf), u.detach().clone()
        for _ in range(steps):
            z, there = u[:, :dims].reshape(latents.shape), moved(poses, u[:, dims:])
            loss = (
                self.loss(z, there) + self.weight * energies(z - latents) + self.hold * energies(self.deviations(there))
            )
            optimizer.zero_grad()
            loss.sum().backward()
            better = loss.detach() < least
            least = torch.where(better, loss.detach(), least)
            best = torch.where(better[:, None], u.detach(), best)
            optimizer.step(partial(torch.Tensor.detach, loss))
        chosen = best[least.argmin()][None]
        z, pose = chosen[:, :dims].reshape(1, *latents.shape[1:]), moved(poses[least.argmin()][None], chosen[:, dims:])
        with torch.no_grad():
            misfit, area = self.parts(z, pose)
            face = self.prior(z)
        relative = float(misfit / (area * self.weight).clamp_min(torch.finfo(area.dtype).tiny))
        return FittedFace(Pose.of(pose[0]), z, face, relative)


def moved(poses: Tensor, deviations: Tensor) -> Tensor:
    """Move poses `(n, 4)` by deviations in units of `SPREAD`."""
    size = poses[:, 2]
    unit = torch.stack([SPREAD[0] * size, SPREAD[1] * size, torch.ones_like(size), torch.full_like(size, SPREAD[3])], 1)
    shifted = poses + unit * deviations
    return torch.stack([shifted[:, 0], shifted[:, 1], size * (SPREAD[2] * deviations[:, 2]).exp(), shifted[:, 3]], 1)

"""Fit the pose and the latent of a face together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
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
_EDGE = 0.1
"""Difference of neighboring values of a photo that is an edge: larger ones are hardly less likely."""
_LATENT = 2.0
"""Weight of the squared norm of the latent: in a frame of a wrong size, only unlikely latents explain a face."""
_HOLD = 3.0
"""Weight of the squared deviation of the pose from the start."""
_SETTLE = 8
"""Steps of the latent at the fitted pose: more explain the intact pixels better, and the missing ones worse."""
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
        evidence: How much less the edges and the latent cost than the edges of the photo without a face: above 0 there
            is a face rather than none.
    """

    pose: Pose
    latent: Tensor
    face: Tensor
    misfit: float
    evidence: float


def fit_face(
    y: Tensor,
    A: LinearOperator,
    photo: Tensor,
    prior: LatentPrior,
    start: Pose,
    *,
    noise: float = 0.0,
    steps: int = 25,
    descents: int = 4,
    seed: int = 0,
) -> FittedFace:
    """Fit pose p and latent z to the measurement of a photo, from several start poses.

    The pose is that of the most likely edges. With the photo b reconstructed without the prior, the frame's soft mask
    `m(p)`, the warp `W(p)`, and the differences D of neighboring pixels across and down, p and z minimize

        sum log(1 + |A (D b - m(p) D W(p) G(z))|^2 / t^2) + 2 |z|^2 + 3 |(p - start) / spread|^2

    The first term is the negative logarithm of a heavy-tailed density of the edges that the face leaves unexplained,
    with t = 0.1: all poses have to explain the same measured values, inside of the frame and outside, where edges are
    those of b and smooth areas cost nothing. It is divided by the number of pixels of the photo per pixel of the face
    where there are several, which are also the distance of neighbors. The prior's encoder estimates z at each of 135
    poses around the start; the best of them are optimized by a quasi-Newton method. Without an encoder the best of
    random latents are the start.

    At each pose that was found, the latent is estimated anew: from the encoder's estimate z0 there, 8 steps minimize

        |A (b + m(p) (W(p) G(z) - b)) - y|^2 + s |z - z0|^2

    where s is the expected squared error of the prior per value. Of these faces the one with the least sum
    above is kept. Without an encoder z0 is the latent found with the pose.

    Args:
        y: The measurement of one photo, with a batch of one.
        A: Its operator.
        photo: The photo reconstructed without the prior, `(1, C, H, W)`.
        prior: Prior of aligned faces, with square images.
        start: Approximate pose of the face.
        noise: Standard deviation of the noise of y.
        steps: Number of steps of each optimization of the pose.
        descents: Number of optimizations of the pose, of which the best is kept.
        seed: Seed of random latents.

    Raises:
        ValueError: The prior's images are not square or have other channels.
    """
    check_count(steps, name="steps")
    check_count(descents, name="descents")
    fit = _Fit(y, A, photo, prior, start, noise)
    poses = fit.around()
    latents = fit.latents(poses, seed=seed)
    with torch.no_grad():
        pairs = zip(latents.split(fit.together), poses.split(fit.together), strict=True)
        losses = torch.cat([fit.loss(z, p) for z, p in pairs])
    best = losses.argsort(stable=True)[:descents]
    ends = [fit.descend(latents[some], poses[some], steps) for some in best.split(fit.together)]
    latents, poses, losses = (torch.cat(parts) for parts in zip(*ends, strict=True))
    least = losses.argmin()
    return fit.fitted(latents[least][None], poses[least][None], losses[least])


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
        self.pull = _LATENT if prior.latent_weight else 0.0
        # A large face has more pixels than the prior has, which then do not err independently.
        self.scale = min(1.0, (self.side / start.size) ** 2)
        self.apart = max(1, min(round(start.size / self.side), min(self.shape[1:]) // 2))
        self.edges = A(differences(photo, self.apart))
        self.samples = samples_for(start.size, self.side)
        self.together = max(1, _PIXELS // (photo.shape[-1] * photo.shape[-2] * self.samples**2))
        self.soft = soft_frame(self.side).to(photo)
        self.encoder: LatentEncoder | None = None
        if prior.encoder_name is not None:
            self.encoder = copy.deepcopy(load(prior.encoder_name)).to(photo).eval()

    def around(self) -> Tensor:
        """Return the start poses `(n, 4)`."""
        units = torch.tensor(list(product(_PLACES, _PLACES, _SIZES, _ANGLES))).to(self.photo)
        return moved(self.start.expand(len(units), -1), units)

    def latents(self, poses: Tensor, *, seed: int) -> Tensor:
        """Estimate the latents at poses, `(n, *latent_shape)`."""
        if self.encoder is not None:
            return torch.cat([self._guess(self.encoder, some) for some in poses.split(self.together)])
        drawn = self.prior.sample_latent(len(poses), seed=seed).to(self.photo)
        with torch.no_grad():
            losses = torch.cat([self.loss(z[None], self.start) for z in drawn])
        return drawn[losses.argmin()][None].expand(len(poses), *drawn.shape[1:])

    def _guess(self, encoder: LatentEncoder, poses: Tensor) -> Tensor:
        with torch.no_grad():
            latents: Tensor = encoder(seen_at(self.seen, self.A, poses, self.shape, self.side))
        return latents

    def laid(self, latents: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the soft frames `(n, 1, H, W)` and the faces in them `(n, C, H, W)`, laid at the poses."""
        size = self.shape[1:]
        share = lay(self.soft.expand(len(poses), -1, -1, -1), poses, size, samples=self.samples)
        return share, lay(self.prior(latents), poses, size, samples=self.samples, beyond="border")

    def parts(self, latents: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the misfit of the photo with each face in it, and how much was measured in its frame, `(n,)` each."""
        share, laid = self.laid(latents, poses)
        misfit = energies(self.A(self.photo + share * (laid - self.photo)) - self.y)
        return misfit, energies(self.A(share.expand(-1, self.shape[0], -1, -1)))

    def loss(self, latents: Tensor, poses: Tensor) -> Tensor:
        """Compute the loss of latents and poses together, `(n,)`."""
        n = len(poses)
        share, laid = self.laid(latents, poses)
        explained = self.A(torch.cat([share, share]) * differences(laid, self.apart))
        unlikely = self.costs(self.edges.repeat_interleave(n, dim=0) - explained).view(2, n).sum(dim=0)
        return unlikely + self.pull * energies(latents) + _HOLD * energies(self.deviations(poses))

    def costs(self, edges: Tensor) -> Tensor:
        """Return the negative logarithm of the density of measured edges, `(n,)`."""
        return self.scale * (edges.abs().square() / _EDGE**2).log1p().flatten(1).sum(dim=1)

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

    def descend(self, latents: Tensor, poses: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Optimize poses, each from its start, estimate the latents there, and return both with their losses."""
        dims = latents[0].numel()

        def both(u: Tensor) -> tuple[Tensor, Tensor]:
            return u[:, :dims].reshape(latents.shape), moved(poses, u[:, dims:])

        u = torch.cat([latents.flatten(1), latents.new_zeros(len(latents), len(SPREAD))], dim=1)
        reached, there = both(_descend(u, lambda u: self.loss(*both(u)), steps))
        if self.encoder is not None:
            reached, steps = self._guess(self.encoder, there), _SETTLE

        def misfit(z: Tensor) -> Tensor:
            return self.scale * self.parts(z, there)[0] + self.weight * energies(z - reached)

        settled = _descend(reached, misfit, steps)
        with torch.no_grad():
            return settled, there, self.loss(settled, there)

    def fitted(self, latent: Tensor, pose: Tensor, loss: Tensor) -> FittedFace:
        """Return what was found at a loss, with the face, its misfit and its evidence."""
        with torch.no_grad():
            misfit, area = self.parts(latent, pose)
            face = self.prior(latent)
            evidence = float(self.costs(self.edges).sum() - loss)
        relative = float(misfit / (area * self.weight).clamp_min(torch.finfo(area.dtype).tiny))
        return FittedFace(Pose.of(pose[0]), latent, face, relative, evidence)


def _descend(start: Tensor, loss_of: Callable[[Tensor], Tensor], steps: int) -> Tensor:
    """Minimize the losses of rows, and return the best points that were met."""
    u = start.detach().clone().requires_grad_()
    optimizer = QuasiNewton(u)
    least, best = u.new_full((len(u),), torch.inf), u.detach().clone()
    for _ in range(steps):
        loss = loss_of(u)
        optimizer.zero_grad()
        loss.sum().backward()
        better = loss.detach() < least
        least = torch.where(better, loss.detach(), least)
        best = torch.where(better.view(-1, *(1,) * (u.ndim - 1)), u.detach(), best)
        optimizer.step(partial(torch.Tensor.detach, loss))
    return best


def differences(photos: Tensor, apart: int) -> Tensor:
    """Return the differences across and down of pixels some pixels apart, zero at the far border.

    Args:
        photos: `(n, C, H, W)`.
        apart: Distance in pixels.

    Returns:
        `(2 n, C, H, W)`: across for all photos, then down.
    """
    across = F.pad(photos[..., apart:] - photos[..., :-apart], (0, apart))
    down = F.pad(photos[..., apart:, :] - photos[..., :-apart, :], (0, 0, 0, apart))
    return torch.cat([across, down])


def moved(poses: Tensor, deviations: Tensor) -> Tensor:
    """Move poses `(n, 4)` by deviations in units of `SPREAD`."""
    size = poses[:, 2]
    unit = torch.stack([SPREAD[0] * size, SPREAD[1] * size, torch.ones_like(size), torch.full_like(size, SPREAD[3])], 1)
    shifted = poses + unit * deviations
    return torch.stack([shifted[:, 0], shifted[:, 1], size * (SPREAD[2] * deviations[:, 2]).exp(), shifted[:, 3]], 1)

"""Metrics of samples of one photo: distance to the photo's patches (single-image FID) and diversity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from inverso._checks import check_finite, check_image, check_unit_range
from inverso.images._gray import to_gray
from inverso.metrics._inputs import check_side
from inverso.metrics._patch_features import PatchFeatures, patch_features, stored_inception

_SMALLEST = 16


@dataclass(frozen=True)
class SingleImageFID:
    """Single-image FID of each sample, and the features it was computed with.

    Args:
        distances: `(n,)`, one per sample, 0 for the photo itself.
        features: `"inception"` or `"random"`. Values of different features cannot be compared.
    """

    distances: Tensor
    features: PatchFeatures

    @property
    def mean(self) -> float:
        """Mean over the samples."""
        return float(self.distances.mean())


def sifid(
    images: Tensor,
    photo: Tensor,
    *,
    features: Literal["auto", "inception", "random"] = "auto",
    weights: str | Path | None = None,
) -> SingleImageFID:
    """Compute the Fréchet distance between the patches of each image and those of one photo.

    From Shaham et al. 2019, arXiv:1905.01164.

    `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`, with mean `m` and covariance `C` of 64 features over the
    positions of one image. The features are those of the inception network just before its first pooling, as in
    SinGAN's published code, if torch-fidelity has stored its weights; otherwise those of the same three layers with
    fixed random weights, whose values are on another scale: the result says which were used. Nothing is downloaded.

    Args:
        images: Samples `(n, C, H, W)` or one `(C, H, W)`, gray or color, sides of at least 16; clamped to [0, 1].
        photo: The photo `(1, C, h, w)` or `(C, h, w)`, which may have another size; clamped to [0, 1].
        features: `"inception"`, `"random"`, or `"auto"`: inception if its weights are stored, else random.
        weights: File with the inception network's weights; by default the one that torch-fidelity stores.

    Returns:
        The distance of every image, and the kind of features.

    Raises:
        ValueError: A shape is another, channels differ, values are not finite, or `features` is unknown.
        TypeError: An argument is not a floating-point tensor.
        FileNotFoundError: The file `weights` does not exist.
        InversoError: Inception was asked for and its weights are missing or broken.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(0)
        >>> photo = torch.rand(1, 3, 32, 32, generator=generator)
        >>> score = sifid(torch.cat([photo, photo / 2]), photo, features="random")
        >>> score.features, bool(score.distances[0] < score.distances[1])
        ('random', True)
    """
    if features not in {"auto", "inception", "random"}:
        msg = f"features must be 'auto', 'inception' or 'random', got {features!r}"
        raise ValueError(msg)
    images, photo = _as_samples(images, photo)
    for pictures in (images, photo):
        check_side(pictures, minimum=_SMALLEST, name="sifid")
    file = stored_inception() if weights is None else Path(weights)
    kind: PatchFeatures = "random" if features == "random" or (features == "auto" and file is None) else "inception"
    reference = next(patch_features(_in_color(photo), kind=kind, weights=file))
    found = patch_features(_in_color(images), kind=kind, weights=file)
    distances = torch.stack([_frechet(patches.double(), reference.double()) for patches in found])
    return SingleImageFID(distances.to(images), kind)


def diversity(samples: Tensor, photo: Tensor) -> float:
    """Compute how much samples of one photo differ, as a share of the photo's contrast.

    From Shaham et al. 2019, arXiv:1905.01164, table 1.

    `mean over pixels of std over samples / std over pixels of the photo`, of intensities (luminance). The standard
    deviations are the biased ones, with division by n.

    Args:
        samples: `(n, C, H, W)` with n >= 2, gray or color; clamped to [0, 1].
        photo: The photo `(1, C, h, w)` or `(C, h, w)`; clamped to [0, 1].

    Returns:
        The diversity: 0 for equal samples; SinGAN's paper reports about 0.5 from the coarsest scale on.

    Raises:
        ValueError: A shape is another, there is one sample only, the photo is flat, or values are not finite.
        TypeError: An argument is not a floating-point tensor.

    Example:
        >>> import torch
        >>> photo = torch.tensor([[[[0.0, 1.0]]]])
        >>> diversity(torch.tensor([[[[0.2, 0.5]]], [[[0.4, 0.5]]]]), photo)
        0.1
    """
    samples, photo = _as_samples(samples, photo)
    if len(samples) < 2:
        msg = f"diversity needs at least two samples, got {len(samples)}"
        raise ValueError(msg)
    contrast = float(_intensity(photo).std(correction=0))
    if contrast == 0:
        msg = "the photo has a constant brightness: there is no contrast to compare with"
        raise ValueError(msg)
    return float(_intensity(samples).std(dim=0, correction=0).mean()) / contrast


def _as_samples(images: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
    """Check samples and their photo, and convert both to batches in float32 or better."""
    checked = []
    for pictures, name in ((images, "images"), (photo, "photo")):
        check_image(pictures, name=name)
        if pictures.ndim not in {3, 4} or pictures.shape[-3] not in {1, 3}:
            msg = f"{name} must have shape (n, C, H, W) or (C, H, W) with 1 or 3 channels, got {tuple(pictures.shape)}"
            raise ValueError(msg)
        check_finite(pictures, name=name)
        batch = pictures if pictures.ndim == 4 else pictures[None]
        checked.append(batch.detach().to(torch.promote_types(batch.dtype, torch.float32)).clamp(0, 1))
    check_unit_range(photo, name="photo")
    images, photo = checked
    if len(photo) != 1:
        msg = f"there must be one photo, got {len(photo)}"
        raise ValueError(msg)
    if images.shape[1] != photo.shape[1]:
        msg = f"images and photo must have the same channels, got {images.shape[1]} and {photo.shape[1]}"
        raise ValueError(msg)
    return images, photo


def _in_color(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1)


def _intensity(images: Tensor) -> Tensor:
    return images[:, 0] if images.shape[1] == 1 else to_gray(images)[:, 0]


def _frechet(first: Tensor, second: Tensor) -> Tensor:
    """Compute the squared Fréchet distance of the normal distributions fitted to two sets of points `(m, d)`."""
    means, covariances = (first.mean(0), second.mean(0)), (first.T.cov(), second.T.cov())
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # The symmetric matrix has the eigenvalues of C_a C_b, and keeps them real.
    overlap = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    spread = covariances[0].trace() + covariances[1].trace() - 2 * overlap
    distance: Tensor = (means[0] - means[1]).square().sum() + spread
    return distance.clamp_(min=0)

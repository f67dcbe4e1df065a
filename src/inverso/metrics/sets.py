"""FID and KID, distances between two sets of images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from inverso._checks import check_count, check_finite, check_image
from inverso._random import fork_rng
from inverso.metrics._inputs import INCEPTION_WEIGHTS, missing_weights

_KID_SUBSET = 1000


def fid(
    images: Tensor, references: Tensor, *, weights: str | Path | None = None, extractor: str | None = None
) -> float:
    """Compute the Fréchet inception distance between two sets of images (Heusel et al. 2017, arXiv:1706.08500).

    It is biased upwards for small sets: compare values of equal set sizes only, and prefer `kid` for fewer than a few
    thousand images.

    Args:
        images: `(n, 3, H, W)`, at least two; clamped to [0, 1] and rounded to 8 bits.
        references: `(m, 3, H, W)`, at least two; sizes may differ from those of `images`.
        weights: File with the inception network's weights; downloaded once by default.
        extractor: Name of another feature extractor, registered with torch-fidelity.

    Returns:
        The distance, 0 (up to rounding) for equal sets.

    Raises:
        ValueError: An argument is not a batch of color images, or values are not finite.
        TypeError: An argument is not a floating-point tensor.
        FileNotFoundError: The file `weights` does not exist.
        InversoError: The package torch-fidelity is missing, or the weights are neither stored nor downloadable.
    """
    first, second = _as_set(images, "images"), _as_set(references, "references")
    return _fidelity(first, second, metric="fid", weights=weights, extractor=extractor)["frechet_inception_distance"]


def kid(
    images: Tensor,
    references: Tensor,
    *,
    weights: str | Path | None = None,
    extractor: str | None = None,
    seed: int = 0,
) -> float:
    """Compute the kernel inception distance between two sets of images (Bińkowski et al. 2018, arXiv:1801.01401).

    The mean over 100 random subsets of up to 1000 images. It is unbiased, so it can be below 0.

    Args:
        images: `(n, 3, H, W)`, at least two; clamped to [0, 1] and rounded to 8 bits.
        references: `(m, 3, H, W)`, at least two; sizes may differ from those of `images`.
        weights: File with the inception network's weights; downloaded once by default.
        extractor: Name of another feature extractor, registered with torch-fidelity.
        seed: Seed of the subsets, at least 0.

    Returns:
        The distance.

    Raises:
        ValueError: An argument is not a batch of color images, or values are not finite.
        TypeError: An argument is not a floating-point tensor.
        FileNotFoundError: The file `weights` does not exist.
        InversoError: The package torch-fidelity is missing, or the weights are neither stored nor downloadable.
    """
    check_count(seed, name="seed", minimum=0)
    first, second = _as_set(images, "images"), _as_set(references, "references")
    measured = _fidelity(first, second, metric="kid", weights=weights, extractor=extractor, seed=seed)
    return measured["kernel_inception_distance_mean"]


class _Pictures(torch.utils.data.Dataset[Tensor]):
    """Images as 8-bit tensors, a data set for torch-fidelity."""

    def __init__(self, images: Tensor) -> None:
        self.images = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def _as_set(images: Tensor, name: str) -> Tensor:
    check_image(images, name=name)
    if images.ndim != 4 or images.shape[1] != 3 or len(images) < 2:
        msg = f"{name} must have shape (n, 3, H, W) with n >= 2, got {tuple(images.shape)}"
        raise ValueError(msg)
    check_finite(images, name=name)
    return images.detach()


def _fidelity(
    first: Tensor,
    second: Tensor,
    *,
    metric: Literal["fid", "kid"],
    weights: str | Path | None,
    extractor: str | None,
    seed: int = 0,
) -> dict[str, float]:
    if weights is not None and not Path(weights).is_file():
        msg = f"there is no weights file {weights}; the default one is {INCEPTION_WEIGHTS}"
        raise FileNotFoundError(msg)
    from torch_fidelity import calculate_metrics  # noqa: PLC0415 - slow to import

    with torch.inference_mode(mode=False), fork_rng():
        try:
            measured: dict[str, float] = calculate_metrics(
                input1=_Pictures(first),
                input2=_Pictures(second),
                cuda=first.is_cuda,
                fid=metric == "fid",
                kid=metric == "kid",
                kid_subset_size=min(_KID_SUBSET, len(first), len(second)),
                rng_seed=seed,
                feature_extractor=extractor,
                feature_extractor_weights_path=None if weights is None else str(weights),
                save_cpu_ram=True,
                cache=False,
                verbose=False,
            )
        except OSError as error:
            raise missing_weights("the inception network", INCEPTION_WEIGHTS, error) from error
    return {name: float(value) for name, value in measured.items()}

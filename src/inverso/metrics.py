"""How close images are: per image (PSNR, SSIM, LPIPS) and as sets (FID, KID).

Every metric clamps its images to [0, 1] first, as saving does: what cannot be shown counts for nothing.
"""

from __future__ import annotations

import importlib
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
from torch import Tensor

from inverso.checks import check_count, check_finite, check_image
from inverso.errors import InversoError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Trunk: TypeAlias = Literal["alex", "vgg", "squeeze"]

_SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_TRUNKS = {
    "alex": ("alexnet-owt-7be5be79.pth", 31),
    "vgg": ("vgg16-397923af.pth", 16),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", 17),
}
_TRUNK_ADDRESS = "https://download.pytorch.org/models/"
_INCEPTION = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
_KID_SUBSET = 1000


def psnr(x: Tensor, reference: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio of each image, `-10 log10(mean((x - reference)^2))`.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`; clamped to [0, 1].
        reference: What they should be, of the same shape; clamped to [0, 1].

    Returns:
        Tensor `(n,)` in dB, infinite for equal images.

    Raises:
        ValueError: Shapes differ, are no images, or values are not finite.
        TypeError: An argument is no floating-point tensor.

    Example:
        >>> psnr(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5))
        tensor([20.0000])
    """
    x, reference = _as_pair(x, reference)
    return -10 * (x - reference).square().mean(dim=(1, 2, 3)).log10()


def ssim(x: Tensor, reference: Tensor) -> Tensor:
    """Compute the structural similarity of each image (Wang et al. 2004).

    The window is the paper's, 11 × 11 Gaussian with standard deviation 1.5; the mean is taken where it fits into the
    image, and over channels.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`, sides of at least 11; clamped to [0, 1].
        reference: What they should be, of the same shape; clamped to [0, 1].

    Returns:
        Tensor `(n,)`, 1 for equal images.

    Raises:
        ValueError: Shapes differ or are too small, or values are not finite.
        TypeError: An argument is no floating-point tensor.

    Example:
        >>> x = torch.rand(2, 3, 16, 16)
        >>> ssim(x, x)
        tensor([1., 1.])
    """
    x, reference = _as_pair(x, reference)
    _check_side(x, minimum=_SSIM_WINDOW, name="ssim")
    from torchmetrics.functional.image import structural_similarity_index_measure  # noqa: PLC0415

    _, similarity = structural_similarity_index_measure(
        x,
        reference,
        sigma=_SSIM_SIGMA,
        kernel_size=_SSIM_WINDOW,
        data_range=1.0,
        reduction="none",
        return_full_image=True,
    )
    border = _SSIM_WINDOW // 2
    inside: Tensor = similarity[..., border:-border, border:-border]
    return inside.mean(dim=(1, 2, 3))


def lpips(x: Tensor, reference: Tensor, *, net: Trunk = "alex", pretrained: bool = True) -> Tensor:
    """Compute the learned perceptual distance of each image (Zhang et al. 2018), without gradient.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`, gray or color; clamped to [0, 1].
        reference: What they should be, of the same shape; clamped to [0, 1].
        net: Network whose features are compared: `"alex"` (the usual one), `"vgg"` or `"squeeze"`.
        pretrained: Without it the features are those of a random network: good for tests only.

    Returns:
        Tensor `(n,)`, 0 for equal images, larger for less similar ones.

    Raises:
        ValueError: Shapes differ or are too small for the network, values are not finite, or `net` is unknown.
        TypeError: An argument is no floating-point tensor.
        InversoError: The package lpips is missing, or the network's weights are neither stored nor to be had.
    """
    if net not in _TRUNKS:
        msg = f"net must be one of {', '.join(_TRUNKS)}, got {net!r}"
        raise ValueError(msg)
    x, reference = _as_pair(x, reference)
    _check_side(x, minimum=_TRUNKS[net][1], name=f"lpips with {net}")
    if x.shape[1] not in {1, 3}:
        msg = f"lpips compares images of 1 or 3 channels, got {x.shape[1]}"
        raise ValueError(msg)
    distance = _lpips_network(net, x.device, x.dtype, pretrained=pretrained)
    color = (len(x), 3, *x.shape[2:])
    with torch.no_grad():
        return distance(x.expand(color), reference.expand(color)).reshape(len(x))


def fid(
    images: Tensor, references: Tensor, *, weights: str | Path | None = None, extractor: str | None = None
) -> float:
    """Compute the Fréchet inception distance between two sets of images (Heusel et al. 2017).

    It is biased upwards for small sets: compare values of equal set sizes only, and prefer `kid` below some thousands.

    Args:
        images: `(n, 3, H, W)`, at least two; clamped to [0, 1] and rounded to 8 bits.
        references: `(m, 3, H, W)`, at least two; sizes may differ from those of `images`.
        weights: File with the inception network's weights; downloaded once by default.
        extractor: Name of another feature extractor, registered with torch-fidelity.

    Returns:
        The distance, 0 (up to rounding) for equal sets.

    Raises:
        ValueError: An argument is no batch of color images, or values are not finite.
        TypeError: An argument is no floating-point tensor.
        FileNotFoundError: `weights` is no file.
        InversoError: The package torch-fidelity is missing, or the weights are neither stored nor to be had.
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
    """Compute the kernel inception distance between two sets of images (Bińkowski et al. 2018).

    It is unbiased, and so may fall below 0: the mean over 100 random subsets of up to 1000 images.

    Args:
        images: `(n, 3, H, W)`, at least two; clamped to [0, 1] and rounded to 8 bits.
        references: `(m, 3, H, W)`, at least two; sizes may differ from those of `images`.
        weights: File with the inception network's weights; downloaded once by default.
        extractor: Name of another feature extractor, registered with torch-fidelity.
        seed: Of the subsets, at least 0.

    Returns:
        The distance.

    Raises:
        ValueError: An argument is no batch of color images, or values are not finite.
        TypeError: An argument is no floating-point tensor.
        FileNotFoundError: `weights` is no file.
        InversoError: The package torch-fidelity is missing, or the weights are neither stored nor to be had.
    """
    check_count(seed, name="seed", minimum=0)
    first, second = _as_set(images, "images"), _as_set(references, "references")
    measured = _fidelity(first, second, metric="kid", weights=weights, extractor=extractor, seed=seed)
    return measured["kernel_inception_distance_mean"]


def _as_pair(x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Check two batches against each other; clamp them and bring them to one dtype, at least float32."""
    check_image(x, name="x")
    check_image(reference, name="reference")
    if x.shape != reference.shape:
        msg = f"x and reference must have the same shape, got {tuple(x.shape)} and {tuple(reference.shape)}"
        raise ValueError(msg)
    if x.ndim not in {3, 4}:
        msg = f"x and reference must have shape (n, C, H, W) or (C, H, W), got {tuple(x.shape)}"
        raise ValueError(msg)
    check_finite(x, name="x")
    check_finite(reference, name="reference")
    dtype = torch.promote_types(torch.promote_types(x.dtype, reference.dtype), torch.float32)
    x, reference = x.to(dtype).clamp(0, 1), reference.to(dtype).clamp(0, 1)
    return (x[None], reference[None]) if x.ndim == 3 else (x, reference)


def _check_side(x: Tensor, *, minimum: int, name: str) -> None:
    if min(x.shape[-2:]) < minimum:
        msg = f"{name} needs images of at least {minimum} × {minimum} pixels, got {x.shape[-2]} × {x.shape[-1]}"
        raise ValueError(msg)


@lru_cache(maxsize=4)
def _lpips_network(
    net: str, device: torch.device, dtype: torch.dtype, *, pretrained: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    package = _optional_package("lpips")
    file = _TRUNKS[net][0]
    # Networks are born with random weights, here from a seed of their own and outside any caller's inference mode.
    with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(0)
        try:
            network = package.LPIPS(net=net, pnet_rand=not pretrained, verbose=False)
        except OSError as error:
            raise _missing_weights(f"LPIPS ({net})", _TRUNK_ADDRESS + file, error) from error
    network = network.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False)

    def distance(x: Tensor, reference: Tensor) -> Tensor:
        return cast("Tensor", network(x, reference, normalize=True))

    return distance


def _optional_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        msg = f"this metric needs the package {error.name}: pip install 'inverso[metrics]'"
        raise InversoError(msg) from error


def _missing_weights(name: str, address: str, error: Exception) -> InversoError:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    msg = f"the weights of {name} cannot be downloaded ({error}); fetch {address} and put the file into {folder}"
    return InversoError(msg)


class _Pictures(torch.utils.data.Dataset[Tensor]):
    """Images as the bytes that torch-fidelity reads."""

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
        msg = f"there is no weights file {weights}; the default one is {_INCEPTION}"
        raise FileNotFoundError(msg)
    torch_fidelity = _optional_package("torch_fidelity")
    with torch.inference_mode(mode=False), torch.random.fork_rng(devices=[]):
        try:
            measured: dict[str, float] = torch_fidelity.calculate_metrics(
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
            raise _missing_weights("the inception network", _INCEPTION, error) from error
    return {name: float(value) for name, value in measured.items()}

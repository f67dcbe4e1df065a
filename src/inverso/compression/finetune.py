"""Quantization-aware fine-tuning, and measuring quantized networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias, TypeVar, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from tqdm.auto import tqdm

from inverso._checks import check_choice, check_count, check_positive
from inverso._random import step_generator
from inverso.compression import clip_model, round_model
from inverso.compression.rounding import FLOAT16_BITS, check_bits, round_parameters, weight_axes
from inverso.degradations import Degradation
from inverso.errors import InversoError
from inverso.images.folders import PhotoFolder
from inverso.losses.data import log_error
from inverso.metrics import psnr

_Batch = TypeVar("_Batch")
_Restore: TypeAlias = Callable[[Tensor], Tensor]
_Range: TypeAlias = tuple[Tensor, Tensor]
Precision: TypeAlias = Literal["32-true", "bf16-mixed"]

_CORRUPTION_STREAM = 2


def _pixel_error(restore: _Restore, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the mean squared error, `mean((G(y) - x)^2)`, of a batch of pairs (y, x).

    Args:
        restore: The network with rounded weights.
        batch: Degraded and clean images.
    """
    degraded, clean = batch
    return F.mse_loss(restore(degraded), clean)


def decibel_error(restore: _Restore, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the mean logarithm of each image's squared error: the negative PSNR up to a factor.

    Easy and hard images have the same weight, as in a mean of PSNR values.

    Args:
        restore: The network with rounded weights.
        batch: Degraded and clean images.
    """
    degraded, clean = batch
    return log_error(restore(degraded), clean)


def check_precision(value: str, *, name: str = "precision") -> Precision:
    """Return the precision; raise if fine-tuning does not know it.

    Raises:
        ValueError: The precision is unknown; the message lists the known ones.
    """
    check_choice(value, get_args(Precision), name=name)
    return cast("Precision", value)


def fine_tune(
    model: nn.Module,
    batches: Iterable[_Batch],
    objective: Callable[[_Restore, _Batch], Tensor] = _pixel_error,  # type: ignore[assignment]
    *,
    bits: int,
    steps: int,
    per_channel: bool = False,
    layers: Sequence[str] | None = None,
    lr: float = 1e-3,
    precision: Precision = "32-true",
    progress: bool = True,
) -> nn.Module:
    """Fine-tune a network with its weights rounded at every step, and return it with rounded weights.

    Each step computes with rounded weights and uses the gradient of the rounding as 1 (straight-through estimator). The
    step size of Adam follows half a cosine. Weights are first clipped to the range with the least rounding error (see
    `clip_tensor`), and stay in this range.

    Args:
        model: The network, which is not changed. It is tuned in evaluation mode.
        batches: Batches for the objective, one per step; iterated again when they end, if possible.
        objective: Function from the network and a batch to the loss, a scalar. By default the mean squared error of
            pairs of degraded and clean images.
        bits: 1 to 8.
        steps: Number of optimizer steps.
        per_channel: Whether every output channel has its own range.
        layers: Patterns of the names of the weights to round; by default all. All weights are trained.
        lr: Initial step size of Adam.
        precision: `"bf16-mixed"` computes in bfloat16 where that is safe, which is faster on processors that support
            it.
        progress: Whether to show a progress bar.

    Returns:
        A copy of the network, in evaluation mode, whose weights have at most `2^bits` values per range; save it with
        `save_quantized` and the same bits.

    Raises:
        TypeError: `model` is not a network, or a number has the wrong type.
        ValueError: A number is out of range, the network has no weights to quantize, or the batches run out.
        InversoError: The loss is not finite.

    Source:
        Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference"
        (2018), arXiv:1712.05877, section 3; the levels are those of Deng, Looi & Tsun, "Quantized GANs for mobile image
        reconstruction".

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from inverso.compression.finetune import fine_tune
        >>> x = torch.rand(4, 3, 8, 8)
        >>> small = fine_tune(nn.Conv2d(3, 3, 1), [(x, x)], bits=2, steps=5, progress=False)
        >>> len(small.weight.unique()) <= 4
        True
    """
    check_count(steps, name="steps")
    check_positive(lr, name="lr")
    if check_bits(bits) == FLOAT16_BITS:
        msg = "float16 needs no tuning: bits must be 1 to 8, got 16"
        raise ValueError(msg)
    check_precision(precision)
    clipped = clip_model(model, bits=bits, per_channel=per_channel, layers=layers).eval().requires_grad_()
    student = clipped.to(memory_format=torch.channels_last)
    ranges = _ranges(student, per_channel=per_channel, layers=layers)
    device = next(student.parameters()).device.type
    optimizer = torch.optim.Adam(student.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    stream = _endless(batches, steps)
    bar = tqdm(range(steps), desc=f"tuning to {bits} bits", disable=not progress)
    for step in bar:
        rounded = round_parameters(student, bits=bits, per_channel=per_channel, layers=layers)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = objective(partial(functional_call, student, rounded), next(stream))
        if not bool(loss.isfinite()):
            msg = f"the loss is {float(loss.detach())} at step {step + 1}; take a smaller lr than {lr}"
            raise InversoError(msg)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        _hold(student, ranges)
        bar.set_postfix(loss=f"{float(loss.detach()):.4g}")
    whole = student.to(memory_format=torch.contiguous_format)
    tuned = round_model(whole, bits=bits, per_channel=per_channel, layers=layers)
    for parameter, original in zip(tuned.parameters(), model.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return tuned


def corrupted_batches(
    photos: PhotoFolder, corruption: Degradation, *, batch: int = 16, seed: int = 0, device: str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pairs of degraded and clean images without end, determined by the seed.

    Args:
        photos: The clean photos.
        corruption: The degradation.
        batch: Images per batch.
        seed: Seed of order, mirroring and degradations.
        device: Device of the pairs.
    """
    step = 0
    while True:
        clean = photos.batch(step, size=batch, seed=seed)
        generator = step_generator(seed, step, stream=_CORRUPTION_STREAM)
        degraded = corruption(clean, seed=generator).y
        yield degraded.to(device), clean.to(device)
        step += 1


@dataclass(frozen=True)
class Quality:
    """How well a network restores images.

    Args:
        psnr: Mean PSNR in dB for every degradation.
        examples: For every degradation one restored image `(1, C, H, W)`: for the k-th one, of photo k.
    """

    psnr: Mapping[str, float]
    examples: Mapping[str, Tensor]

    @property
    def average(self) -> float:
        """Mean over the degradations."""
        return sum(self.psnr.values()) / len(self.psnr)


def measure(
    restore: _Restore,
    photos: Tensor,
    corruptions: Mapping[str, Degradation],
    *,
    seed: int = 0,
    batch: int = 32,
) -> Quality:
    """Measure the PSNR of a network on several degradations of photos, which are the same for every network.

    Args:
        restore: The network, or any other function of degraded images.
        photos: Clean images `(n, C, H, W)` in [0, 1], on the device of the network.
        corruptions: Degradations by name.
        seed: Seed of the degradations; each has its own random stream.
        batch: Number of images at once.

    Returns:
        PSNR and examples.

    Raises:
        ValueError: There are no degradations, or the photos are not a batch.
    """
    if not corruptions:
        msg = "there is no corruption to measure"
        raise ValueError(msg)
    values, examples = {}, {}
    for k, (name, corruption) in enumerate(corruptions.items()):
        degraded = corruption(photos, seed=step_generator(seed, k, stream=_CORRUPTION_STREAM)).y
        with torch.no_grad():
            restored = torch.cat([restore(part) for part in degraded.split(batch)])
        values[name] = float(psnr(restored, photos).mean())
        index = k % len(photos)
        examples[name] = restored[index : index + 1].cpu()
    return Quality(values, examples)


def _endless(batches: Iterable[_Batch], steps: int) -> Iterator[_Batch]:
    taken = 0
    while True:
        before = taken
        for batch in batches:
            yield batch
            taken += 1
        if taken == before:
            msg = f"the batches ran out after {taken} of {steps} steps: give more, or a list to go through anew"
            raise ValueError(msg)


def _ranges(model: nn.Module, *, per_channel: bool, layers: Sequence[str] | None) -> dict[str, _Range]:
    """Return the smallest and the largest value of every weight, or of each of its channels."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    ranges = {}
    for name, axis in weight_axes(model, layers=layers).items():
        weight = parameters[name].detach()
        others = tuple(dim for dim in range(weight.ndim) if not per_channel or dim != axis)
        ranges[name] = (weight.amin(others, keepdim=True), weight.amax(others, keepdim=True))
    return ranges


def _hold(model: nn.Module, ranges: Mapping[str, _Range]) -> None:
    """Clip weights that have left their range."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, (low, high) in ranges.items():
            parameters[name].clamp_(low, high)

"""Networks of few bits: fine-tuned so that rounding costs less, and measured beside the network they came from."""

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

from inverso._checks import check_count, check_positive
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
        restore: The network, rounded.
        batch: Degraded images and what they were.
    """
    degraded, clean = batch
    return F.mse_loss(restore(degraded), clean)


def decibel_error(restore: _Restore, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the mean logarithm of each image's squared error, PSNR but for sign and scale.

    It weighs images that are nearly right as much as hopeless ones, as the mean of a table in decibels does.

    Args:
        restore: The network, rounded.
        batch: Degraded images and what they were.
    """
    degraded, clean = batch
    return log_error(restore(degraded), clean)


def check_precision(value: str, *, name: str = "precision") -> Precision:
    """Refuse a precision that tuning does not know.

    Raises:
        ValueError: It is unknown; the message lists those there are.
    """
    for known in get_args(Precision):
        if value == known:
            return cast("Precision", known)
    msg = f"{name} must be one of {', '.join(get_args(Precision))}, got {value!r}"
    raise ValueError(msg)


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
    """Train a network whose weights are rounded at every step, and round it for good.

    Each step computes with rounded weights and takes the gradient as if they were not (straight-through estimator);
    Adam's step size falls along half a cosine. Weights are clipped at first to the range in which rounding loses
    least, and kept in it, so that the levels stay where they are useful.

    Args:
        model: The network; it is left as it is. It is tuned in evaluation mode, as it will be used.
        batches: What the objective takes, one item per step; gone through anew when it ends, if it can be.
        objective: Maps the network and a batch to the loss, a scalar. By default the mean squared error
            of pairs of degraded and clean images.
        bits: 1 to 8.
        steps: Optimizer steps.
        per_channel: Give every output channel a range of its own.
        layers: Round only the weights whose names match one of these patterns; by default all. All are trained.
        lr: Adam's first step size.
        precision: `"bf16-mixed"` computes in bfloat16 where that is safe, faster on processors that know it.
        progress: Whether to show a bar.

    Returns:
        A copy of the network, in evaluation mode, whose weights have at most `2^bits` values per range: give it to
        `save_quantized` with the same bits.

    Raises:
        TypeError: `model` is no network, or a number is of the wrong kind.
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
    """Draw pairs of degraded and clean images without end; the same seed draws the same.

    Args:
        photos: The clean ones.
        corruption: What befalls them.
        batch: Images per batch.
        seed: Of the order, mirrorings and corruptions.
        device: Where the pairs are put.
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
    """How well a network restores.

    Args:
        psnr: Mean PSNR in dB for every corruption.
        examples: For every corruption one restored image `(1, C, H, W)`: of the k-th, that of photo k.
    """

    psnr: Mapping[str, float]
    examples: Mapping[str, Tensor]

    @property
    def average(self) -> float:
        """Mean over the corruptions."""
        return sum(self.psnr.values()) / len(self.psnr)


def measure(
    restore: _Restore,
    photos: Tensor,
    corruptions: Mapping[str, Degradation],
    *,
    seed: int = 0,
    batch: int = 32,
) -> Quality:
    """Restore photos from each of several corruptions, the same ones for every network.

    Args:
        restore: The network, or any other function of degraded images.
        photos: Clean images `(n, C, H, W)` in [0, 1], on the device of the network.
        corruptions: What befalls them, by name.
        seed: Of the corruptions; each has its own numbers.
        batch: Images at once.

    Returns:
        PSNR and examples.

    Raises:
        ValueError: There are no corruptions, or the photos are no batch.
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
    """Note the smallest and largest value of every weight, or of each of its channels."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    ranges = {}
    for name, axis in weight_axes(model, layers=layers).items():
        weight = parameters[name].detach()
        others = tuple(dim for dim in range(weight.ndim) if not per_channel or dim != axis)
        ranges[name] = (weight.amin(others, keepdim=True), weight.amax(others, keepdim=True))
    return ranges


def _hold(model: nn.Module, ranges: Mapping[str, _Range]) -> None:
    """Put weights that have left their range back to its ends."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, (low, high) in ranges.items():
            parameters[name].clamp_(low, high)

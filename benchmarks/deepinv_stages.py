"""Methods of the package deepinv on our operators: plug-and-play with a denoiser (DPIR), and its own CSGM.

deepinv comes with `pip install 'inverso-imaging[bench]'`, and is imported when such a method runs.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from inverso._checks import check_count, check_positive
from inverso._networks.files import read_file, tensors
from inverso.errors import InversoError
from inverso.interop import real_numbers, to_physics
from inverso.methods import Method
from inverso.metrics._inputs import missing_weights
from inverso.operators._plans import real_dtype
from inverso.priors.base import AnyPrior
from inverso.problem import no_losses
from inverso.stages import DirectStage, Interpolation, Need, Problem, Stage, StageRecord, State
from inverso.stages.back_project import squared_norm
from inverso.stages.csgm import starting_latents

Denoiser: TypeAlias = Callable[[Tensor, float], Tensor]
"""Maps noisy images `(n, C, H, W)` and the standard deviation of their noise to clean images."""

NO_PACKAGE = "this method needs the package deepinv: pip install 'inverso-imaging[bench]'"
ADDRESS = "https://huggingface.co/deepinv/drunet/resolve/main/"
FILES: Mapping[int, str] = MappingProxyType(
    {1: "drunet_deepinv_gray_finetune_26k.pth", 3: "drunet_deepinv_color_finetune_22k.pth"}
)
"""Weights of DRUNet by the number of channels, as deepinv's own download calls them."""

FIRST_LEVEL = 49 / 255
LEAST_LEVEL = 0.01
TINY = 1e-12


def as_physics(problem: Problem) -> Any:  # noqa: ANN401 - deepinv has no types, and may be missing
    """Wrap the operator of a problem as a deepinv physics, on the device and in the precision of its measurements."""
    _require(_missing_package())
    physics = to_physics(problem.operator.at(problem.image_shape))
    return physics.to(problem.y.device, real_dtype(problem.y.dtype))


@dataclass(frozen=True)
class PlugAndPlay(DirectStage):
    """Alternate between the measurement and a denoiser D, by deepinv's half-quadratic splitting (Zhang et al. 2021).

    With levels `s_k` that fall geometrically from 49/255 to the noise `s` of the measurement, step k is

        u = argmin_u |A u - y|^2 / (2 s^2) + regularization |u - x|^2 / (2 s_k^2),   x = D(u, s_k)

    The denoiser is deepinv's DRUNet, and levels, steps and regularization are those of its `DPIR`. Two things differ.
    It begins with interpolation in place of the adjoint, since eight steps fill no holes. And s is at least 0.01 times
    the operator's norm, in place of 0.01: the norm of shrinking is small, and its exact measurements would count for
    little.

    Args:
        weights: File of DRUNet's weights; "download" to fetch deepinv's if they are not in torch's folder of
            checkpoints; None to take them from there and fetch nothing. Whatever the file is, nothing in it is run.
        steps: Calls of the denoiser.
        regularization: The paper's lambda.
        denoiser: Another denoiser in place of DRUNet; it needs no weights.

    Raises:
        ValueError: A setting lies outside its range.

    Example:
        >>> from deepinv_stages import PlugAndPlay
        >>> [round(255 * level) for level in PlugAndPlay(steps=3).levels(10 / 255)]
        [49, 22, 10]
    """

    weights: str | Path | None = None
    steps: int = 8
    regularization: float = 0.23
    denoiser: Denoiser | None = None

    name = "dpir"
    needs = frozenset({Need.OPERATOR})

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        check_positive(self.regularization, name="regularization")

    def missing(self, prior: AnyPrior | None) -> str | None:
        """Say what has to be installed or fetched before it can run on the images of a prior, or None."""
        latent = prior[0] if isinstance(prior, tuple) else prior
        shape = None if latent is None else latent.image_shape
        return self._lacks(getattr(prior, "channels", 3) if shape is None else shape[0])

    def _lacks(self, channels: int) -> str | None:
        package = _missing_package()
        if package is not None or self.denoiser is not None:
            return package
        if channels not in FILES:
            return f"DRUNet denoises images of 1 or 3 channels, and there are {channels}"
        file = self._file(channels)
        if self.weights == "download" or file.is_file():
            return None
        return f"the weights of deepinv's DRUNet are not there: fetch {ADDRESS}{FILES[channels]} and store it as {file}"

    def _file(self, channels: int) -> Path:
        if self.weights is None or self.weights == "download":
            return Path(torch.hub.get_dir()) / "checkpoints" / FILES[channels]
        return Path(self.weights)

    def levels(self, noise: float) -> list[float]:
        """List the levels of noise that the denoiser is told, from the first to the last step."""
        last = max(noise, LEAST_LEVEL)
        first = max(FIRST_LEVEL, last)
        exponents = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        levels: list[float] = (first * (last / first) ** exponents).tolist()
        return levels

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Reconstruct all images at once.

        Raises:
            InversoError: deepinv or the weights are missing; the message says what to install or fetch.
            ValueError: The file holds no weights of DRUNet.
        """
        _require(self._lacks(problem.image_shape[0]))
        from deepinv.optim import L2, PnP, optim_builder  # noqa: PLC0415

        denoise = self._denoiser(problem)
        # A complex number has half of its noise in each of the real ones.
        noise = problem.noise / 2**0.5 if problem.y.is_complex() else problem.noise
        start = cast("Tensor", Interpolation()(problem, State()).image)
        least = LEAST_LEVEL * squared_norm(problem, like=start).sqrt()
        variance = least.clamp_min(max(noise, TINY)).square()
        levels = self.levels(noise)
        stepsizes = [level**2 / (self.regularization * variance) for level in levels]
        optimizer = optim_builder(
            "HQS",
            prior=PnP(denoiser=denoise),
            data_fidelity=L2(),
            max_iter=self.steps,
            params_algo={"g_param": levels, "stepsize": stepsizes},
            custom_init=lambda *_: {"est": (start, start)},
        )
        image: Tensor = optimizer(real_numbers(problem.measured), as_physics(problem))
        return image

    def _denoiser(self, problem: Problem) -> Denoiser:
        """Make the denoiser, which reports every step."""
        channels, dtype = problem.image_shape[0], problem.y.dtype
        if self.denoiser is None:
            file = self._file(channels)
            if not file.is_file():
                _fetch(file, channels)
            network = load_drunet(file, channels, real_dtype(dtype), problem.y.device)
        else:
            network = self.denoiser
        steps = count(1)

        def denoise(images: Tensor, level: float) -> Tensor:
            clean = network(images, level)
            problem.report(self.name, next(steps), self.steps, float("nan"))
            return clean

        return denoise


def _fetch(file: Path, channels: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    address = ADDRESS + FILES[channels]
    try:
        torch.hub.download_url_to_file(address, str(file), progress=False)
    except OSError as error:
        raise missing_weights("deepinv's DRUNet", address, error) from error


@lru_cache(maxsize=1)
def load_drunet(file: Path, channels: int, dtype: torch.dtype, device: torch.device) -> Denoiser:
    """Load deepinv's denoiser DRUNet, without running anything that its file may hold.

    Raises:
        ValueError: There is no such file, or it holds no weights of DRUNet for so many channels.
    """
    from deepinv.models import DRUNet  # noqa: PLC0415

    # Without memory: to draw thirty million random weights first would take longer than to read them.
    with torch.device("meta"):
        network = DRUNet(in_channels=channels, out_channels=channels, pretrained=None)
    try:
        network.load_state_dict(tensors(read_file(file).data), assign=True)
    except RuntimeError as error:
        msg = f"{file} holds no weights of DRUNet for images of {channels} channels"
        raise ValueError(msg) from error
    return cast("Denoiser", network.to(device, dtype).eval().requires_grad_(requires_grad=False))


@dataclass(frozen=True)
class DeepinvCSGM(Stage):
    """Search for the latent as deepinv's `CSGMGenerator` does: its loss, its Adam, its stopping rule.

    It descends once, from the first of the starting latents of our `CSGM`; deepinv's own are uniform in [-1, 1], which
    suits the generators that it trains. It takes one image after the other, for its stopping rule looks at the loss
    of a whole batch.

    Args:
        steps: Steps of Adam at most.
        lr: Its step size on z.
        tolerance: It stops where the loss changes by a smaller share in one step.

    Raises:
        ValueError: A setting lies outside its range.

    Example:
        >>> from deepinv_stages import DeepinvCSGM
        >>> DeepinvCSGM().name
        'csgm (deepinv)'
    """

    steps: int = 2500
    lr: float = 1e-2
    tolerance: float = 1e-4

    name = "csgm (deepinv)"
    needs = frozenset({Need.OPERATOR, Need.PRIOR})
    gives = frozenset({Need.IMAGE, Need.LATENT})

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        check_positive(self.lr, name="lr")
        check_positive(self.tolerance, name="tolerance")

    def missing(self, prior: AnyPrior | None) -> str | None:  # noqa: ARG002 - PlugAndPlay looks at it
        """Say what has to be installed before it can run, or None if nothing."""
        return _missing_package()

    def __call__(self, problem: Problem, state: State) -> State:
        """Search for the latents, one image after the other.

        Raises:
            InversoError: deepinv is missing; the message says how to install it.
        """
        _require(_missing_package())
        began, n = time.perf_counter(), len(problem.y)
        latents, passes = [], []
        for k in range(n):
            latent, steps = self._search(problem.for_image(k))
            latents.append(latent)
            passes.append(steps)
            problem.report(self.name, k + 1, n, float("nan"))
        latent = torch.cat(latents)
        with torch.no_grad():
            image = problem.need(Need.PRIOR)(latent)
        seconds = time.perf_counter() - began
        record = StageRecord(self.name, image, no_losses(image), seconds, round(sum(passes) / n))
        return state.following(record, latent=latent)

    def _search(self, problem: Problem) -> tuple[Tensor, int]:
        """Find the latent of a single image, and count the steps."""
        from deepinv.models import CSGMGenerator  # noqa: PLC0415

        steps = 0

        def generate(z: Tensor) -> Tensor:
            nonlocal steps
            steps += 1
            image: Tensor = problem.need(Need.PRIOR)(z)
            return image

        model = CSGMGenerator(generate, inf_max_iter=self.steps, inf_tol=self.tolerance, inf_lr=self.lr)
        start = starting_latents(problem, 1)
        latent = model.optimize_z(start, real_numbers(problem.measured), as_physics(problem))
        return latent.detach(), steps


DEEPINV: Mapping[str, Method] = MappingProxyType({DeepinvCSGM.name: DeepinvCSGM(), PlugAndPlay.name: PlugAndPlay()})
"""The columns of deepinv, slow ones, which run when asked for."""


def _missing_package() -> str | None:
    return None if importlib.util.find_spec("deepinv") else NO_PACKAGE


def _require(missing: str | None) -> None:
    if missing is not None:
        raise InversoError(missing)

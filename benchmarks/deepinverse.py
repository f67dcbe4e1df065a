"""deepinv's DPIR, DDRM, DiffPIR and DPS beside ours, with the same denoiser on the same photos, in one run.

    inverso bench deepinverse --data PHOTOS --n 20
    inverso bench benchmarks/deepinverse.py:deepinverse --data PHOTOS --n 20 --prior drunet_color.pth

Each is deepinv's own, with its own settings, called as its documentation calls it; only operator and denoiser are ours,
behind `to_physics` and `to_denoiser`. Complex measurements reach it as pairs of real numbers, which have a part of the
noise each.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor

from inverso._extras import MissingPackageError, need
from inverso.errors import RangeWarning
from inverso.experiments import Case, Experiment
from inverso.interop import real_numbers, to_denoiser, to_physics
from inverso.methods import Method
from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, RandomMask
from inverso.operators._plans import real_dtype
from inverso.priors.base import AnyPrior
from inverso.problem import no_losses
from inverso.stages import DPS, Diffusion, Need, PlugAndPlay, Problem, Stage, StageRecord, State

Name: TypeAlias = Literal["dpir", "ddrm", "diffpir", "dps"]

QUIET = 0.01
"""The noise that deepinv assumes where there is none; it divides by it."""


@dataclass(frozen=True)
class Theirs(Stage):
    """A method of deepinv on the problem's operator with the problem's denoiser, one photo after the other.

    Args:
        method: Which.
        passes: Looks of the denoiser. DPIR always takes eight.
    """

    method: Name
    passes: int = 8

    needs = frozenset({Need.OPERATOR, Need.DENOISER})

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return f"{self.method} (deepinv)"

    @property
    def random_start(self) -> bool:
        """Whether it draws."""
        return self.method != "dpir"

    def missing(self, prior: AnyPrior | None) -> str | None:  # noqa: ARG002 - any will do
        """Say what has to be installed, or None if nothing."""
        try:
            need("deepinv", what=self.name)
        except MissingPackageError as error:
            return str(error)
        return None

    def __call__(self, problem: Problem, state: State) -> State:
        """Reconstruct every photo, and count the looks.

        Raises:
            MissingPackageError: deepinv is not installed.
            ValueError: DDRM meets an operator whose singular vectors are no known basis.
        """
        began, looks = time.perf_counter(), _Counted(to_denoiser(problem.need(Need.DENOISER)))
        images = []
        for k in range(len(problem.y)):
            torch.manual_seed(problem.seed)
            images.append(self._run(problem.for_image(k), looks))
            problem.report(self.name, k + 1, len(problem.y), float("nan"))
        image = torch.cat(images)
        seconds = time.perf_counter() - began
        return state.following(
            StageRecord(self.name, image, no_losses(image), seconds, round(looks.count / len(problem.y)))
        )

    def _run(self, problem: Problem, denoise: _Counted) -> Tensor:
        # A complex number has half of its noise in each of the real ones.
        noise = problem.noise / 2**0.5 if problem.y.is_complex() else problem.noise
        level = max(noise, QUIET)
        dtype = real_dtype(problem.y.dtype)
        physics = to_physics(problem.operator.at(problem.image_shape), noise=level).to(problem.y.device, dtype)
        if self.method == "ddrm" and not hasattr(physics, "U_adjoint"):
            msg = f"DDRM needs the operator's singular vectors, and those of {problem.operator!r} are in no known basis"
            raise ValueError(msg)
        method = self._method(denoise, level, problem.y.device)
        with torch.no_grad(), warnings.catch_warnings():
            # DiffPIR and DPS ask for noise far beyond what a denoiser of photos knows, level after level.
            warnings.simplefilter("ignore", RangeWarning)
            image: Tensor = method(real_numbers(problem.measured), physics)
        return image.to(dtype)

    def _method(self, denoise: _Counted, level: float, device: torch.device) -> Any:  # noqa: ANN401 - no types there
        optim, sampling = need("deepinv.optim", what=self.name), need("deepinv.sampling", what=self.name)
        if self.method == "dpir":
            return optim.DPIR(sigma=level, denoiser=denoise, device=device)
        if self.method == "ddrm":
            return sampling.DDRM(denoise, sigmas=torch.linspace(1, 0, self.passes).tolist())
        if self.method == "diffpir":
            return sampling.DiffPIR(denoise, optim.L2(), sigma=level, max_iter=self.passes, device=device)
        return sampling.DPS(denoise, num_steps=self.passes, dtype=torch.float32, device=device)


class _Counted(torch.nn.Module):
    """A denoiser that counts its looks."""

    def __init__(self, denoise: torch.nn.Module) -> None:
        super().__init__()
        self.denoise, self.count = denoise, 0

    def forward(self, x: Tensor, sigma: float | Tensor, *_: object, **__: object) -> Tensor:
        self.count += 1
        return cast("Tensor", self.denoise(x, sigma))


THEIRS: Mapping[str, Method] = MappingProxyType(
    {
        "dpir (deepinv)": Theirs("dpir"),
        "diffpir (deepinv)": Theirs("diffpir", passes=100),
        "dps (deepinv)": Theirs("dps", passes=1000),
    }
)
"""Columns for those who have deepinv, and time."""

OURS: Mapping[str, Method] = MappingProxyType(
    {
        "pnp": PlugAndPlay(passes=8),
        "ddnm": Diffusion(),
        "diffpir settings": Diffusion.diffpir(passes=100, data_weight=14.0),
    }
)
"""DiffPIR's share of fresh noise and weight are those of deepinv, 0.1 and 7, which its step counts twice: it minimizes
`|A x - y|^2 / 2 + rho |x - z|^2` where the paper's code has half of the second term."""
MOTION = torch.eye(9) / 9
"""The kernel of a camera that moved along a diagonal."""
POINTS = Case("40 % of the points", RandomMask(0.4))
MOVED = Case("motion blur", Blur(MOTION), noise=7.65 / 255)
K_SPACE = Case("k-space 30 %", FFTMask(0.3, density="gaussian"))

DEEPINVERSE = Experiment(
    name="deepinverse",
    title="Beside deepinv, with the same denoiser",
    question="On the same photos and operators, with the same denoiser: who is better, who is faster?",
    source="",
    cases=(
        POINTS,
        Case("x2", Bicubic(2)),
        Case("Gaussian blur 9 x 9", GaussianBlur(9, 1.7), noise=2.55 / 255),
        Case("Gaussian blur 9 x 9", GaussianBlur(9, 1.7), noise=7.65 / 255),
        MOVED,
        K_SPACE,
    ),
    methods={**OURS, **{name: THEIRS[name] for name in ("dpir (deepinv)", "diffpir (deepinv)")}},
    slow={"dps": DPS(steps=1000), "dps (deepinv)": THEIRS["dps (deepinv)"]},
    comparisons=(("pnp", "dpir (deepinv)"), ("diffpir settings", "diffpir (deepinv)")),
    size=256,
    prior="photos",
)

DDRM = Experiment(
    name="ddrm",
    title="Beside deepinv's DDRM",
    question="Where the singular vectors of the operator are known, how does DDRM compare with the same denoiser?",
    source="",
    cases=(POINTS, MOVED, K_SPACE),
    methods={"ddnm": Diffusion(), "ddrm (deepinv)": Theirs("ddrm", passes=40)},
    comparisons=(("ddnm", "ddrm (deepinv)"),),
    size=256,
    prior="photos",
)

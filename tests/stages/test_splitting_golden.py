"""Our one loop against the authors' code: DPIR, DDNM, DDNM+, DiffPIR and DPS on a closed-form denoiser.

The files hold what upstream's own loops give, with the noise that they drew; see tests/data/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.operators import Blur, Identity, LinearOperator, Mask
from inverso.priors import WrappedDenoiser
from inverso.stages import DPS, Diffusion, PlugAndPlay, Problem
from inverso.stages import dps as dps_module
from inverso.stages._ddnm_plus import UniformSpectrum
from inverso.stages._noise_levels import diffusion_levels, falling, with_time_travel
from inverso.stages._splitting import Projection, Renoising, Splitting

GOLDEN = Path(__file__).parents[1] / "data" / "solvers"
KERNEL = torch.tensor([[0, 1, 0], [2, 4, 1], [0, 0, 0]], dtype=torch.float64) / 8


def denoise(x: Tensor, sigma: float | Tensor) -> Tensor:
    """The denoiser behind the files, for images in [0, 1]."""
    noise = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1, 1, 1)
    share, kept = noise**2 / (noise**2 + 0.01), 0.06 / (0.06 + noise**2)
    padded = F.pad(x.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    smooth = F.conv2d(padded, KERNEL[None, None]).reshape(x.shape)
    return 0.5 + kept * (x + share * (smooth - x) - 0.5)


DENOISER = WrappedDenoiser(denoise, channels=3, sigma_range=(0.001, 100.0))


class Mean4(LinearOperator):
    """Means over 4 x 4 pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 4)

    def input_shape(self, y_shape: tuple[int, ...]) -> tuple[int, int, int]:
        return y_shape[-3], 4 * y_shape[-2], 4 * y_shape[-1]


class Sampled2(LinearOperator):
    """A cyclic blur, of which every second pixel is kept."""

    def __init__(self, kernel: Tensor) -> None:
        self.blur = Blur(kernel)

    def forward(self, x: Tensor) -> Tensor:
        return self.blur(x)[..., ::2, ::2]

    def input_shape(self, y_shape: tuple[int, ...]) -> tuple[int, int, int]:
        return y_shape[-3], 2 * y_shape[-2], 2 * y_shape[-1]


class Script:
    """A source of noise that gives what was written down."""

    def __init__(self, draws: Iterable[Tensor]) -> None:
        self.draws = iter(draws)

    def image(self) -> Tensor:
        return next(self.draws)


def read(name: str) -> dict[str, Tensor]:
    return {
        key: torch.from_numpy(np.array(value))
        for key, value in np.load(GOLDEN / f"{name}.npz").items()
        if value.dtype.kind != "U"
    }


def last(images: Iterable[Tensor]) -> Tensor:
    *_, answer = images
    return answer


def in_variance_exploding_units(u: Tensor, level: float) -> Tensor:
    """Turn `x_t` of images in [-1, 1] into an image in [0, 1] with noise of that level."""
    return (u.double() * math.sqrt(1 + 4 * level**2) + 1) / 2


@pytest.mark.parametrize("x8", [False, True])
@pytest.mark.parametrize(
    ("name", "operator", "final", "out"),
    [
        ("dpir_deblur", lambda file: Blur(file["kernel"].double()), None, "out"),
        ("dpir_sr2", lambda file: Sampled2(file["kernel"].double()), None, "out"),
        ("dpir_mask", lambda file: Mask(file["mask"][0, 0].double()), 0.6 / 255, "before_copy"),
    ],
)
def test_plug_and_play_is_dpir(name, operator, final, out, x8):
    file = read(name)
    noise, passes = float(file.get("sigma_noise", 0)), len(file["sigmas"])
    levels = [float(level) for level in file["sigmas"]]
    stage = PlugAndPlay.dpir(noise, passes=passes, last=levels[-1] if final is None else final, x8=x8)
    torch.testing.assert_close(torch.tensor(stage.levels), file["sigmas"].float(), rtol=1e-5, atol=0)
    problem = Problem(y=file["y"].double(), A=operator(file), denoiser=DENOISER, noise=noise)
    project = Projection(problem, stage.weight, stage.floor, stage.variance)
    loop = Splitting((*levels, 0.0), project, ways=stage.ways(problem), ends_denoised=stage.ends_denoised)

    def seen(x: Tensor, sigma: float) -> Tensor:
        return denoise(x.clamp(0, 1) if name == "dpir_mask" else x, sigma)

    answer = last(loop.run(file["x_init"].double(), seen, Script([])))
    torch.testing.assert_close(answer, file[f"{out}_x8" if x8 else out].double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "plus", "travel"),
    [
        ("ddnm_mask_sigma0.0_l1r1", False, (1, 1)),
        ("ddnm_mask_sigma0.0_l2r2", False, (2, 2)),
        ("ddnm_sr4_sigma0.0_l1r1", False, (1, 1)),
        ("ddnm_denoise_sigma0.2_l1r1", True, (1, 1)),
        ("ddnm_mask_sigma0.2_l1r1", True, (1, 1)),
        ("ddnm_sr4_sigma0.2_paper", True, (1, 1)),
    ],
)
def test_diffusion_is_ddnm(name, plus, travel):
    file = read(name)
    stage = Diffusion.ddnm(passes=10, eta=float(file["eta"]), travel=travel, plus=plus)
    times = [int(time) for time in file["times"]]
    levels = with_time_travel((*stage.levels, 0.0), *stage.travel)
    assert levels == diffusion_levels([100 * time if time >= 0 else -1 for time in times])
    A = Mask(file["mask"].double()) if "mask" in file else Mean4() if "sr4" in name else Identity()
    y = (file["y_image"].double() + 1) / 2
    # The authors' noise is that of images in [-1, 1].
    problem = Problem(y=A.restrict(y), A=A, denoiser=DENOISER, noise=float(file["sigma_y"]) / 2)
    project, renoise = Projection(problem, stage.weight), Renoising(stage.fresh, stage.direction)
    if plus:
        uniform = UniformSpectrum.of(problem, stage.fresh)
        project, renoise = uniform.project, uniform.renoise
    loop = Splitting(levels, project, renoise)
    start = in_variance_exploding_units(file["x_T"], levels[0])
    answer = last(loop.run(start, denoise, Script(file["noise"].double())))
    torch.testing.assert_close(2 * answer - 1, file["out"].double(), rtol=0, atol=1e-6)


def test_ddnm_plus_refuses_an_operator_with_many_singular_values():
    blur = Blur(torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.6, 0.2], [0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"Blur.*draw"):
        UniformSpectrum.of(Problem(torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)), blur), 0.5)


@pytest.mark.parametrize(("name", "operator"), [("diffpir_mask_sigma0.0", Mask), ("diffpir_deblur_sigma0.05", Blur)])
def test_diffusion_is_diffpir(name, operator):
    file = read(name)
    stage = Diffusion.diffpir(passes=10, zeta=float(file["zeta"]), data_weight=float(file["lambda_"]))
    assert stage.levels == diffusion_levels([int(time) for time in file["t"]])
    A = operator((file["mask"][0, 0] if "mask" in file else file["kernel"]).double())
    problem = Problem(y=file["y01"].double(), A=A, denoiser=DENOISER, noise=float(file["sigma_noise"]))
    projection = Projection(problem, stage.weight, stage.floor, stage.variance)
    levels, renoise = (*stage.levels, 0.0), Renoising(stage.fresh, stage.direction)
    loop = Splitting(levels, projection, renoise, clip=stage.clip)
    for level, rho in zip(stage.levels[:-1], file["rhos"], strict=False):
        assert projection.ridge(level) == pytest.approx(float(rho), rel=1e-6)
    answers = []

    def seen(x: Tensor, sigma: float) -> Tensor:
        answers.append(denoise(x, sigma).clamp(0, 1))
        return answers[-1]

    start = in_variance_exploding_units(file["x_start"], stage.levels[0])
    last(loop.run(start, seen, Script([*file["noise"].double()[1:], torch.zeros(1)])))
    torch.testing.assert_close(2 * answers[-1] - 1, file["last_x0"].double(), rtol=0, atol=1e-6)


def test_dps_is_the_authors(monkeypatch):
    file = read("dps_sr4")
    start = file["x_start"].double() / math.sqrt(1 - float(diffusion_alpha(999)))
    monkeypatch.setattr(dps_module, "NoiseSource", lambda _: Script([start, *file["noise"].double()]))
    stage = DPS(steps=10, scale=float(file["scale"]), variance=(float(file["variance_channels"]) + 1) / 2)
    problem = Problem(y=(file["y"].double() + 1) / 2, A=Mean4(), denoiser=DENOISER)
    assert stage.times(problem) == sorted(file["timestep_map"].tolist(), reverse=True)
    answer = last(stage.passes(problem))
    torch.testing.assert_close(2 * answer - 1, file["out"].double(), rtol=0, atol=1e-6)


def diffusion_alpha(time: int) -> float:
    (level,) = diffusion_levels([time])
    return 1 / (1 + 4 * level**2)


def test_levels_fall_evenly_in_their_logarithm():
    assert falling(0.4, 0.1, 3) == pytest.approx((0.4, 0.2, 0.1))
    assert falling(0.4, 0.1, 1) == (0.4,)


def test_an_exact_draw_has_the_mean_and_covariance_of_the_posterior():
    """For x of N(z, r^2) and y = 2 x + e, the posterior variance is 1 / (4 / noise^2 + 1 / r^2)."""
    noise, radius = 0.3, 0.2

    class Double(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    D = WrappedDenoiser(denoise, channels=1, sigma_range=(0.001, 1.0), error=lambda _: radius)
    y = torch.full((1, 1, 60, 60), 1.4, dtype=torch.float64)
    problem = Problem(y, Double(), denoiser=D, noise=noise, seed=1)
    from inverso.stages._splitting import NoiseSource

    source, z = NoiseSource(problem), torch.full_like(y, 0.5)
    project = Projection(problem, drawn=True)
    draws = torch.stack([project(z, 0.1, 0.0, source) for _ in range(40)])
    variance = 1 / (4 / noise**2 + 1 / radius**2)
    assert float(draws.var()) == pytest.approx(variance, rel=0.02)
    assert float(draws.mean()) == pytest.approx(0.5 + variance * 2 / noise**2 * 0.4, abs=0.002)
    assert replace(project, drawn=False)(z, 0.1, 0.0, source).mean() == pytest.approx(float(draws.mean()), abs=0.002)

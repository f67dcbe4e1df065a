"""e13, e14, e16 and deepinv beside ours: the protocol's noise, scratches, and each table from end to end with a toy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inverso import solve
from inverso.experiments import Options, find, run, write_report
from inverso.experiments._networks import Networks
from inverso.images.io import photo, save_image
from inverso.metrics import psnr
from inverso.operators import Identity, RandomMask
from inverso.priors import WrappedDenoiser
from inverso.reconstruction import Reconstruction
from scripts import script

denoising, photos, calibration, deepinverse = (
    script(name) for name in ("denoising", "photos", "calibration", "deepinverse")
)
Scratches = script("scratches").Scratches


def smooth(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Remove noise by a mean over neighbors, the more the noisier."""
    blurred = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    share = (sigma / (sigma + 0.1)).reshape(-1, 1, 1, 1)
    return x + share * (blurred - x)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> WrappedDenoiser:
    """Takes the place of the prior that is named."""
    denoiser = WrappedDenoiser(smooth, channels=3, sigma_range=(1e-3, 10.0))
    monkeypatch.setattr("inverso.experiments._bench.load", lambda _: denoiser)
    return denoiser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    whole = photo("coffee", size=64)
    for k in range(6):
        save_image(whole[..., 4 * k : 4 * k + 24, : 24 + 2 * k], tmp_path / "photos" / f"{k}.png")
    return tmp_path / "photos"


def options(n: int = 2) -> Options:
    return Options(n=n, fast=True, progress=False, pictures=0)


def test_noise_is_that_of_the_papers_code() -> None:
    x = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    np.random.seed(0)  # noqa: NPY002 - as the papers' code does
    expected = np.random.normal(0, 25 / 255, (5, 4, 3))  # noqa: NPY002
    noisy = denoising.NoiseOfPapers().measure(x, noise=25 / 255, seed=7)
    for k in range(2):
        np.testing.assert_allclose((noisy - x)[k].permute(1, 2, 0), expected, atol=1e-12)


def test_one_look_is_rounded_to_8_bits() -> None:
    D = WrappedDenoiser(smooth, channels=3, sigma_range=(1e-3, 10.0))
    y = torch.rand(1, 3, 8, 8) * 1.5
    image = solve(y, Identity(), D, denoising.Denoise(), noise=0.1, progress=False).image
    torch.testing.assert_close(image * 255, (image * 255).round())
    assert float((image - D(y, 0.1).clamp(0, 1)).abs().max()) <= 0.5 / 255 + 1e-6


def test_scratches_are_thin_lose_the_share_and_follow_their_seeds() -> None:
    masks = Scratches(0.1).for_photos(torch.zeros(2, 3, 128, 128), (0, 1)).mask((3, 128, 128)).squeeze(1).float()
    lost = 1 - masks.mean(dim=(1, 2))
    assert bool(((lost >= 0.1) & (lost < 0.13)).all())
    assert not torch.equal(*masks)
    # Nothing is left of them after a dilation of the known pixels by two.
    grown = torch.nn.functional.max_pool2d(masks[:, None], 5, stride=1, padding=2)
    assert float(grown.mean()) > 0.99
    with pytest.raises(ValueError, match="share must lie in"):
        Scratches(0)


def test_e13_stands_beside_the_published_figures(toy, folder: Path, tmp_path: Path) -> None:
    finished = run(find("e13"), folder, tmp_path / "out", options())
    assert len(finished.results.rows) == 10 * 2
    text = write_report(tmp_path / "out", finished).read_text()
    assert "| FFDNet | 33.87 | 31.21 | 27.96 |" in text
    assert "million floating-point operations per pixel" in text
    assert "noise-psnr.png" in text


def test_e14_says_what_the_prior_adds(toy, folder: Path, tmp_path: Path) -> None:
    few = find("e14").chosen(["interpolation", "tv", "pnp (8 passes)"])
    finished = run(few, folder, tmp_path / "out", replace(options(), size=24))
    text = write_report(tmp_path / "out", finished).read_text()
    assert "## Gain over the better plain method (dB)" in text
    assert "| x2 |" in text.split("## Gain over")[1]
    scratched = find("e14-scratches").chosen(["interpolation", "biharmonic"])
    rows = run(scratched, folder, tmp_path / "scratches", replace(options(1), size=24)).results.rows
    assert {row.method for row in rows} == {"interpolation", "biharmonic"}
    assert all(row.values["psnr"] > 20 for row in rows)
    assert find("e14-x3").size == 255


def answer(mean: torch.Tensor, spread: torch.Tensor) -> Reconstruction:
    return Reconstruction(mean, None, None, spread, (), None, mean, Identity(), 0.0, "ddnm")


def test_calibration_is_right_for_samples_of_a_normal_posterior() -> None:
    draws = torch.randn(17, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    x, samples = draws[0], draws[1:]
    right, small = (answer(samples.mean(dim=0), scale * samples.std(dim=0)) for scale in (1, 0.5))
    for share in calibration.SHARES:
        metric = calibration.inside(share)
        assert metric.measure(right, x).tolist() == pytest.approx([share] * 2, abs=0.01)
        assert bool((metric.measure(small, x) < share - 0.1).all())
    assert calibration._factor(right, x).tolist() == pytest.approx([1, 1], abs=0.05)
    assert calibration._factor(small, x).tolist() == pytest.approx([2, 2], abs=0.1)


def test_what_is_known_exactly_is_not_counted() -> None:
    spread = torch.ones(1, 1, 4, 4)
    spread[..., :2] = 0
    exact = answer(torch.zeros(1, 1, 4, 4), spread)
    assert calibration.inside(0.9).measure(exact, torch.full((1, 1, 4, 4), 9.0)).tolist() == [0]


def test_e16_draws_a_reliability_curve(toy, folder: Path, tmp_path: Path) -> None:
    few = replace(find("e16"), cases=find("e16").cases[:1])
    finished = run(few, folder, tmp_path / "out", replace(options(1), size=16))
    text = write_report(tmp_path / "out", finished).read_text()
    assert "pixels inside the 90 % interval" in text
    assert (tmp_path / "out" / "plots" / "reliability.png").exists()


@pytest.mark.parametrize("method", ["dpir", "ddrm", "diffpir", "dps"])
def test_deepinvs_methods_run_with_our_operator_and_denoiser(method: str) -> None:
    pytest.importorskip("deepinv")
    D = WrappedDenoiser(smooth, channels=3, sigma_range=(1e-3, 100.0))
    x, A = photo("coffee", size=16), RandomMask(0.6)
    y = A.measure(x, noise=0.05)
    stage = deepinverse.Theirs(method, passes=8)
    reconstruction = solve(y, A, D, stage, noise=0.05, progress=False)
    assert bool(reconstruction.image.isfinite().all())
    assert reconstruction.stages[0].name == f"{method} (deepinv)"
    assert reconstruction.stages[0].evaluations in {7, 8}
    if method != "dps":
        assert float(psnr(reconstruction.image, x) - psnr(y, x)) > 0


def test_it_is_deepinvs_own() -> None:
    deepinv = pytest.importorskip("deepinv")
    D = WrappedDenoiser(smooth, channels=3, sigma_range=(1e-3, 10.0))
    x, A = photo("coffee", size=16), RandomMask(0.6)
    y = A.measure(x, noise=0.05)
    ours = solve(y, A, D, deepinverse.Theirs("dpir"), noise=0.05, progress=False).image
    physics = deepinv.physics.Inpainting((3, 16, 16), mask=A.mask((3, 16, 16)).expand(1, 3, 16, 16).float())
    denoise = deepinverse.to_denoiser(D)
    with torch.no_grad():
        theirs = deepinv.optim.DPIR(sigma=0.05, denoiser=denoise)(y, physics)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_networks_of_a_table() -> None:
    assert find("deepinverse").prior == find("e14").prior == "photos"
    assert Networks(None, {}, {}).prior_of("pnp") is None

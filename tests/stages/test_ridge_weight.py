"""The factor of the ridge: as small as the amplification of noise allows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import inverso
from inverso.images import photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, Identity, LinearOperator, Mask, RandomMask
from inverso.priors import WrappedDenoiser
from inverso.stages import PlugAndPlay, Problem
from inverso.stages._ridge_weight import CAUTIOUS

SHAPE = (3, 96, 96)


def problem(A: LinearOperator, *, noise: float = 0.02, seed: int = 0, n: int = 1) -> Problem:
    y = A(torch.zeros(n, *SHAPE))
    return Problem(y=y, A=A, denoiser=denoiser(), noise=noise, seed=seed)


def denoiser() -> WrappedDenoiser:
    return WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0.001, 1.0))


def moving(length: int) -> Tensor:
    """Return the kernel of a camera that moves sideways."""
    return torch.full((1, length), 1 / length)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        # Of a share s of known pixels, the image gets noise of the standard deviation sqrt(s) / (1 + w).
        (0.2, 0.1),  # 0.41 with a factor of 0.1
        (0.28, CAUTIOUS),  # 0.48 with 0.1, 0.445 with 0.19
        (1.0, CAUTIOUS),
    ],
)
def test_of_a_mask_by_hand(share, expected):
    mask = (torch.arange(96 * 96) < share * 96 * 96).reshape(1, 96, 96)
    assert PlugAndPlay().ridge_weight(problem(Mask(mask))) == expected


@pytest.mark.parametrize(
    ("A", "least", "most"),
    [
        (GaussianBlur(15, 2.5), 0.1, 0.1),
        (GaussianBlur(9, 1.7), 0.12, 0.15),
        (Bicubic(2), CAUTIOUS, CAUTIOUS),
        (Blur(moving(9)), CAUTIOUS, CAUTIOUS),
        (FFTMask(0.5), CAUTIOUS, CAUTIOUS),
        (Identity(), CAUTIOUS, CAUTIOUS),
    ],
    ids=["strong blur", "blur", "small picture", "motion", "frequencies", "noise alone"],
)
def test_it_is_small_where_noise_is_amplified_little(A, least, most):
    assert least <= PlugAndPlay().ridge_weight(problem(A)) <= most


def test_it_depends_on_neither_the_seed_nor_the_batch():
    A = GaussianBlur(9, 1.7)
    weights = {PlugAndPlay().ridge_weight(problem(A, seed=seed, n=n)) for seed in range(3) for n in (1, 4)}
    assert len(weights) == 1


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (PlugAndPlay(weight=0.5), 0.5),
        (PlugAndPlay(momentum=0), CAUTIOUS),
        (PlugAndPlay(variance="error"), CAUTIOUS),
        (PlugAndPlay.dpir(0.02), CAUTIOUS),
    ],
    ids=["given", "no momentum", "error", "DPIR"],
)
def test_what_is_given_and_the_papers_settings_stay(stage, expected):
    assert stage.ridge_weight(problem(GaussianBlur(15, 2.5))) == expected


def test_after_another_stage_it_stays_that_of_the_paper():
    assert PlugAndPlay().ridge_weight(problem(GaussianBlur(15, 2.5)), guided=True) == CAUTIOUS


def test_operators_without_an_exact_plan_keep_that_of_the_paper():
    mixed = GaussianBlur(9, 2.0) @ RandomMask(0.2)
    assert mixed.plan(SHAPE, torch.float32, torch.device("cpu")) is None
    assert PlugAndPlay().ridge_weight(problem(mixed)) == CAUTIOUS


def test_each_image_has_that_of_its_own_mask():
    share = torch.tensor([0.1, 0.5])[:, None, None, None]
    two = Mask(torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0)) < share)
    assert torch.as_tensor(PlugAndPlay().ridge_weight(problem(two, n=2))).tolist() == pytest.approx([0.1, CAUTIOUS])
    x = photo("astronaut", size=96).expand(2, -1, -1, -1)
    y = two.measure(x, noise=0.05, seed=0)
    D = inverso.priors.load("photos")
    both = inverso.solve(y, two, D, PlugAndPlay(passes=3), noise=0.05, progress=False).image
    for k in range(2):
        alone = inverso.solve(
            y[k : k + 1], two.for_image(k), D, PlugAndPlay(passes=3), noise=0.05, progress=False
        ).image
        torch.testing.assert_close(both[k : k + 1], alone, rtol=0, atol=1e-5)


def test_a_blurred_photo_is_nearer_with_it():
    x = photo("astronaut", size=None)[..., 60:156, 170:266]
    A, D = GaussianBlur(9, 1.7), inverso.priors.load("photos")
    y = A.measure(x, noise=0.01, seed=0)
    papers, ours = (
        psnr(inverso.solve(y, A, D, PlugAndPlay(weight=w), noise=0.01, progress=False).image, x)
        for w in (CAUTIOUS, None)
    )
    assert float(ours - papers) > 0.1


@pytest.mark.parametrize("weight", [-1.0, math.nan])
def test_a_factor_below_zero_is_refused(weight):
    with pytest.raises(ValueError, match=rf"weight .*{weight}"):
        PlugAndPlay(weight=weight)

"""Style inversion of the tiny StyleGAN2 of NVIDIA's code: images that it made itself are found again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import inverso
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, GaussianBlur, RandomGaussian, RandomMask
from inverso.priors import StyleGAN2, load
from inverso.stages import ImageAdaptive, StyleInversion

FILE = Path(__file__).parents[1] / "data" / "stylegan2_ada_tiny_stubsrc_proto4.pkl"
SHAPE = (3, 32, 32)
OPERATORS = {
    "half of the pixels": RandomMask(0.5),
    "a box": BoxMask(16),
    "a quarter of the size": Bicubic(4),
    "half of the frequencies": FFTMask(0.5),
    "blurred": GaussianBlur(9, 2.0),
    "random sums": RandomGaussian(500, SHAPE),
    "a masked photo, shrunk": Bicubic(4) @ RandomMask(0.5),
    "a shrunk photo, masked": RandomMask(0.5) @ Bicubic(2),
}


@pytest.fixture(scope="module")
def prior() -> StyleGAN2:
    return load(FILE)


def own_images(prior: StyleGAN2, n: int) -> torch.Tensor:
    with torch.no_grad():
        return prior(prior.sample_latent(n, seed=5))


def solve(prior, A, x, stage, **options):
    return inverso.solve(
        A.measure(x, noise=options.get("noise", 0.0), seed=1), A, prior, stage, progress=False, **options
    )


@pytest.mark.slow
def test_the_mean_style_is_not_the_answer_and_a_few_steps_get_near_it(prior):
    x = own_images(prior, 1)
    found = solve(prior, RandomMask(0.5), x, StyleInversion(steps=40))
    start = prior.synthesize(prior.mean_w.expand(1, prior.num_ws, -1)).detach()
    assert float(psnr(start, x)) < 20
    assert float(psnr(found.image, x)) >= 30
    assert found.latent.shape == (1, prior.num_ws, prior.filters, prior.w_dim)


def test_image_adaptation_may_go_on_from_its_styles(prior):
    filters = prior.in_space("w++")
    stages = [StyleInversion(steps=2), ImageAdaptive(steps=2)]
    found = solve(filters, FFTMask(0.5), own_images(prior, 1), stages)
    assert [record.name for record in found.stages] == ["style", "ia"]
    assert found.latent.shape[1:] == filters.latent_shape


@pytest.mark.slow
def test_half_of_the_pixels_are_enough_for_30_db(prior):
    x = own_images(prior, 4)
    found = solve(prior, RandomMask(0.5), x, "style")
    assert (psnr(found.image, x) >= 30).all()
    phases = [psnr(phase.image, x).mean() for phase in found.stages[0].phases]
    assert phases == sorted(phases)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATORS)
def test_every_kind_of_measurement_tells_enough(prior, name):
    x = own_images(prior, 2)
    clean = solve(prior, OPERATORS[name], x, "style+bp")
    assert (psnr(clean.image, x) >= 35).all()
    noisy = solve(prior, OPERATORS[name], x, "style+bp", noise=0.05)
    assert (psnr(noisy.image, x) >= 24).all()
    assert float(noisy.residual.max()) < 1.1

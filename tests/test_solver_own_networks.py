"""A generative prior that names an encoder and a denoiser: the default method uses both, others what they need."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import inverso
from inverso.jobs import Job
from inverso.methods import THOROUGH, best_for, default_for, stages_of
from inverso.operators import Bicubic, BoxMask, FFTMask, GaussianBlur, Identity, Mask, RandomMask
from inverso.priors import DCGAN, WrappedDenoiser, load, save_prior
from inverso.priors.denoisers import PhotoDenoiser
from inverso.priors.encoder import LatentEncoder, save_encoder
from inverso.problem import Need, Problem
from inverso.stages import CSGM, PlugAndPlay
from inverso.stages._guess import first_image

A = RandomMask(0.5)


@pytest.fixture
def prior(tmp_path: Path) -> DCGAN:
    prior = DCGAN(16, width=4, depth=2)
    encoder = LatentEncoder(16, (3, 16, 16), width=8)
    encoder.learn(first_image(prior, torch.empty(0)))
    denoiser = PhotoDenoiser(widths=(8, 8, 8), blocks=(1, 1, 1, 1, 1), image_shape=(3, 16, 16), errors={0.1: 0.05})
    save_encoder(encoder, tmp_path / "encoder.safetensors")
    save_prior(denoiser, tmp_path / "denoiser.safetensors")
    prior.encoder_name, prior.denoiser_name = (
        str(tmp_path / f"{name}.safetensors") for name in ("encoder", "denoiser")
    )
    return prior


@pytest.fixture
def y(prior: DCGAN) -> torch.Tensor:
    return A(prior(prior.sample_latent(2, seed=5)).detach())


@pytest.mark.parametrize(
    ("has", "method"),
    [
        ({Need.OPERATOR, Need.PRIOR, Need.ENCODER, Need.DENOISER}, "encoder+bp+pnp"),
        ({Need.OPERATOR, Need.PRIOR, Need.DENOISER}, "csgm+bp+pnp"),
        ({Need.OPERATOR, Need.PRIOR, Need.ENCODER}, "ia+bp"),
        ({Need.OPERATOR, Need.DENOISER}, "pnp"),
    ],
)
def test_the_best_method_for_what_is_there(has, method):
    assert best_for(frozenset(has)) == method


@pytest.mark.parametrize(
    ("operator", "familiar"),
    [
        (RandomMask(0.4), True),
        (RandomMask(0.01), False),
        (BoxMask(8), True),
        (BoxMask(10), False),
        (BoxMask((4, 8)), False),
        (BoxMask(8, corner=(0, 8)), False),
        (BoxMask(8, random=True), False),
        (Mask(torch.ones(16, 16).tril()), False),
        (FFTMask(0.3), True),
        (Bicubic(4), True),
        (GaussianBlur(5, 1.0), True),
        (GaussianBlur(5, 1.0) @ Bicubic(2), False),
        (2 * Identity(), False),
    ],
    ids=repr,
)
def test_an_encoder_begins_where_it_was_trained_for_the_operator(prior, operator, familiar):
    problem = Problem(operator(torch.zeros(1, 3, 16, 16)), operator, prior)
    assert default_for(problem) == ("encoder+bp+pnp" if familiar else "csgm+bp+pnp")
    assert default_for(problem, starts=2) == "csgm+bp+pnp"


def test_a_painted_mask_is_not_begun_by_an_encoder(prior):
    painted = Mask(torch.ones(16, 16).tril())
    y = painted(prior(prior.sample_latent(1, seed=5)).detach())
    answer = inverso.solve(y, painted, prior, progress=False)
    assert answer.method == "csgm+bp+pnp"
    assert [stage.name for stage in answer.stages] == ["csgm", "bp", "pnp"]


def test_the_default_guesses_searches_projects_and_denoises(prior, y):
    answer = inverso.solve(y, A, prior, progress=False)
    assert answer.method == "encoder+bp+pnp"
    assert [(stage.name, stage.evaluations) for stage in answer.stages] == [("csgm", 20), ("bp", 0), ("pnp", 12)]
    spelled = [CSGM(steps=20, restarts=1, encoder=prior.encoder_name), *stages_of("bp+pnp")]
    named = inverso.solve(y, A, (prior, load(prior.denoiser_name)), spelled, progress=False)
    torch.testing.assert_close(answer.image, named.image, rtol=0, atol=0)


def test_averages_begin_at_random(prior, y):
    answer = inverso.solve(y, A, prior, starts=2, progress=False)
    assert answer.method == "csgm+bp+pnp"
    assert answer.uncertainty is not None


def test_the_thorough_method_goes_on_from_what_the_encoder_began():
    assert [stage.name for stage in stages_of(THOROUGH)] == ["csgm", "ilo", "bp", "pnp"]
    assert stages_of(THOROUGH)[0].encoder == "own"


def test_a_denoiser_that_is_given_counts_more_than_the_priors_own(prior, y):
    black = WrappedDenoiser(lambda x, _: 0 * x, channels=3, sigma_range=(0.001, 1.0))
    answer = inverso.solve(y, A, (prior, black), PlugAndPlay(passes=1, kriging=False), progress=False)
    torch.testing.assert_close(answer.image, y)


def test_the_own_denoiser_works_in_the_precision_of_y(prior, y):
    problem = Problem(y.double(), A, prior.double())
    assert next(problem.need(Need.DENOISER).parameters()).dtype == torch.float64
    assert inverso.solve(y.double(), A, prior, progress=False).image.dtype == torch.float64


def test_weights_that_the_encoder_does_not_know_are_refused(prior, y):
    with torch.no_grad():
        for weight in prior.parameters():
            weight.mul_(5)
    with pytest.raises(ValueError, match="trained with another prior, or with other weights"):
        inverso.solve(y, A, prior, progress=False)


def test_a_prior_without_them_says_how_to_name_them(y):
    prior = DCGAN(16, width=4, depth=2)
    with pytest.raises(ValueError, match=r"stage 'csgm' needs a prior with an encoder.*set prior.encoder_name"):
        inverso.solve(y, A, prior, "encoder+bp", progress=False)
    with pytest.raises(ValueError, match=r"stage 'pnp' needs a denoiser"):
        inverso.solve(y, A, prior, "csgm+pnp", progress=False)
    assert inverso.solve(y, A, prior, CSGM(steps=1), progress=False).method == "csgm"


def test_a_missing_file_is_named(prior, y):
    prior.denoiser_name = "nowhere.safetensors"
    with pytest.raises(ValueError, match=r"no file called 'nowhere.safetensors'"):
        inverso.solve(y, A, prior, "pnp", progress=False)


def test_a_job_without_a_method_takes_the_best(prior, tmp_path):
    save_prior(prior, tmp_path / "prior.safetensors")
    job = Job(operator="mask:0.5", prior=str(tmp_path / "prior.safetensors"), simulate=True)
    assert job.method is None
    assert Job.from_json(job.to_json()) == job
    assert "weights of the prior" in job.describe().settings

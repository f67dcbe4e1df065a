"""A generative prior, a denoiser or a pair of them: `solve` tells them apart, and stages find what they need."""

from __future__ import annotations

import pytest
import torch

import inverso
from inverso.operators import Bicubic, Identity, RandomMask
from inverso.priors import Denoiser
from inverso.stages import DirectStage, Need, Problem
from stages.toys import SHAPE, LinearPrior, pictures

X = pictures(2)
A = RandomMask(0.5)


class Shrink(Denoiser):
    """The best linear estimate of white images of variance 1, with a weight that can be looked at."""

    def __init__(self) -> None:
        super().__init__(channels=1)
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, sigma):
        return self.gain * x / (1 + self.check_noisy(x, sigma).square())


class Denoise(DirectStage):
    """Denoise what the adjoint gives, and note what was there."""

    name = "denoise"
    needs = frozenset({Need.DENOISER, Need.OPERATOR})

    def __init__(self) -> None:
        self.seen: list[Problem] = []

    def images(self, problem, _state):
        self.seen.append(problem)
        return problem.need(Need.DENOISER)(problem.operator.adjoint(problem.measured), 0.5)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a pair"])
def test_a_stage_gets_a_frozen_copy_of_the_denoiser_in_the_precision_of_y(alone):
    denoiser, stage = Shrink(), Denoise()
    prior = denoiser if alone else (LinearPrior(), denoiser)
    found = inverso.solve(A(X), A, prior, stage)
    torch.testing.assert_close(found.image, A(X) / 1.25)
    own = stage.seen[0].denoiser
    assert own is not denoiser
    assert (own.gain.dtype, own.gain.requires_grad, own.training) == (torch.float64, False, False)
    assert (denoiser.gain.dtype, denoiser.gain.requires_grad, denoiser.training) == (torch.float32, True, True)


def test_of_a_pair_the_generative_prior_is_the_prior():
    prior = LinearPrior()
    pair, alone = (inverso.solve(A(X), A, each, "csgm", progress=False).image for each in ((prior, Shrink()), prior))
    torch.testing.assert_close(pair, alone, rtol=0, atol=0)


def test_with_a_denoiser_alone_the_images_are_as_large_as_y_tells():
    stage = Denoise()
    inverso.solve(Bicubic(2)(pictures(1, image_shape=(1, 6, 10))), Bicubic(2), Shrink(), stage)
    assert stage.seen[0].image_shape == (1, 6, 10)
    inverso.solve(X, Identity(), (LinearPrior(), Shrink()), stage)
    assert stage.seen[1].image_shape == SHAPE


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match=r"stage 'denoise' needs a denoiser, as prior="):
        inverso.solve(A(X), A, LinearPrior(), Denoise())
    with pytest.raises(ValueError, match="stage 'csgm' needs a generative prior"):
        inverso.solve(A(X), A, Shrink(), "csgm")
    with pytest.raises(ValueError, match="this stage needs a denoiser"):
        Problem(X, A).need(Need.DENOISER)


@pytest.mark.parametrize(
    ("prior", "given"),
    [
        ((Shrink(), LinearPrior()), r"got \(Shrink, LinearPrior\)"),
        ((LinearPrior(),), r"got \(LinearPrior\)"),
        ([LinearPrior(), Shrink()], "got list"),
        (Shrink, "got type"),
    ],
    ids=["the other order", "one", "a list", "a class"],
)
def test_what_is_neither(prior, given):
    with pytest.raises(TypeError, match=rf"or the pair \(latent prior, denoiser\).*, {given}"):
        inverso.solve(A(X), A, prior, "pinv")


def test_what_a_problem_has():
    assert Problem(X).has == frozenset()
    full = Problem(X, A, LinearPrior(), Shrink(), torch.nn.Identity())
    assert full.has == {Need.OPERATOR, Need.PRIOR, Need.DENOISER, Need.RESTORER}

"""A search that begins where an encoder guesses, and is pulled there."""

from __future__ import annotations

import copy

import pytest
import torch

import inverso
from inverso.operators import BoxMask, FFTMask, GaussianBlur, Identity, RandomMask
from inverso.priors import DCGAN
from inverso.priors.encoder import LatentEncoder, save_encoder
from inverso.stages import CSGM, Problem
from inverso.stages._guess import first_image, guess, what_is_left

PRIOR = DCGAN(6, width=4, depth=2, seed=1).eval()
X = PRIOR(PRIOR.sample_latent(3, seed=5)).detach()


@pytest.fixture
def encoder() -> LatentEncoder:
    network = LatentEncoder(6, PRIOR.image_shape, width=8)
    network.learn(first_image(PRIOR, X))
    return network


class TestSeeing:
    def test_all_of_the_photo_and_of_the_noise(self):
        seen = what_is_left(X, Identity(), PRIOR.image_shape)
        assert seen.shape == (3, 6, 16, 16)
        torch.testing.assert_close(seen[:, :3], 2 * X / 1.01 - 1)
        torch.testing.assert_close(seen[0, 3:], seen[2, 3:])

    def test_what_is_lost_is_lost_of_both(self):
        A = BoxMask(8)
        seen = what_is_left(A(X), A, PRIOR.image_shape)
        assert bool((seen[:, :3, 4:12, 4:12] == -1).all())
        assert bool((seen[:, 3:, 4:12, 4:12] == 0).all())

    def test_noise_on_a_blur_does_not_drown_it(self):
        A = GaussianBlur(9, 2.0)
        assert float(what_is_left(A.measure(X, noise=0.05), A, PRIOR.image_shape).abs().max()) < 10

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_of_complex_measurements_too(self, dtype):
        A = FFTMask(0.5, seed=(0, 1, 2))
        seen = what_is_left(A(X.to(dtype)), A, PRIOR.image_shape)
        assert seen.dtype == dtype


class TestGuess:
    def test_is_what_the_encoder_makes_of_what_is_left(self, encoder):
        A = RandomMask(0.5)
        problem = Problem(y=A(X), A=A, prior=PRIOR)
        expected = encoder.eval()(what_is_left(A(X), A, PRIOR.image_shape))
        latents, certainty = guess(problem, encoder)
        torch.testing.assert_close(latents, expected)
        assert certainty.tolist() == [1, 1, 1]

    def test_the_encoder_is_left_as_it_was(self, encoder):
        encoder.train()
        guess(Problem(y=X.double(), A=Identity(), prior=PRIOR.double()), encoder)
        PRIOR.float()
        assert encoder.training
        assert encoder.main[0].weight.dtype == torch.float32

    def test_another_prior_is_refused(self, encoder):
        y, brighter = RandomMask(0.5)(X), copy.deepcopy(PRIOR)
        with torch.no_grad():
            brighter.main[4].bias.add_(30)
        with pytest.raises(ValueError, match="was trained with another prior, or with other weights"):
            inverso.solve(y, RandomMask(0.5), brighter, CSGM(encoder=encoder), progress=False)
        with pytest.raises(ValueError, match=r"another prior: this one has latents of shape \(8,\)"):
            inverso.solve(y, RandomMask(0.5), DCGAN(8, width=4, depth=2), CSGM(encoder=encoder), progress=False)


class TestSearch:
    def test_one_step_gives_the_guess(self, encoder):
        A = RandomMask(0.5)
        answer = inverso.solve(A(X), A, PRIOR, CSGM(steps=1, restarts=1, encoder=encoder), progress=False)
        torch.testing.assert_close(answer.latent, guess(Problem(y=A(X), A=A, prior=PRIOR), encoder)[0])

    def test_the_weight_pulls_towards_the_guess(self, encoder):
        A = RandomMask(0.5)
        found, _ = guess(Problem(y=A(X), A=A, prior=PRIOR), encoder)
        distances = [
            float((inverso.solve(A(X), A, PRIOR, search, progress=False).latent - found).norm())
            for search in (CSGM(20, restarts=1, latent_weight=weight, encoder=encoder) for weight in (1e-3, 1.0, 1e4))
        ]
        assert distances[0] > distances[1] > distances[2]
        assert distances[2] < 1e-2

    def test_a_surer_encoder_pulls_more_unless_the_weight_is_given(self, encoder):
        A = RandomMask(0.5)
        found, _ = guess(Problem(y=A(X), A=A, prior=PRIOR), encoder)
        doubtful, sure = encoder.with_certainty(), encoder.with_certainty()
        with torch.no_grad():
            doubtful.pull.bias.fill_(-3)
            sure.pull.bias.fill_(4)
        plain, less, more = (
            inverso.solve(A(X), A, PRIOR, CSGM(20, restarts=1, encoder=each), progress=False).latent
            for each in (encoder, doubtful, sure)
        )
        assert (less - found).norm() > (plain - found).norm() > (more - found).norm()
        given = [
            inverso.solve(A(X), A, PRIOR, CSGM(20, restarts=1, latent_weight=1.0, encoder=each), progress=False).latent
            for each in (encoder, sure)
        ]
        torch.testing.assert_close(*given)

    def test_further_restarts_begin_at_candidates(self, encoder):
        A = RandomMask(0.5)
        alone, both = (
            inverso.solve(
                A(X), A, PRIOR, CSGM(20, restarts=restarts, latent_weight=0.0, encoder=encoder), progress=False
            )
            for restarts in (1, 3)
        )
        assert both.stages[0].evaluations == 3 * alone.stages[0].evaluations
        assert bool((both.residual <= alone.residual + 1e-6).all())

    def test_an_image_gets_the_same_alone_and_in_a_batch(self, encoder):
        A, search = RandomMask(0.5), CSGM(10, restarts=2, encoder=encoder)
        together = inverso.solve(A(X), A, PRIOR, search, progress=False)
        alone = inverso.solve(A(X[1:2]), A, PRIOR, search, progress=False)
        torch.testing.assert_close(together.image[1:2], alone.image, rtol=0, atol=1e-3)

    def test_a_file_will_do(self, encoder, tmp_path):
        path = str(tmp_path / "e.safetensors")
        save_encoder(encoder, path)
        A = RandomMask(0.5)
        by_file, by_network = (
            inverso.solve(A(X), A, PRIOR, CSGM(5, restarts=1, encoder=which), progress=False).image
            for which in (path, encoder)
        )
        torch.testing.assert_close(by_file, by_network)

    def test_an_experiment_learns_in_time_that_it_does_not_fit(self, encoder):
        assert CSGM().missing(PRIOR) is None
        assert CSGM(encoder=encoder).missing(PRIOR) is None
        assert "guesses latents of another prior" in CSGM(encoder=encoder).missing(DCGAN(6, width=4, depth=1))
        assert "no encoder and no file called 'nobody'" in CSGM(encoder="nobody").missing(PRIOR)

    def test_starts_that_would_all_be_alike_are_refused(self, encoder):
        with pytest.raises(ValueError, match="all 2 starts would be equal"):
            inverso.solve(X, Identity(), PRIOR, CSGM(encoder=encoder), starts=2)

    def test_other_things_are_refused(self):
        with pytest.raises(TypeError, match="encoder must be a LatentEncoder or the name of one, got int"):
            CSGM(encoder=3)

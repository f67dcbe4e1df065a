from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
import torch.nn.functional as F

from inverso.errors import InversoError
from inverso.operators import Bicubic, FFTMask, Identity, LinearOperator, Mask, RandomGaussian, RandomMask
from inverso.problem import StageFailure, no_losses
from inverso.stages import (
    CSGM,
    BackProject,
    InterruptedStage,
    NonFiniteLossError,
    Problem,
    Stage,
    StageRecord,
    State,
)
from stages.toys import SHAPE, LinearPrior, energy, pictures


class Halve(LinearOperator):
    """A user's operator that knows one batch dimension and no more."""

    def forward(self, x):
        return F.avg_pool2d(x, 2)

    def input_shape(self, y_shape):
        channels, height, width = y_shape[-3:]
        return channels, 2 * height, 2 * width


class TestProblem:
    def test_never_changes(self):
        problem = Problem(pictures(1), Identity())
        with pytest.raises(FrozenInstanceError):
            problem.noise = 1.0

    def test_the_image_shape_is_the_priors_or_what_y_tells(self):
        y = torch.zeros(2, 10, dtype=torch.float64)
        assert Problem(y, RandomGaussian(10, SHAPE), LinearPrior()).image_shape == SHAPE
        assert Problem(pictures(2, image_shape=(3, 2, 4)), Bicubic(4)).image_shape == (3, 8, 16)
        assert Problem(pictures(2, image_shape=(3, 2, 4))).image_shape == (3, 2, 4)

    def test_measured_holds_no_fill(self):
        A = RandomMask(0.5)
        x = pictures(2)
        torch.testing.assert_close(Problem(A.measure(x), A).measured, A(x), rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("A", "entries"),
        [
            (Identity(), 24),
            (RandomMask(0.5), 12),
            (FFTMask(0.5), 12),
            (RandomGaussian(10, SHAPE), 10),
            (Bicubic(2), 6),
        ],
        ids=repr,
    )
    def test_the_noise_energy_is_what_noise_adds_on_average(self, A, entries):
        x = torch.zeros(1, *SHAPE, dtype=torch.float64)
        problem = Problem(A(x), A, LinearPrior(), noise=0.1)
        torch.testing.assert_close(problem.noise_energy, torch.full((1,), entries * 0.01, dtype=torch.float64))
        draws = A.measure(x.expand(4000, -1, -1, -1), noise=0.1)
        torch.testing.assert_close(energy(A.restrict(draws)).mean(), problem.noise_energy[0], rtol=0.03, atol=0)

    def test_the_noise_energy_is_that_of_each_images_own_mask(self):
        mask = torch.zeros(2, 1, 4, 6)
        mask[0, 0, 0], mask[1, 0, :2] = 1, 1
        problem = Problem(pictures(2), Mask(mask), noise=2.0)
        assert problem.noise_energy.tolist() == [6 * 4.0, 12 * 4.0]

    @pytest.mark.parametrize("A", [RandomMask(0.5, seed=(0, 1)), FFTMask(0.5), Halve()], ids=repr)
    def test_the_misfit_of_one_image_of_a_batch_and_of_restarts(self, A):
        x, guesses = pictures(2), pictures(6, seed=9).reshape(3, 2, *SHAPE)
        y = A(x)
        problem = Problem(y, A)
        wanted = torch.stack([energy(A(guess) - y) for guess in guesses])
        torch.testing.assert_close(problem.misfit(guesses), wanted)
        torch.testing.assert_close(problem.misfit(guesses[0]), wanted[0])
        for i in range(2):
            torch.testing.assert_close(problem.for_image(i).misfit(guesses[0, i : i + 1]), wanted[0, i : i + 1])

    def test_for_image_keeps_everything_else(self):
        problem = Problem(pictures(3), RandomMask(0.5, seed=(4, 5, 6)), LinearPrior(), noise=0.1, seed=3)
        one = problem.for_image(2)
        torch.testing.assert_close(one.y, problem.y[2:], rtol=0, atol=0)
        assert one.A.seed == 6
        assert (one.prior, one.noise, one.seed) == (problem.prior, 0.1, 3)


class TestState:
    def test_following_adds_a_record_and_keeps_the_rest(self):
        image, latent, weights = pictures(1), torch.zeros(1, 3), {"w": torch.ones(1, 2)}
        before = State(image=image, latent=latent, weights=weights)
        record = StageRecord("next", 2 * image, no_losses(image))
        after = before.following(record)
        assert after.image is record.image
        assert after.latent is latent
        assert after.weights is weights
        assert (before.trace, after.trace) == ((), (record,))

    def test_following_takes_over_what_is_new(self):
        record = StageRecord("next", pictures(1), torch.empty(0, 1))
        latent, weights = torch.ones(1, 3), {"w": torch.ones(1, 2)}
        after = State(latent=torch.zeros(1, 3)).following(record, latent=latent, weights=weights)
        assert after.latent is latent
        assert after.weights is weights


class TestProtocol:
    def test_stages_of_the_library_and_of_others(self):
        class Darken(Stage):
            name = "darken"

            def __call__(self, _problem, state):
                return state

        assert isinstance(CSGM(), Stage)
        assert isinstance(BackProject(), Stage)
        assert isinstance(Darken(), Stage)

    def test_what_has_no_name_or_cannot_be_called_is_none(self):
        assert not isinstance(lambda _problem, state: state, Stage)
        assert not isinstance("csgm", Stage)


class TestFailures:
    def test_a_non_finite_loss_names_stage_step_and_last_finite_loss(self):
        error = NonFiniteLossError(StageFailure("csgm", 17, 0.123456, State()))
        assert isinstance(error, InversoError)
        assert "stage 'csgm' turned non-finite at step 17; the last finite one was 0.1235 per image" in str(error)
        assert "learning rate" in str(error)

    def test_an_interruption_is_a_keyboard_interrupt(self):
        error = InterruptedStage(StageFailure("ia", 5, 0.1, State()))
        assert isinstance(error, KeyboardInterrupt)
        assert not isinstance(error, Exception)
        assert "stage 'ia' was interrupted at step 5" in str(error)

from __future__ import annotations

import pytest
import torch

import inverso
from inverso.errors import InversoError
from inverso.operators import RandomMask
from inverso.priors import WrappedDenoiser
from inverso.problem import StageFailure
from inverso.stages import (
    CSGM,
    Average,
    BackProject,
    Diffusion,
    ImageAdaptive,
    InterruptedStage,
    Need,
    NonFiniteLossError,
    Problem,
    PseudoInverse,
    Stage,
    State,
)
from inverso.stages.average import _APART
from stages.toys import LinearPrior, pictures, recording, small_dcgan

SEARCH = (CSGM(steps=4, restarts=1), ImageAdaptive(steps=3))
DIVERGED = NonFiniteLossError(StageFailure("csgm", 1, 1.0, State()))


class LastingFor(Stage):
    """A search that works so many times, and then does not."""

    name = "lasting"
    random_start = True

    def __init__(self, runs, stop) -> None:
        self.left, self.stop = runs, stop

    def __call__(self, problem, state):
        if self.left == 0:
            raise self.stop
        self.left -= 1
        return SEARCH[0](problem, state)


def solved(method, *, seed=0, n=2, A=None, **options):
    A = A or RandomMask(0.5)
    prior = small_dcgan()
    y = A(pictures(n, image_shape=prior.image_shape))
    return inverso.solve(y, A, prior, method, seed=seed, progress=False, **options)


class TestMean:
    def test_is_the_mean_of_the_answers_from_each_seed(self):
        answers = torch.stack([solved(SEARCH, seed=seed).image for seed in (5, 5 + _APART, 5 + 2 * _APART)])
        together = solved(Average(SEARCH, starts=3), seed=5)
        torch.testing.assert_close(together.image, answers.mean(dim=0), rtol=0, atol=1e-12)
        torch.testing.assert_close(together.uncertainty, answers.std(dim=0), rtol=0, atol=1e-12)

    def test_one_start_is_the_method_itself_and_tells_no_spread(self):
        once = solved(Average(SEARCH, starts=1))
        assert torch.equal(once.image, solved(SEARCH).image)
        assert once.uncertainty is None

    def test_agrees_with_an_exact_measurement_as_its_members_do(self):
        answer = solved(Average((*SEARCH, BackProject()), starts=3))
        assert float(answer.residual.max()) < 1e-12
        assert float(answer.A(answer.uncertainty).max()) < 1e-12

    def test_an_image_gets_the_same_alone_and_in_a_batch(self):
        A = RandomMask(0.5)
        prior = small_dcgan()
        x = pictures(2, image_shape=prior.image_shape)
        both = inverso.solve(A(x), A, prior, Average(SEARCH, 2), progress=False)
        alone = inverso.solve(A(x[1:]), A, prior, Average(SEARCH, 2), progress=False)
        torch.testing.assert_close(both.uncertainty[1:], alone.uncertainty, rtol=0, atol=1e-9)


class TestSolve:
    def test_starts_is_short_for_the_stage(self):
        short, long = solved(SEARCH, starts=2), solved(Average(SEARCH, starts=2))
        assert torch.equal(short.image, long.image)
        assert torch.equal(short.uncertainty, long.uncertainty)

    def test_the_spread_outlives_a_later_stage(self):
        answer = solved([Average(SEARCH, starts=2), BackProject()])
        assert [record.name for record in answer.stages] == ["average", "bp"]
        assert answer.uncertainty is not None

    def test_a_method_without_chance_has_no_spread_to_tell(self):
        with pytest.raises(ValueError, match=r"pinv\+bp starts at random, so that all 3 starts would be equal"):
            solved("pinv+bp", starts=3)

    def test_the_plot_shows_the_uncertainty(self):
        titles = [axes.get_title() for axes in solved(SEARCH, starts=2, n=1).plot().axes]
        assert titles == ["measured", "average", "uncertainty x 4"]

    @pytest.mark.parametrize("starts", [0, -1, 1.5])
    def test_refuses_a_strange_number_of_starts(self, starts):
        with pytest.raises((ValueError, TypeError), match="starts"):
            solved(SEARCH, starts=starts)


class TestRecord:
    def test_counts_the_evaluations_of_all_members(self):
        (record,) = solved(SEARCH, starts=3).stages
        assert record.evaluations == 3 * (4 + 3)
        assert [each.name for each in record.phases] == ["csgm", "ia"] * 3
        assert record.note == "of 3 starts"

    @pytest.mark.parametrize("done", [1, 2])
    @pytest.mark.parametrize("stop", [KeyboardInterrupt(), DIVERGED], ids=["stopped", "diverged"])
    def test_the_starts_that_are_done_outlive_a_stop(self, stop, done):
        whole = solved(Average((LastingFor(99, stop),), 3))
        with pytest.raises((InterruptedStage, NonFiniteLossError)) as caught:
            solved(Average((LastingFor(done, stop),), 3))
        rescued = caught.value.reconstruction
        (record,) = rescued.stages
        assert record.note == f"of {done} of 3 starts"
        expected = torch.stack([phase.image for phase in whole.stages[0].phases[:done]])
        torch.testing.assert_close(rescued.image, expected.mean(dim=0))
        if done == 2:
            torch.testing.assert_close(rescued.uncertainty, expected.std(dim=0))

    def test_the_message_speaks_of_what_is_attached(self):
        stop = NonFiniteLossError(StageFailure("csgm", 1, 1.0, State()))
        assert "There was no answer yet" in str(stop)
        with pytest.raises(NonFiniteLossError, match="The best answer so far is attached"):
            solved(Average((LastingFor(1, stop),), 3))

    def test_before_the_first_start_is_done_there_is_nothing_to_attach(self):
        with pytest.raises(InterruptedStage, match="there was no answer yet") as caught:
            solved(Average((LastingFor(0, KeyboardInterrupt()),), 3))
        assert caught.value.reconstruction is None

    def test_what_came_before_stays_in_the_trace(self):
        answer = solved([PseudoInverse(), Average(SEARCH, starts=2)])
        assert [record.name for record in answer.stages] == ["pinv", "average"]
        assert len(answer.stages[-1].phases) == 4

    def test_progress_tells_which_start_it_is(self):
        A, prior = RandomMask(0.5), LinearPrior()
        problem, told = recording(Problem(A(pictures(1)), A, prior))
        Average((CSGM(steps=2, restarts=1),), starts=2)(problem, State())
        assert [line[0] for line in told] == ["csgm 1/2", "csgm 1/2", "csgm 2/2", "csgm 2/2"]


class TestNeeds:
    def test_needs_what_its_stages_need_and_do_not_give_each_other(self):
        assert Average(SEARCH).needs == {Need.OPERATOR, Need.PRIOR}
        assert Average((ImageAdaptive(),), starts=1).needs == {Need.OPERATOR, Need.PRIOR, Need.LATENT}

    def test_solve_refuses_before_anything_runs(self):
        with pytest.raises(ValueError, match="csgm"):
            solved(Average((ImageAdaptive(),), starts=1))

    def test_refuses_no_stage(self):
        with pytest.raises(ValueError, match="at least one stage"):
            Average(())

    def test_refuses_stages_that_make_no_image(self):
        class Idle(Stage):
            name = "idle"
            random_start = True

            def __call__(self, problem, state):  # noqa: ARG002 - a stage takes both
                return state

        with pytest.raises(InversoError, match="no image"):
            solved(Average((Idle(),)))


def test_the_spread_of_draws_is_widened_by_the_factor_of_the_denoiser():
    A = RandomMask(0.5)
    y = A(torch.full((1, 1, 6, 6), 0.5))
    D = WrappedDenoiser(lambda x, _: 0.9 * x + 0.05, channels=1, sigma_range=(0.001, 1.0))
    plain = inverso.solve(y, A, D, Diffusion(passes=2), starts=3, progress=False).uncertainty
    D.calibration = 2.5
    wide = inverso.solve(y, A, D, Diffusion(passes=2), starts=3, progress=False).uncertainty
    torch.testing.assert_close(wide, 2.5 * plain)


def test_what_is_no_stage_is_refused():
    with pytest.raises(TypeError, match=r"an average runs stages, such as \(CSGM\(\), BackProject\(\)\), got 'd'"):
        Average("ddnm", 2)

from __future__ import annotations

import math

import pytest
import torch

from cases import PRIORS
from inverso._random import stream
from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, Identity, LinearOperator, RandomMask, stack
from inverso.stages import CSGM, Problem, State
from inverso.stages._natural_weight import natural_weight
from inverso.stages.csgm import starting_latents
from stages.toys import SHAPE, Constant, LinearPrior, energy, pictures, recording, small_dcgan, typical_noise

OPERATORS = {
    "Identity": Identity(),
    "RandomMask": RandomMask(0.5),
    "mask per image": RandomMask(0.5, seed=(0, 1)),
    "FFTMask": FFTMask(0.5),
    "GaussianBlur": GaussianBlur(3, 0.5),
}


@pytest.fixture
def prior() -> LinearPrior:
    return LinearPrior()


class TestClosedForm:
    @pytest.mark.parametrize("name", OPERATORS)
    def test_finds_the_least_squares_latent(self, prior, name):
        A = OPERATORS[name]
        y = A(pictures(2))
        state = CSGM(steps=500, lr=0.05)(Problem(y, A, prior), State())
        wanted = torch.cat([prior.least_squares(A.for_image(i), y[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(state.latent, wanted, rtol=0, atol=1e-4)
        torch.testing.assert_close(state.image, prior(wanted), rtol=0, atol=1e-4)

    def test_latent_weight_gives_the_ridge_solution(self, prior):
        A = RandomMask(0.7)
        y = A(pictures(2))
        state = CSGM(steps=500, lr=0.05, latent_weight=0.8)(Problem(y, A, prior), State())
        wanted = prior.least_squares(A, y, ridge=0.8)
        torch.testing.assert_close(state.latent, wanted, rtol=0, atol=1e-4)
        assert (energy(wanted) < 0.8 * energy(prior.least_squares(A, y))).all()

    def test_the_loss_counts_the_latent(self, prior):
        A = RandomMask(0.7)
        problem = Problem(A(pictures(2)), A, prior)
        state = CSGM(steps=1, restarts=1, latent_weight=0.8)(problem, State())
        wanted = problem.misfit(state.image) + 0.8 * energy(state.latent)
        torch.testing.assert_close(state.trace[0].losses[0], wanted)

    def test_the_fill_of_missing_pixels_does_not_matter(self, prior):
        A = RandomMask(0.5)
        x = pictures(1)
        white, black = (CSGM(steps=5)(Problem(y, A, prior), State()) for y in (A.measure(x), A(x)))
        assert not torch.equal(A.measure(x), A(x))
        torch.testing.assert_close(white.latent, black.latent, rtol=0, atol=0)


class TestBestIterate:
    def test_a_diverging_step_size_gives_the_best_iterate_and_not_the_last(self, prior):
        A = Identity()
        problem = Problem(A(pictures(2)), A, prior)
        state = CSGM(steps=20, lr=30.0, restarts=1)(problem, State())
        losses = state.trace[0].losses
        assert (losses[-1] > 2 * losses.min(dim=0).values).all()
        torch.testing.assert_close(problem.misfit(state.image), losses.min(dim=0).values)

    def test_every_image_keeps_its_own_best_iterate(self, prior):
        A = Identity()
        x = prior(torch.tensor([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]], dtype=torch.float64)).detach()
        state = CSGM(steps=12, lr=3.0, restarts=1)(Problem(x, A, prior), State())
        best = state.trace[0].losses.argmin(dim=0)
        assert best[0] != best[1]
        torch.testing.assert_close(energy(state.image - x), state.trace[0].losses.min(dim=0).values)

    def test_every_image_keeps_its_best_restart(self):
        prior = small_dcgan()
        A = RandomMask(0.5)
        x = prior(starting_latents(Problem(pictures(1), A, prior), 3)[1:]).detach()
        problem = Problem(A(x), A, prior)
        state = CSGM(steps=1, restarts=3)(problem, State())
        torch.testing.assert_close(state.image, x)
        torch.testing.assert_close(state.latent, starting_latents(problem, 3)[1:])

    def test_image_and_latent_belong_together(self):
        prior = small_dcgan()
        A = RandomMask(0.5)
        state = CSGM(steps=15)(Problem(A(pictures(2, image_shape=prior.image_shape)), A, prior), State())
        torch.testing.assert_close(prior(state.latent), state.image)

    def test_more_restarts_are_never_worse(self):
        prior = small_dcgan()
        A = RandomMask(0.5)
        problem = Problem(A(pictures(3, image_shape=prior.image_shape)), A, prior)
        misfits = [problem.misfit(CSGM(steps=10, restarts=k, candidates=1)(problem, State()).image) for k in (1, 2, 5)]
        assert (misfits[1] <= misfits[0] + 1e-9).all()
        assert (misfits[2] <= misfits[1] + 1e-9).all()
        assert (misfits[2] < misfits[0]).any()


class TestStartingLatents:
    def test_they_are_those_of_the_seed(self, prior):
        problem = Problem(pictures(2), Identity(), prior, seed=5)
        own = prior.sample_latent(1, seed=stream(5, "latents")).double()
        torch.testing.assert_close(starting_latents(problem, 1), own, rtol=0, atol=0)
        assert not torch.equal(own, prior.sample_latent(1, seed=5).double())

    def test_more_restarts_go_on_where_fewer_end(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        torch.testing.assert_close(starting_latents(problem, 5)[:2], starting_latents(problem, 2), rtol=0, atol=0)
        assert len(starting_latents(problem, 5).unique(dim=0)) == 5

    def test_they_do_not_depend_on_the_batch(self, prior):
        one, three = (Problem(pictures(n), Identity(), prior) for n in (1, 3))
        torch.testing.assert_close(starting_latents(one, 2), starting_latents(three, 2), rtol=0, atol=0)

    def test_all_images_start_from_the_same_ones(self, prior):
        same = pictures(1).expand(3, -1, -1, -1)
        losses = CSGM(steps=1, restarts=1)(Problem(same, Identity(), prior), State()).trace[0].losses
        torch.testing.assert_close(losses, losses[:, :1].expand_as(losses), rtol=0, atol=0)

    def test_another_seed_starts_elsewhere(self, prior):
        first, second = (starting_latents(Problem(pictures(1), Identity(), prior, seed=k), 1) for k in (0, 1))
        assert not torch.equal(first, second)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
    def test_they_have_the_precision_of_the_measurement(self, prior, dtype):
        latents = starting_latents(Problem(pictures(1).to(dtype), Identity(), prior), 1)
        assert latents.dtype == dtype.to_real()


class TestCandidates:
    def test_every_image_descends_from_those_that_fit_it_best(self):
        prior = small_dcgan()
        A = RandomMask(0.5)
        latents = starting_latents(Problem(pictures(1), A, prior), 40)
        x = prior(latents[[37, 5]]).detach()
        problem = Problem(A(x), A, prior)
        state = CSGM(steps=1, restarts=2, candidates=40)(problem, State())
        torch.testing.assert_close(state.latent, latents[[37, 5]])
        torch.testing.assert_close(state.image, x)

    def test_a_look_counts_the_latent_and_is_no_evaluation(self, prior):
        x = pictures(1)
        problem = Problem(x, Identity(), prior)
        state = CSGM(steps=1, restarts=1, candidates=30, latent_weight=2.0)(problem, State())
        losses = [(problem.misfit(prior(z[None])) + 2 * energy(z[None])).item() for z in starting_latents(problem, 30)]
        assert float(state.trace[0].losses) == pytest.approx(min(losses))
        assert state.trace[0].evaluations == 1

    def test_the_choice_does_not_depend_on_the_batch(self):
        prior = small_dcgan()
        x = pictures(3, image_shape=prior.image_shape)
        together, alone = (
            CSGM(steps=3, lr=0.1, candidates=20)(Problem(images, Identity(), prior), State()) for images in (x, x[1:2])
        )
        torch.testing.assert_close(together.latent[1:2], alone.latent)

    def test_there_are_never_fewer_than_restarts(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        few, enough = (CSGM(steps=3, restarts=3, candidates=count)(problem, State()) for count in (1, 3))
        assert few.trace[0].evaluations == 9
        torch.testing.assert_close(few.latent, enough.latent, rtol=0, atol=0)

    def test_none_is_refused(self):
        with pytest.raises(ValueError, match="candidates must be an integer of at least 1, got 0"):
            CSGM(candidates=0)


class TestRecord:
    def test_loss_curves_and_evaluations(self, prior):
        A = RandomMask(0.5)
        (record,) = CSGM(steps=7, restarts=3)(Problem(A(pictures(2)), A, prior), State()).trace
        assert record.name == "csgm"
        assert record.losses.shape == (7, 2)
        assert record.losses.isfinite().all()
        assert record.evaluations == 7 * 3
        assert record.seconds > 0

    def test_the_curve_is_that_of_the_winning_restart(self, prior):
        A = Identity()
        problem = Problem(A(pictures(2)), A, prior)
        state = CSGM(steps=7, restarts=3)(problem, State())
        torch.testing.assert_close(state.trace[0].losses.min(dim=0).values, problem.misfit(state.image))

    def test_progress_is_reported_after_every_step(self, prior):
        problem, calls = recording(Problem(pictures(2), Identity(), prior))
        record = CSGM(steps=4, restarts=1)(problem, State()).trace[0]
        assert [call[:3] for call in calls] == [("csgm", step, 4) for step in (1, 2, 3, 4)]
        torch.testing.assert_close([call[3] for call in calls], record.losses.mean(dim=1).tolist())

    def test_the_trace_of_earlier_stages_is_kept(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        once = CSGM(steps=2)(problem, State())
        twice = CSGM(steps=3)(problem, once)
        assert twice.trace[0] is once.trace[0]
        assert [len(record.losses) for record in twice.trace] == [2, 3]


class TestDiscrepancy:
    def test_stops_when_the_misfit_has_come_down_to_the_noise(self, prior):
        A, noise = Identity(), 0.5
        x = prior(torch.tensor([[3.0, -2.0, 1.0], [2.0, 2.0, -4.0]], dtype=torch.float64)).detach()
        y = x + typical_noise(x, noise)
        state = CSGM(steps=300, lr=0.05, restarts=1, latent_weight=0)(Problem(y, A, prior, noise=noise), State())
        explained = x[0].numel() * noise**2
        assert len(state.trace[0].losses) < 200
        assert (energy(state.image - y) <= explained).all()
        assert (energy(state.image - y) > 0.9 * explained).all()

    def test_a_curve_ends_where_its_image_is_done(self, prior):
        A, noise = Identity(), 0.5
        x = prior(torch.tensor([[0.5, 0.5, 0.5], [5.0, 5.0, 5.0]], dtype=torch.float64)).detach()
        y = x + typical_noise(x, noise)
        losses = CSGM(steps=300, lr=0.05, restarts=1)(Problem(y, A, prior, noise=noise), State()).trace[0].losses
        near, far = losses.isfinite().sum(dim=0).tolist()
        assert near < far == len(losses)
        assert losses[:near, 0].isfinite().all()
        assert losses[near:, 0].isnan().all()

    def test_what_was_reached_is_kept_although_the_weighted_loss_was_lower_before(self):
        # G(z) = z, y = 1, loss (z - 1)^2 + 9 z^2: its minimum 0.1 misses y by more than the noise allows.
        class FromTwo(Constant):
            def sample_latent(self, n, *, seed=0):  # noqa: ARG002 - the same latents for any
                return torch.full((n, 1), 2.0, dtype=torch.float64)

        y = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        state = CSGM(steps=50, latent_weight=9.0)(Problem(y, Identity(), FromTwo(), noise=0.5), State())
        assert abs(float(state.image) - 1) <= 0.5

    def test_without_noise_all_steps_are_taken(self, prior):
        A = Identity()
        record = CSGM(steps=40)(Problem(A(pictures(1)), A, prior), State()).trace[0]
        assert len(record.losses) == 40


class TestZeroLoss:
    def test_a_start_at_the_solution_is_the_answer(self, prior):
        problem = Problem(pictures(1), RandomMask(0.5), prior)
        start = starting_latents(problem, 1)
        y = problem.operator(prior(start)).detach()
        state = CSGM(steps=30)(Problem(y, problem.A, prior), State())
        torch.testing.assert_close(state.latent, start, rtol=0, atol=0)
        losses = state.trace[0].losses[:, 0].tolist()
        assert losses[0] == 0
        assert all(math.isnan(loss) for loss in losses[1:])

    @pytest.mark.parametrize("noise", [0.0, 0.1])
    def test_black_measurements(self, prior, noise):
        A = FFTMask(0.5)
        y = A(torch.zeros(1, *SHAPE, dtype=torch.float64))
        state = CSGM(steps=5)(Problem(y, A, prior, noise=noise), State())
        assert state.image.isfinite().all()
        assert state.trace[0].losses[-1] < state.trace[0].losses[0]


class TestNaturalWeight:
    """What `latent_weight=None` means: the variance of a measured number around what the prior can make."""

    @staticmethod
    def found(prior, y, A, *, noise=0.0):
        return CSGM(steps=500, lr=0.05, candidates=1)(Problem(y, A, prior, noise=noise), State()).latent

    def test_is_the_priors_and_that_of_the_noise_where_pixels_are_measured(self, prior):
        prior.latent_weight = 0.3
        A, y = RandomMask(0.7), RandomMask(0.7)(pictures(2))
        wanted = prior.least_squares(A, y, ridge=0.3 + 1e-4)
        torch.testing.assert_close(self.found(prior, y, A, noise=0.01), wanted, rtol=0, atol=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("factor", [2, 4])
    def test_averages_of_pixels_lie_between_errors_that_are_independent_and_alike(self, factor):
        prior = LinearPrior(image_shape=(1, 64, 64))
        prior.latent_weight = 0.3
        A = Bicubic(factor)
        y = A(pictures(1, image_shape=prior.image_shape))
        loose, tight = (prior.least_squares(A, y, ridge=0.3 * left) for left in (1 / factor**2, 1.0))
        assert energy(tight) < energy(self.found(prior, y, A)) < energy(loose)

    @pytest.mark.slow
    def test_does_not_depend_on_the_operators_unit(self, prior):
        prior.latent_weight = 0.3
        y = pictures(1)
        meters = self.found(prior, Identity()(y), Identity())
        torch.testing.assert_close(self.found(prior, Times10()(y), Times10()), meters, rtol=0, atol=1e-4)

    @pytest.mark.slow
    def test_each_image_has_its_own(self, prior):
        prior.latent_weight = 0.3
        A = RandomMask(0.4, seed=(0, 1))
        y = A(pictures(2))
        together = self.found(prior, y, A)
        for k in range(2):
            alone = self.found(prior, y[k : k + 1], A.for_image(k))
            torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-6)

    def test_of_complex_numbers_each_part_has_half_of_the_noise(self, prior):
        prior.latent_weight, noise = 1e-12, 0.3
        y = FFTMask(0.5)(pictures(1))
        wanted = prior.least_squares(FFTMask(0.5), y, ridge=noise**2 / 2)
        for A, measured in ((FFTMask(0.5), y), (stack(FFTMask(0.5)), stack(FFTMask(0.5))(pictures(1)))):
            weight = natural_weight(Problem(measured, A, prior, noise=noise))
            torch.testing.assert_close(weight, torch.full_like(weight, noise**2 / 2), rtol=0, atol=1e-9)
        found = CSGM(steps=500, lr=0.05, restarts=1, latent_weight=float(weight))
        torch.testing.assert_close(found(Problem(y, FFTMask(0.5), prior), State()).latent, wanted, rtol=0, atol=1e-4)

    def test_all_frequencies_are_the_whole_image(self, prior):
        prior.latent_weight = 0.3
        y = pictures(1)
        whole, frequencies = (natural_weight(Problem(A(y), A, prior)) for A in (Identity(), FFTMask(1.0)))
        torch.testing.assert_close(frequencies, whole)

    def test_an_operator_that_lets_no_constant_through_has_one_too(self, prior):
        prior.latent_weight = 0.3
        A = Blur(torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]))
        weight = natural_weight(Problem(A(pictures(1)), A, prior))
        assert float(weight) == pytest.approx(0.3 * 20, rel=0.3)

    @pytest.mark.parametrize("weight", [-1.0, math.nan])
    def test_a_bad_one_is_named(self, prior, weight):
        prior.latent_weight = weight
        with pytest.raises(ValueError, match="the prior's latent_weight must be"):
            CSGM(steps=1)(Problem(pictures(1), Identity(), prior), State())

    def test_a_prior_to_which_the_norm_means_nothing_is_left_alone_under_noise_too(self, prior):
        A, y = Identity(), pictures(1)
        assert prior.latent_weight == 0
        wanted = prior.least_squares(A, y)
        torch.testing.assert_close(self.found(prior, y, A, noise=1e-3), wanted, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("name", ["PGGAN", "StyleGAN2"])
    def test_families_that_normalize_their_latents(self, name):
        assert PRIORS[name]().latent_weight == 0


class Times10(LinearOperator):
    """Ten times the image, as another unit would give it."""

    def forward(self, x):
        return 10 * x


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
            ({"lr": 0}, "lr must be greater than 0, got 0"),
            ({"lr": -0.1}, "lr must be greater than 0, got -0.1"),
            ({"lr": float("nan")}, "lr must be a number > 0, got nan"),
            ({"restarts": 0}, "restarts must be an integer of at least 1, got 0"),
            ({"latent_weight": -1.0}, "latent_weight must be at least 0, got -1.0"),
        ],
    )
    def test_values_out_of_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            CSGM(**settings)

    @pytest.mark.parametrize("settings", [{"steps": 2.5}, {"restarts": True}, {"lr": "0.1"}])
    def test_values_of_another_type_are_refused(self, settings):
        (name,) = settings
        with pytest.raises(TypeError, match=f"{name} must be"):
            CSGM(**settings)

    def test_parts_that_are_missing_are_named(self, prior):
        with pytest.raises(ValueError, match="this stage needs a generative prior"):
            CSGM()(Problem(pictures(1), Identity()), State())
        with pytest.raises(ValueError, match="this stage needs the operator that measured y"):
            CSGM()(Problem(pictures(1), None, prior), State())

    def test_a_network_that_cuts_the_gradient_is_named(self):
        class Cut(LinearPrior):
            def forward(self, z):
                return super().forward(z).detach()

        with pytest.raises(ValueError, match="do not depend differentiably on what is optimized"):
            CSGM(steps=2)(Problem(pictures(1), Identity(), Cut()), State())

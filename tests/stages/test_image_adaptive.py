from __future__ import annotations

import copy

import pytest
import torch

from inverso.operators import Identity, RandomMask
from inverso.stages import CSGM, ImageAdaptive, InterruptedStage, NonFiniteLossError, Problem, State
from stages.toys import LinearPrior, energy, pictures, recording, small_dcgan, typical_noise


@pytest.fixture
def prior() -> LinearPrior:
    return LinearPrior()


def after_csgm(problem: Problem, *, steps: int = 20) -> State:
    return CSGM(steps=steps, restarts=1)(problem, State())


class TestFit:
    @pytest.mark.parametrize("A", [Identity(), RandomMask(0.5, seed=(0, 1))], ids=["everything", "mask per image"])
    def test_reaches_images_beyond_the_range_of_the_generator(self, prior, A):
        y = A(pictures(2))
        problem = Problem(y, A, prior)
        best_in_range = torch.cat(
            [
                problem.for_image(i).misfit(prior(prior.least_squares(A.for_image(i), y[i : i + 1]))).detach()
                for i in range(2)
            ]
        )
        state = ImageAdaptive(steps=300, lr=0.02)(problem, after_csgm(problem))
        assert (best_in_range > 0.1).all()
        assert (problem.misfit(state.image) < 1e-3 * best_in_range).all()

    def test_starts_from_the_latent_that_was_found(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        before = after_csgm(problem)
        state = ImageAdaptive(steps=1)(problem, before)
        torch.testing.assert_close(state.image, before.image, rtol=0, atol=0)
        torch.testing.assert_close(state.latent, before.latent, rtol=0, atol=0)
        torch.testing.assert_close(state.trace[-1].losses[0], problem.misfit(before.image))

    def test_the_latent_moves_along(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        before = after_csgm(problem)
        moved = ImageAdaptive(steps=5, latent_lr=0.01)(problem, before).latent
        assert (moved != before.latent).all()

    def test_a_latent_rate_of_zero_leaves_it(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        before = after_csgm(problem)
        state = ImageAdaptive(steps=5, latent_lr=0)(problem, before)
        torch.testing.assert_close(state.latent, before.latent, rtol=0, atol=0)
        assert (problem.misfit(state.image) < problem.misfit(before.image)).all()

    def test_the_first_step_has_the_length_of_the_priors_own_rate(self, prior):
        prior.adapt_lr = 0.003
        problem = Problem(pictures(1), Identity(), prior)
        state = ImageAdaptive(steps=2)(problem, after_csgm(problem))
        moved = (state.weights["weight"] - prior.weight.detach()).abs().max()
        torch.testing.assert_close(float(moved), 0.003, rtol=1e-4, atol=0)

    def test_a_given_rate_comes_before_the_priors_own(self, prior):
        problem = Problem(pictures(1), Identity(), prior)
        state = ImageAdaptive(steps=2, lr=0.001)(problem, after_csgm(problem))
        moved = (state.weights["weight"] - prior.weight.detach()).abs().max()
        torch.testing.assert_close(float(moved), 0.001, rtol=1e-4, atol=0)

    def test_the_best_iterate_is_kept_and_not_the_last(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        state = ImageAdaptive(steps=10, lr=2.0)(problem, after_csgm(problem))
        losses = state.trace[-1].losses
        assert (losses[-1] > losses.min(dim=0).values).all()
        torch.testing.assert_close(problem.misfit(state.image), losses.min(dim=0).values)


class TestPrivateWeights:
    def test_the_prior_is_read_and_never_written(self):
        prior = small_dcgan()
        before = copy.deepcopy(prior.state_dict())
        settings = {name: (value.requires_grad, value.device) for name, value in prior.named_parameters()}
        problem = Problem(pictures(2, image_shape=prior.image_shape), RandomMask(0.5), prior)
        ImageAdaptive(steps=3)(problem, after_csgm(problem))
        torch.testing.assert_close(prior.state_dict(), before, rtol=0, atol=0)
        assert {name: (value.requires_grad, value.device) for name, value in prior.named_parameters()} == settings

    def test_the_weights_of_each_image_make_it(self):
        prior = small_dcgan()
        A = RandomMask(0.5)
        problem = Problem(A(pictures(3, image_shape=prior.image_shape)), A, prior)
        state = ImageAdaptive(steps=5)(problem, after_csgm(problem))
        assert set(state.weights) == {name for name, _ in prior.named_parameters()}
        for i in range(3):
            own = {name: stacked[i] for name, stacked in state.weights.items()}
            image = torch.func.functional_call(prior, own, (state.latent[i : i + 1],))
            torch.testing.assert_close(image, state.image[i : i + 1])

    def test_every_image_has_weights_of_its_own(self, prior):
        problem = Problem(pictures(2), Identity(), prior)
        weights = ImageAdaptive(steps=5)(problem, after_csgm(problem)).weights["weight"]
        assert not torch.equal(weights[0], weights[1])

    def test_an_image_does_not_depend_on_its_neighbors_bit_for_bit(self, prior):
        A = RandomMask(0.5, seed=(0, 1, 2))
        problem = Problem(A(pictures(3)), A, prior)
        start = after_csgm(problem)
        together = ImageAdaptive(steps=10)(problem, start)
        for i in range(3):
            alone = State(image=start.image[i : i + 1], latent=start.latent[i : i + 1])
            one = ImageAdaptive(steps=10)(problem.for_image(i), alone)
            torch.testing.assert_close(one.image, together.image[i : i + 1], rtol=0, atol=0)


class TestRecord:
    def test_loss_curves_and_evaluations(self, prior):
        problem, calls = recording(Problem(pictures(2), Identity(), prior))
        record = ImageAdaptive(steps=4)(problem, after_csgm(problem)).trace[-1]
        assert record.name == "ia"
        assert record.losses.shape == (4, 2)
        assert record.evaluations == 4
        assert [call[:3] for call in calls if call[0] == "ia"] == [("ia", step, 8) for step in range(1, 9)]

    def test_with_noise_each_image_stops_at_the_discrepancy(self, prior):
        noise, x = 0.1, pictures(2)
        x[0] = prior(torch.zeros(1, 3, dtype=torch.float64)).detach()[0]
        y = x + typical_noise(x, noise)
        problem = Problem(y, Identity(), prior, noise=noise)
        far = State(latent=torch.full((2, 3), 0.5, dtype=torch.float64))
        state = ImageAdaptive(steps=400, lr=0.002)(problem, far)
        taken = state.trace[-1].losses.isfinite().sum(dim=0)
        assert (taken < 400).all()
        assert taken[0] != taken[1]
        assert state.trace[-1].evaluations == int(taken.max())
        explained = x[0].numel() * noise**2
        assert ((energy(state.image - y) <= explained) & (energy(state.image - y) > 0.9 * explained)).all()


class TestStopped:
    def test_control_c_keeps_the_images_that_are_finished(self, prior):
        x = pictures(3)
        problem, calls = recording(Problem(x, Identity(), prior))
        start = after_csgm(problem)
        whole = ImageAdaptive(steps=10)(problem, start)

        def stop_in_the_second_image(*call):
            calls.append(call)
            if call[0] == "ia" and call[1] == 14:
                raise KeyboardInterrupt

        with pytest.raises(InterruptedStage, match="stage 'ia' was interrupted at step 14") as caught:
            ImageAdaptive(steps=10)(Problem(x, Identity(), prior, report=stop_in_the_second_image), start)
        kept = caught.value.failure.state
        torch.testing.assert_close(kept.image[0], whole.image[0], rtol=0, atol=0)
        assert energy(kept.image - x)[1] < energy(start.image - x)[1]
        torch.testing.assert_close(kept.image[2], start.image[2], rtol=0, atol=0)
        torch.testing.assert_close(kept.latent[2], start.latent[2], rtol=0, atol=0)
        assert [record.name for record in kept.trace] == ["csgm", "ia"]

    def test_a_non_finite_loss_keeps_what_the_state_had(self):
        class Brittle(LinearPrior):
            def forward(self, z):
                return super().forward(z) * torch.where(self.bias.mean() > 0.5001, torch.nan, 1.0)

        problem = Problem(torch.ones(1, 1, 4, 6, dtype=torch.float64), Identity(), Brittle())
        start = after_csgm(problem)
        with pytest.raises(NonFiniteLossError, match="stage 'ia' turned non-finite at step 1;") as caught:
            ImageAdaptive(steps=10)(problem, start)
        torch.testing.assert_close(caught.value.failure.state.image, start.image, rtol=0, atol=0)
        torch.testing.assert_close(caught.value.failure.loss, float(problem.misfit(start.image)))


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
            ({"lr": 0.0}, r"lr must be greater than 0, got 0\.0"),
            ({"latent_lr": -1.0}, r"latent_lr must be at least 0, got -1\.0"),
        ],
    )
    def test_values_out_of_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            ImageAdaptive(**settings)

    def test_a_missing_latent_is_named(self, prior):
        with pytest.raises(ValueError, match="this stage needs a stage before it that finds a latent"):
            ImageAdaptive()(Problem(pictures(1), Identity(), prior), State())

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch

import inverso
from inverso._random import stream
from inverso.operators import Bicubic, FFTMask, Identity, RandomMask
from inverso.stages import CSGM, BackProject, DeepImagePrior, ImageAdaptive, Need, Stage, State
from inverso.stages.csgm import starting_latents
from stages.toys import SHAPE, LinearPrior, pictures, small_dcgan, typical_noise

METHODS = {
    "csgm": [CSGM(steps=8)],
    "ia": [CSGM(steps=8), ImageAdaptive(steps=5)],
    "ia+bp": [CSGM(steps=8), ImageAdaptive(steps=5), BackProject()],
    "dip": [DeepImagePrior(steps=5, width=8)],
    "dip+bp": [DeepImagePrior(steps=5, width=8), BackProject()],
}
OPERATORS = {
    "RandomMask": RandomMask(0.5),
    "FFTMask": FFTMask(0.5),
    "FFTMask per image": FFTMask(0.5, seed=(0, 1, 2)),
    "Bicubic": Bicubic(4),
}
every_method = pytest.mark.parametrize("method", METHODS)


def solve(y, A, prior, method="ia+bp", **options):
    stages = METHODS.get(method, method) if isinstance(method, str) else method
    return inverso.solve(y, A, prior, stages, progress=False, **options)


class TestBatch:
    @every_method
    @pytest.mark.parametrize("noise", [0.0, 0.05])
    @pytest.mark.parametrize("name", OPERATORS)
    def test_three_images_get_the_answers_they_would_get_alone(self, name, noise, method):
        prior, A = small_dcgan(), OPERATORS[name]
        y = A.measure(pictures(3, image_shape=prior.image_shape), noise=noise, seed=1)
        together = solve(y, A, prior, method, noise=noise)
        for i in range(3):
            alone = solve(y[i : i + 1], A.for_image(i), prior, method, noise=noise)
            torch.testing.assert_close(alone.image, together.image[i : i + 1], rtol=0, atol=1e-9)
            torch.testing.assert_close(alone.residual, together.residual[i : i + 1], rtol=0, atol=1e-9)
            assert [record.name for record in alone.stages] == [record.name for record in together.stages]

    @every_method
    def test_in_float32_too(self, method):
        prior, A = small_dcgan().float(), FFTMask(0.5, seed=(0, 1, 2))
        y = A.measure(pictures(3, image_shape=prior.image_shape).float())
        together = solve(y, A, prior, method)
        for i in range(3):
            alone = solve(y[i : i + 1], A.for_image(i), prior, method)
            torch.testing.assert_close(alone.image, together.image[i : i + 1], rtol=0, atol=2e-3)

    @every_method
    def test_the_order_of_images_does_not_matter(self, method):
        prior, A = small_dcgan(), FFTMask(0.5)
        y = A.measure(pictures(3, image_shape=prior.image_shape))
        there, back = solve(y, A, prior, method), solve(y.flip(0), A, prior, method)
        torch.testing.assert_close(there.image, back.image.flip(0), rtol=0, atol=1e-9)


class TestSeeds:
    @every_method
    def test_same_seed_same_bits(self, method):
        prior, A = small_dcgan().float(), FFTMask(0.5)
        y = A.measure(pictures(2, image_shape=prior.image_shape).float())
        first, second = (solve(y, A, prior, method, seed=3) for _ in range(2))
        torch.testing.assert_close(first.image, second.image, rtol=0, atol=0)

    @every_method
    def test_another_seed_another_start(self, method):
        prior, A = small_dcgan(), FFTMask(0.5)
        y = A.measure(pictures(1, image_shape=prior.image_shape))
        first, second = (solve(y, A, prior, method, seed=seed) for seed in (3, 4))
        assert not torch.equal(first.image, second.image)

    def test_a_generator_is_drawn_from_once(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        y, generator = A.measure(pictures(1)), torch.Generator().manual_seed(5)
        expected = torch.Generator().manual_seed(5)
        number = int(torch.randint(2**62, (), generator=expected))
        first = solve(y, A, prior, "csgm", seed=generator)
        torch.testing.assert_close(generator.get_state(), expected.get_state(), rtol=0, atol=0)
        torch.testing.assert_close(first.image, solve(y, A, prior, "csgm", seed=number).image, rtol=0, atol=0)
        assert not torch.equal(first.image, solve(y, A, prior, "csgm", seed=generator).image)

    @every_method
    def test_global_random_states_are_neither_moved_nor_read(self, method):
        prior, A = small_dcgan(), FFTMask(0.5)
        y = A.measure(pictures(1, image_shape=prior.image_shape), noise=0.1)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
        first = solve(y, A, prior, method, noise=0.1)
        torch.testing.assert_close(torch.get_rng_state(), before[0], rtol=0, atol=0)
        assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
        assert random.getstate() == before[2]
        torch.rand(5)
        torch.testing.assert_close(solve(y, A, prior, method, noise=0.1).image, first.image, rtol=0, atol=0)


class TestCallersPrior:
    @every_method
    def test_is_untouched(self, method):
        prior = small_dcgan().float().train()
        prior.main[4].eval()
        prior.main[0].weight.requires_grad_(False)
        prior.main[3].weight.grad = torch.ones_like(prior.main[3].weight)
        state = copy.deepcopy(prior.state_dict())
        modes = [module.training for module in prior.modules()]
        wants = [value.requires_grad for value in prior.parameters()]
        pointers = [value.data_ptr() for value in prior.parameters()]
        A = FFTMask(0.5)
        solve(A.measure(pictures(2, image_shape=prior.image_shape)), A, prior, method)
        torch.testing.assert_close(prior.state_dict(), state, rtol=0, atol=0)
        assert [module.training for module in prior.modules()] == modes
        assert [value.requires_grad for value in prior.parameters()] == wants
        assert [value.data_ptr() for value in prior.parameters()] == pointers
        grads = {name: value.grad for name, value in prior.named_parameters()}
        assert bool((grads.pop("main.3.weight") == 1).all())
        assert all(gradient is None for gradient in grads.values())

    def test_it_is_used_in_evaluation_mode(self):
        prior, A = small_dcgan(), RandomMask(0.5)
        y = A.measure(pictures(2, image_shape=prior.image_shape))
        still, training = solve(y, A, prior.eval()), solve(y, A, prior.train())
        torch.testing.assert_close(still.image, training.image, rtol=0, atol=0)

    def test_the_measurement_is_untouched(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        y = A.measure(pictures(2))
        before = y.clone()
        found = solve(y, A, prior)
        torch.testing.assert_close(y, before, rtol=0, atol=0)
        assert found.y is not y

    def test_the_answer_carries_no_gradients(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        y = A.measure(pictures(1)).requires_grad_()
        found = solve(y, A, prior)
        tensors = [found.image, found.latent, found.residual, *found.weights.values(), found.stages[0].losses]
        assert not any(tensor.requires_grad for tensor in tensors)


class TestCallersModes:
    @every_method
    @pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
    def test_make_no_difference(self, mode, method):
        prior, x = small_dcgan(), pictures(2, image_shape=(3, 16, 16))
        A = FFTMask(0.4, seed=21)
        wanted = solve(A.measure(x, noise=0.05), A, prior, method, noise=0.05)
        with mode():
            # Everything is made in this mode: the operator and its plan, the prior, and the measurement.
            A = FFTMask(0.4, seed=21)
            inverso.operators._plans.CACHE.clear()
            found = solve(A.measure(x, noise=0.05), A, copy.deepcopy(prior), method, noise=0.05)
        torch.testing.assert_close(found.image, wanted.image, rtol=0, atol=0)
        assert not found.image.is_inference()

    def test_a_measurement_and_a_prior_from_inference_mode_can_be_used_outside(self):
        with torch.inference_mode():
            prior, A = LinearPrior(), RandomMask(0.5, seed=33)
            y = A.measure(pictures(1))
        assert y.is_inference()
        assert solve(y, A, prior, "ia+bp").image.isfinite().all()


class TestPrecision:
    @pytest.mark.parametrize("y_type", [torch.float32, torch.float64])
    @pytest.mark.parametrize("prior_type", [torch.float32, torch.float64])
    @pytest.mark.parametrize("name", ["RandomMask", "FFTMask"])
    @every_method
    def test_is_that_of_the_measurement(self, method, name, prior_type, y_type):
        prior, A = small_dcgan().to(prior_type), OPERATORS[name]
        y = A.measure(pictures(1, image_shape=prior.image_shape).to(y_type))
        found = solve(y, A, prior, method)
        assert found.image.dtype == y_type
        assert found.residual.dtype == y_type
        assert all(record.losses.dtype == y_type for record in found.stages)
        assert next(prior.parameters()).dtype == prior_type


class TestZeroLoss:
    @pytest.mark.parametrize("noise", [0.0, 0.1])
    @pytest.mark.parametrize("method", ["csgm", "ia", "ia+bp"])
    def test_a_start_at_the_solution_is_the_answer(self, method, noise):
        prior, A = small_dcgan(), RandomMask(0.5)
        prior.latent_weight = 0.0
        x = prior(prior.sample_latent(1, seed=stream(0, "latents"))).detach()
        found = solve(A.measure(x), A, prior, method, noise=noise)
        torch.testing.assert_close(found.image, x, rtol=0, atol=1e-12)
        assert found.stages[0].losses[0] == 0

    @pytest.mark.parametrize("noise", [0.0, 0.1])
    @every_method
    def test_a_black_measurement(self, method, noise):
        prior, A = small_dcgan(), FFTMask(0.5)
        y = torch.zeros(1, 3, 16, 16, dtype=torch.complex128)
        found = solve(y, A, prior, method, noise=noise)
        assert found.image.isfinite().all()
        if method.endswith(("bp", "pinv", "zero-filled")) and noise == 0:
            torch.testing.assert_close(A(found.image), y, rtol=0, atol=1e-12)


class TestNoise:
    def test_optimization_stops_at_the_discrepancy(self):
        prior, A, noise = LinearPrior(), Identity(), 0.2
        x = prior(torch.tensor([[3.0, -2.0, 1.0]], dtype=torch.float64)).detach()
        y = x + typical_noise(x, noise)
        stages = [CSGM(steps=300, lr=0.05), ImageAdaptive(steps=200), BackProject()]
        clean, noisy = (solve(y, A, prior, stages, noise=level) for level in (0.0, noise))
        assert len(noisy.stages[0].losses) < len(clean.stages[0].losses) == 300
        assert len(noisy.stages[1].losses) == 1
        assert 0.95 < float(noisy.residual) <= 1

    def test_back_projection_never_moves_an_image_that_is_done(self):
        prior, A, noise = small_dcgan(), RandomMask(0.5), 0.3
        y = A.measure(prior(prior.sample_latent(2, seed=1)).detach(), noise=noise, seed=1)
        found = solve(y, A, prior, [CSGM(steps=60), ImageAdaptive(steps=60), BackProject()], noise=noise)
        assert (found.residual <= 1).all()
        torch.testing.assert_close(found.stages[2].image, found.stages[1].image, rtol=0, atol=0)

    def test_without_noise_back_projection_makes_the_image_agree(self):
        prior, A = small_dcgan(), FFTMask(0.5)
        found = solve(A.measure(pictures(2, image_shape=prior.image_shape)), A, prior, "ia+bp")
        assert (found.residual < 1e-12).all()


class Darken(Stage):
    """A stage of the user's own."""

    name = "darken"
    needs = frozenset({Need.IMAGE})

    def __call__(self, _problem, state):
        return state.following(inverso.stages.StageRecord("darken", state.image / 2, torch.empty(0, len(state.image))))


class TestMethods:
    def test_a_string_runs_its_stages(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        found = inverso.solve(A.measure(pictures(1)), A, prior, "csgm+ia+bp", progress=False)
        assert [record.name for record in found.stages] == ["csgm", "ia", "bp"]
        assert found.image is found.stages[-1].image
        assert set(found.weights) == {"weight", "bias"}

    def test_csgm_and_image_adaptation_spelled_out_is_the_same(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        y = A.measure(pictures(1))
        short, long = (inverso.solve(y, A, prior, method, progress=False) for method in ("ia", "csgm+ia"))
        torch.testing.assert_close(short.image, long.image, rtol=0, atol=0)

    def test_the_default_is_ia_and_bp(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        found = inverso.solve(A.measure(pictures(1)), A, prior, progress=False)
        assert [record.name for record in found.stages] == ["csgm", "ia", "bp"]

    @pytest.mark.filterwarnings("ignore::inverso.errors.RangeWarning")
    def test_a_schedule_settles_what_a_string_leaves_open(self):
        # Noise that explains everything ends each stage after one look at every restart.
        prior, A = LinearPrior(), RandomMask(0.5)
        y = A.measure(pictures(1))
        fast, slow = (
            inverso.solve(y, A, prior, "csgm", noise=100.0, schedule=schedule, progress=False)
            for schedule in ("default", "iagan")
        )
        assert slow.stages[0].evaluations == 5
        assert fast.stages[0].evaluations < 5

    def test_a_function_is_told_every_step(self):
        told = []
        prior, A = LinearPrior(), RandomMask(0.5)
        inverso.solve(A.measure(pictures(1)), A, prior, CSGM(steps=3), progress=lambda *step: told.append(step[:3]))
        assert told == [("csgm", 1, 3), ("csgm", 2, 3), ("csgm", 3, 3)]

    def test_one_stage_and_a_list_of_stages(self):
        prior, A = LinearPrior(), RandomMask(0.5)
        y = A.measure(pictures(1))
        assert len(inverso.solve(y, A, prior, CSGM(steps=3), progress=False).stages[0].losses) == 3
        found = inverso.solve(y, A, prior, [CSGM(steps=3), Darken(), BackProject()], progress=False)
        assert [record.name for record in found.stages] == ["csgm", "darken", "bp"]
        torch.testing.assert_close(found.stages[1].image, found.stages[0].image / 2, rtol=0, atol=0)

    def test_a_stage_of_the_users_own_may_find_the_latent(self):
        class Zero(Stage):
            name = "zero"
            gives = frozenset({Need.LATENT})

            def __call__(self, problem, _state):
                return State(latent=torch.zeros(len(problem.y), 3, dtype=torch.float64))

        prior, A = LinearPrior(), RandomMask(0.5)
        found = solve(A.measure(pictures(2)), A, prior, [Zero(), ImageAdaptive(steps=1)])
        torch.testing.assert_close(found.image, torch.full((2, *SHAPE), 0.5, dtype=torch.float64))

    def test_stages_see_the_problem_as_it_was_given(self):
        seen = []

        class Spy(Stage):
            name = "spy"

            def __call__(self, problem, state):
                seen.append((problem.noise, problem.seed, starting_latents(problem, 2)))
                return state

        prior, A = LinearPrior(), RandomMask(0.5)
        solve(A.measure(pictures(1)), A, prior, [Spy(), CSGM(steps=1)], noise=0.25, seed=9)
        assert seen[0][:2] == (0.25, 9)
        torch.testing.assert_close(seen[0][2][:1], prior.sample_latent(1, seed=stream(9, "latents")))

    def test_feed_forward_needs_no_operator(self):
        y = pictures(2, image_shape=(3, 8, 8))
        restorer = torch.nn.Conv2d(3, 3, 1).double().train()
        found = inverso.solve(y, method="ff", restorer=restorer)
        torch.testing.assert_close(found.image, restorer(y).detach())
        assert found.residual is None
        assert restorer.training

    def test_feed_forward_and_back_projection(self):
        A = RandomMask(0.5)
        y = A.measure(pictures(2, image_shape=(3, 8, 8)))
        found = inverso.solve(y, A, method="ff+bp", restorer=torch.nn.Conv2d(3, 3, 1))
        torch.testing.assert_close(A(found.image), A(y))


class TestProgress:
    def test_silence_where_it_is_wanted(self, capfd):
        prior, A = LinearPrior(), RandomMask(0.5)
        inverso.solve(A.measure(pictures(2)), A, prior, METHODS["ia+bp"], progress=False)
        assert capfd.readouterr() == ("", "")

    def test_a_bar_per_iterative_stage_on_standard_error_alone(self, capsys):
        prior, A = LinearPrior(), RandomMask(0.5)
        inverso.solve(A.measure(pictures(2)), A, prior, METHODS["ia+bp"])
        out, err = capsys.readouterr()
        assert out == ""
        assert "csgm:" in err
        assert "ia:" in err
        assert "bp:" not in err
        assert "/8" in err
        assert "/10" in err

    def test_a_stage_that_comes_twice_and_one_that_fails(self, capsys):
        prior, A = LinearPrior(), RandomMask(0.5)
        y = A.measure(pictures(1))
        inverso.solve(y, A, prior, [CSGM(steps=3), CSGM(steps=5)])
        assert "csgm:" in capsys.readouterr().err

    def test_methods_without_steps_show_none(self, capfd):
        A = RandomMask(0.5)
        inverso.solve(A.measure(pictures(2)), A, method="pinv+bp")
        assert capfd.readouterr() == ("", "")

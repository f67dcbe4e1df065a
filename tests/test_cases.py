"""Nothing is missing from `cases.py`, and every prior and stage there does what it must."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import inverso
from cases import DENOISERS, OPERATORS, PRIORS, STAGES, Setting
from inverso.operators import BoxMask, LinearOperator, RandomMask
from inverso.operators.fills import Fill
from inverso.priors import Denoiser, LatentPrior, StylePrior, WrappedDenoiser
from inverso.stages import CSGM, Problem, Stage, StageRecord, State
from stages.toys import LinearStyles

# Bases of what is listed, functions, and what stages hand on.
NO_OPERATOR = {"BoundOperator", "LinearOperator", "estimate_mask", "parse_operator", "stack"}
NO_PRIOR = {
    "Card",
    "Denoiser",
    "LatentPrior",
    "Schedule",
    "StylePrior",
    "available",
    "card",
    "load",
    "read_adm",
    "save_prior",
}
NO_STAGE = {
    "DirectStage",
    "InterruptedStage",
    "Iterations",
    "Need",
    "NonFiniteLossError",
    "Problem",
    "Resume",
    "Stage",
    "StageRecord",
    "State",
}


def classes_of(operator: LinearOperator) -> set[str]:
    """Name the classes an operator is made of: itself, its parts and its fill."""
    parts = getattr(operator, "parts", ()) or tuple(getattr(operator, name, None) for name in ("outer", "inner"))
    found = {type(operator).__name__, type(getattr(operator, "fill", None)).__name__}
    return found.union(*(classes_of(part) for part in parts if isinstance(part, LinearOperator)))


class TestNothingIsMissing:
    def test_every_exported_operator_and_fill_is_a_case(self):
        listed = set().union(*(classes_of(case.make(Setting())) for case in OPERATORS.values()))
        assert set(inverso.operators.__all__) - NO_OPERATOR - listed == set()

    def test_every_exported_prior_is_a_case(self):
        listed = {type(make()).__name__ for make in (*PRIORS.values(), *DENOISERS.values())}
        exported = {*inverso.priors.__all__, *inverso.priors.denoisers.__all__}
        assert exported - NO_PRIOR - listed == set()

    def test_every_exported_stage_is_a_case(self):
        listed = {type(make()).__name__ for make in STAGES.values()}
        assert set(inverso.stages.__all__) - NO_STAGE - listed == set()

    def test_what_is_left_out_is_none_of_them(self):
        def concrete(module, names, kind):
            things = [getattr(module, name) for name in names]
            return [
                thing
                for thing in things
                if inspect.isclass(thing) and issubclass(thing, kind) and not inspect.isabstract(thing)
            ]

        assert concrete(inverso.operators, NO_OPERATOR, (LinearOperator, Fill)) == []
        assert set(concrete(inverso.priors, NO_PRIOR & set(inverso.priors.__all__), nn.Module)) == {
            Denoiser,
            LatentPrior,
            StylePrior,
        }
        assert concrete(inverso.stages, NO_STAGE, Stage) == [inverso.stages.Resume]

    def test_everything_listed_is_what_it_should_be(self):
        assert all(isinstance(case.make(Setting()), LinearOperator) for case in OPERATORS.values())
        assert all(isinstance(make(), LatentPrior) for make in PRIORS.values())
        assert all(isinstance(make(), Denoiser) for make in DENOISERS.values())
        assert all(isinstance(make(), Stage) for make in STAGES.values())

    @pytest.mark.parametrize("name", OPERATORS)
    def test_exact_cases_have_a_plan_and_others_have_none(self, name):
        A = OPERATORS[name].make(Setting())
        assert (A.plan(Setting().image_shape, torch.float64) is not None) == OPERATORS[name].exact


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
class TestPriors:
    def test_latents_become_images_of_the_announced_shape(self, make):
        prior = make().eval()
        z = prior.sample_latent(3)
        assert z.shape == (3, *prior.latent_shape)
        assert prior(z).shape == (3, *prior.image_shape)

    def test_an_image_does_not_depend_on_its_neighbors(self, make):
        prior = make().eval().double()
        z = prior.sample_latent(3)
        torch.testing.assert_close(prior(z)[1:2], prior(z[1:2]))

    def test_images_follow_the_latent_smoothly(self, make):
        prior = make().eval().double()
        z = prior.sample_latent(1)
        (gradient,) = torch.autograd.grad(prior(z.requires_grad_()).sum(), z)
        assert bool(gradient.isfinite().all())
        assert float(gradient.abs().sum()) > 0


def toy_problem() -> Problem:
    """Measure two images that the prior can make, and two it cannot."""
    prior = LinearStyles(8, image_shape=(3, 4, 4)).eval()
    x = torch.rand(4, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x[:2] = prior(prior.sample_latent(2, seed=5)).detach()
    A = RandomMask(0.5, seed=(0, 1, 2, 3)) @ BoxMask(1)
    restorer = nn.Conv2d(3, 3, 1).double()
    denoiser = WrappedDenoiser(lambda x, _: 0.9 * x + 0.05, channels=3, sigma_range=(0.001, 10.0))
    return Problem(A(x), A, prior.requires_grad_(requires_grad=False), denoiser, restorer)


# After a few steps on a toy no answer is good.
@pytest.mark.filterwarnings("ignore::inverso.WorseThanInputWarning")
@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
class TestStages:
    def start(self, problem: Problem) -> State:
        return CSGM(steps=2, restarts=1)(problem, State())

    def test_adds_its_record_and_hands_its_image_on(self, make):
        problem = toy_problem()
        before = self.start(problem)
        after = make()(problem, before)
        assert after.trace[:-1] == before.trace
        record = after.trace[-1]
        assert isinstance(record, StageRecord)
        assert record.name == make().name
        assert after.image is record.image
        assert after.image.shape == (4, 3, 4, 4)
        assert bool(after.image.isfinite().all())
        assert not after.image.requires_grad
        assert record.losses.shape[1] == 4
        assert record.evaluations >= len(record.losses)
        assert record.seconds >= 0

    def test_same_seed_same_bits(self, make):
        problem = toy_problem()
        first, second = (make()(problem, self.start(problem)).image for _ in range(2))
        torch.testing.assert_close(first, second, atol=0, rtol=0)

    def test_an_image_does_not_depend_on_its_neighbors(self, make):
        problem = toy_problem()
        together = make()(problem, self.start(problem)).image
        alone = problem.for_image(2)
        torch.testing.assert_close(make()(alone, self.start(alone)).image[0], together[2])

    def test_prior_restorer_measurement_and_global_random_state_stay(self, make):
        problem = toy_problem()
        before = self.start(problem)
        kept = {name: value.clone() for name, value in problem.prior.state_dict().items()}
        y, image, state = problem.y.clone(), before.image.clone(), torch.get_rng_state()
        make()(problem, before)
        torch.testing.assert_close(dict(problem.prior.state_dict()), kept, atol=0, rtol=0)
        assert all(value.grad is None for module in (problem.prior, problem.restorer) for value in module.parameters())
        torch.testing.assert_close(problem.y, y, atol=0, rtol=0)
        torch.testing.assert_close(before.image, image, atol=0, rtol=0)
        torch.testing.assert_close(torch.get_rng_state(), state, atol=0, rtol=0)

    def test_settings_cannot_be_changed(self, make):
        stage = make()
        for name in getattr(stage, "__dataclass_fields__", {}):
            with pytest.raises(AttributeError, match="cannot assign to field"):
                setattr(stage, name, None)

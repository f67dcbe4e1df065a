"""Style inversion of a prior whose spaces of styles are linear, so that every answer is known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

import inverso
from cases import OPERATORS, Setting
from inverso.losses._distances import LPIPS, absolute, edges, squared
from inverso.losses.multiscale import MultiScale
from inverso.operators import FFTMask, GaussianBlur, Identity, RandomMask
from inverso.priors import DCGAN, StylePrior
from inverso.stages import InterruptedStage, NonFiniteLossError, Problem, State, StyleInversion
from inverso.stages import style_inversion as module
from inverso.stages.style_inversion import _choose_loss
from stages.toys import SHAPE, LinearStyles, energy, pictures, recording, typical_noise

PIXELS = MultiScale(squared, levels=1, smallest=1, coarse_weight=0.0)


@pytest.fixture
def prior() -> LinearStyles:
    return LinearStyles()


def makeable(prior: LinearStyles, n: int = 2, *, seed: int = 7) -> torch.Tensor:
    """Draw images of w++: every style near that of its row, and those near each other."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {(1, 1): 0.5, (prior.num_ws, 1): 0.2, (prior.num_ws, prior.filters): 0.1}
    styles = sum(
        spread * torch.randn(n, *shape, prior.w_dim, generator=generator, dtype=torch.float64)
        for shape, spread in shapes.items()
    )
    return prior.synthesize(styles).detach()


def solved(problem: Problem, **settings) -> State:
    return StyleInversion(**{"loss": PIXELS, **settings})(problem, State())


class TestClosedForm:
    def test_every_phase_finds_the_nearest_image_of_its_space(self, prior):
        assert isinstance(prior, StylePrior)
        x = makeable(prior)
        (record,) = solved(Problem(x, Identity(), prior), steps=100).trace
        # A vector ends within a step of where it should be, and moves 4, 2 or 1 orthonormal directions.
        for phase, reach in zip(record.phases, (0.08 * 2, 0.02 * 2, 0.005 * 2), strict=True):
            error = energy(phase.image - prior.nearest(x, phase.name)).sqrt()
            assert (error < reach).all(), phase.name

    @pytest.mark.parametrize(
        ("A", "loss"),
        [
            (RandomMask(0.9), absolute),
            (RandomMask(0.9, seed=(0, 1)), absolute),
            (GaussianBlur(3, 0.5), edges),
            (FFTMask(0.9), edges),
        ],
        ids=["mask", "mask per image", "blur", "frequencies"],
    )
    def test_an_image_that_the_prior_can_make_is_found(self, prior, A, loss):
        x = makeable(prior)
        state = solved(Problem(A(x), A, prior), steps=100, loss=MultiScale(loss, smallest=1))
        assert (energy(x - prior.nearest(x, "w")).sqrt() > 0.3).all()
        assert (energy(state.image - x).sqrt() < 0.03).all()

    def test_it_starts_at_the_mean_style(self, prior):
        x = makeable(prior)
        state = solved(Problem(x, Identity(), prior), steps=1)
        average = prior.synthesize(prior.mean_w.expand(2, prior.num_ws, -1)).detach()
        torch.testing.assert_close(state.image, average)
        torch.testing.assert_close(state.trace[0].losses, squared(average, x).expand(3, -1))

    def test_steps_have_the_length_of_their_phase(self, prior):
        # Far from the goal every step goes towards it: after two evaluations each vector has moved once.
        x = 100 * makeable(prior)
        once, moved = (solved(Problem(x, Identity(), prior), steps=k, lr=(0.08, 0.02, 0.005)) for k in (1, 2))
        shift = (moved.latent - once.latent).norm(dim=-1)
        assert ((shift > 0.05) & (shift < 0.08 + 0.02 + 0.005 + 1e-9)).all()

    def test_lr_scale_multiplies_them(self, prior):
        problem = Problem(makeable(prior), Identity(), prior)
        scaled = solved(problem, steps=9, lr_scale=2.0)
        spelled = solved(problem, steps=9, lr=(0.16, 0.04, 0.01))
        torch.testing.assert_close(scaled.image, spelled.image, rtol=0, atol=0)


class TestPhases:
    def test_each_starts_from_the_best_of_the_one_before(self, prior):
        phases = solved(Problem(makeable(prior), Identity(), prior), steps=60).trace[0].phases
        assert [phase.name for phase in phases] == ["w", "w+", "w++"]
        for before, after in pairwise(phases):
            assert (before.losses[-1] > before.losses.min(dim=0).values).any()
            torch.testing.assert_close(after.losses[0], before.losses.min(dim=0).values)

    def test_the_best_iterate_of_every_image_is_kept(self, prior):
        problem = Problem(makeable(prior), Identity(), prior)
        state = solved(problem, steps=60, lr=(0.5, 0.3, 0.2))
        losses = state.trace[0].phases[-1].losses
        assert (losses[-1] > losses.min(dim=0).values).all()
        torch.testing.assert_close(squared(state.image, problem.y), losses.min(dim=0).values)

    def test_image_and_latent_belong_together(self, prior):
        state = solved(Problem(makeable(prior), Identity(), prior), steps=20)
        assert state.latent.shape == (2, prior.num_ws, prior.filters, prior.w_dim)
        torch.testing.assert_close(prior.synthesize(state.latent), state.image)

    def test_the_record_joins_them(self, prior):
        (record,) = solved(Problem(makeable(prior), Identity(), prior), steps=5).trace
        assert (record.name, record.evaluations) == ("style", 15)
        torch.testing.assert_close(record.losses, torch.cat([phase.losses for phase in record.phases]))
        assert [phase.evaluations for phase in record.phases] == [5, 5, 5]
        assert record.seconds >= sum(phase.seconds for phase in record.phases) > 0

    def test_progress_is_reported_over_all_of_them_and_names_the_loss(self, prior):
        problem, calls = recording(Problem(makeable(prior), Identity(), prior))
        record = solved(problem, steps=3, loss="l1").trace[0]
        assert [call[:3] for call in calls] == [("style (l1)", step, 9) for step in range(1, 10)]
        torch.testing.assert_close([call[3] for call in calls], record.losses.mean(dim=1).tolist())


class TestDiscrepancy:
    def problem(self, prior, noise=0.1):
        x = makeable(prior)
        # The first image is one of the first phase.
        x[:1] = prior.nearest(x[:1], "w")
        return Problem(x + typical_noise(x, noise), Identity(), prior, noise=noise)

    def test_stops_when_the_misfit_has_come_down_to_the_noise(self, prior):
        problem = self.problem(prior)
        state = solved(problem, steps=100)
        assert state.trace[0].evaluations < 300
        explained = x_size(problem) * problem.noise**2
        assert (energy(state.image - problem.y) <= explained).all()
        assert (energy(state.image - problem.y) > 0.5 * explained).all()

    def test_an_image_that_has_arrived_stays_through_the_later_phases(self, prior):
        problem = self.problem(prior)
        (record,) = solved(problem, steps=100).trace
        early, late = record.phases[0].losses.isfinite().sum(dim=0).tolist()
        assert early < 100 == late
        assert record.phases[1].losses[:, 0].isnan().all()
        torch.testing.assert_close(record.phases[2].image[0], record.phases[0].image[0])

    def test_the_answer_does_not_depend_on_the_neighbors(self, prior):
        problem = self.problem(prior)
        together = solved(problem, steps=100).image
        for k in range(2):
            alone = solved(problem.for_image(k), steps=100).image[0]
            torch.testing.assert_close(alone, together[k])


def x_size(problem: Problem) -> int:
    return problem.y[0].numel()


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_works(name, noise):
    setting = Setting()
    prior, A = LinearStyles(image_shape=setting.image_shape), OPERATORS[name].make(setting)
    y = A.measure(makeable(prior, setting.images), noise=noise, seed=1)
    state = solved(Problem(y, A, prior, noise=noise), steps=4, loss="edges")
    losses = state.trace[0].losses
    assert state.image.shape == (setting.images, *setting.image_shape)
    assert state.image.isfinite().all()
    assert (losses.nan_to_num(torch.inf).min(dim=0).values <= losses[0]).all()
    if not bool(losses.isnan().any()):
        assert (losses[-1] < losses[0]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_it_works_in_the_precision_of_y(prior, dtype):
    A = FFTMask(0.5) if dtype.is_complex else RandomMask(0.5)
    y = A(makeable(prior).to(dtype.to_real()))
    found = inverso.solve(y, A, prior, StyleInversion(steps=2), progress=False)
    assert found.image.dtype == found.latent.dtype == dtype.to_real()


class Failing(LinearStyles):
    """A prior that works for so many passes, and then does something else."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.left = passes

    def synthesize(self, styles):
        self.left -= 1
        return super().synthesize(styles) if self.left >= 0 else self.fail(super().synthesize(styles))

    def fail(self, _images):
        raise KeyboardInterrupt


class TurnsNaN(Failing):
    def fail(self, images):
        return images * torch.nan


class TestFailures:
    def problem(self, prior) -> Problem:
        return Problem(makeable(LinearStyles()), Identity(), prior)

    @pytest.mark.parametrize("passes", [1, 5, 6, 9, 14])
    def test_control_c_hands_back_the_best_state(self, passes):
        prior = Failing(passes)
        problem = self.problem(prior)
        with pytest.raises(InterruptedStage) as caught:
            solved(problem, steps=5)
        failure = caught.value.failure
        assert (failure.stage, failure.step) == ("style", passes)
        state = failure.state
        prior.left = 1
        torch.testing.assert_close(prior.synthesize(state.latent), state.image)
        assert state.latent.ndim == 4
        assert len(state.trace[0].phases) == passes // 5
        assert len(state.trace[0].losses) == state.trace[0].evaluations == passes

    def test_before_the_first_pass_there_is_nothing_to_hand_back(self):
        with pytest.raises(InterruptedStage) as caught:
            solved(self.problem(Failing(0)), steps=5)
        assert caught.value.failure.state == State()

    def test_a_loss_that_turns_non_finite_is_an_error_with_the_best_state(self):
        with pytest.raises(NonFiniteLossError, match="stage 'style' turned non-finite at step 7") as caught:
            solved(self.problem(TurnsNaN(7)), steps=5)
        failure = caught.value.failure
        assert failure.state.image.isfinite().all()
        assert math.isfinite(failure.loss)

    def test_solve_attaches_the_answer(self):
        # The copy that solve makes starts with as many passes.
        prior = Failing(7)
        problem = self.problem(prior)
        with pytest.raises(InterruptedStage) as caught:
            inverso.solve(problem.y, Identity(), prior, StyleInversion(steps=5), progress=False)
        assert caught.value.reconstruction.image.shape == (2, *SHAPE)


class TestLosses:
    def test_without_a_stored_network_it_is_ours_and_the_record_says_so(self, prior, monkeypatch):
        monkeypatch.setattr(module, "lpips_is_stored", lambda: False)
        (record,) = StyleInversion(steps=1)(Problem(makeable(prior), Identity(), prior), State()).trace
        assert record.note == (
            "the loss is multi-scale edges: the network of LPIPS is not stored on this machine; loss='lpips' "
            "downloads it"
        )

    def test_with_a_stored_network_it_is_lpips(self, monkeypatch):
        monkeypatch.setattr(module, "lpips_is_stored", lambda: True)
        loss, label, note = _choose_loss("auto", channels=3)
        assert loss == MultiScale(LPIPS())
        assert (label, note) == ("lpips", "the loss is multi-scale lpips")

    def test_images_that_lpips_cannot_see_are_compared_by_ours(self, monkeypatch):
        monkeypatch.setattr(module, "lpips_is_stored", lambda: True)
        loss, label, note = _choose_loss("auto", channels=5)
        assert loss == MultiScale(edges)
        assert label == "edges"
        assert "LPIPS does not compare images of 5 channels" in note

    @pytest.mark.parametrize("name", ["lpips", "edges", "l1", "l2"])
    def test_a_name_is_taken_at_its_word(self, name):
        assert _choose_loss(name, channels=3)[1:] == (name, f"the loss is multi-scale {name}")

    def test_one_of_the_users_own(self):
        assert _choose_loss(PIXELS, channels=3) == (PIXELS, "squared", "the loss is multi-scale squared")
        own = MultiScale(LPIPS("squeeze"))
        assert _choose_loss(own, channels=3)[1] == "LPIPS(net='squeeze', pretrained=True)"

    def test_lpips_descends(self):
        prior = LinearStyles(image_shape=(3, 24, 24))
        loss = MultiScale(LPIPS("squeeze", pretrained=False))
        losses = solved(Problem(makeable(prior), Identity(), prior), steps=3, loss=loss).trace[0].losses
        assert (losses.min(dim=0).values < losses[0]).all()


class TestNeeds:
    def test_a_prior_without_styles_is_refused_before_anything_runs(self):
        prior, A = DCGAN(8, width=4, depth=1), RandomMask(0.5)
        y = torch.rand(1, 3, 8, 8)
        with pytest.raises(
            ValueError, match=r"stage 'style' needs a prior with style spaces, a StyleGAN2, as prior= .*'ia\+bp' works"
        ):
            inverso.solve(y, A, prior, "csgm+style+bp", progress=False)
        with pytest.raises(ValueError, match=r"this stage needs a prior with style spaces, a StyleGAN2, .*'ia\+bp'"):
            StyleInversion()(Problem(y, A, prior), State())

    def test_a_missing_prior_is_named(self):
        with pytest.raises(ValueError, match="stage 'style' needs a generative prior"):
            inverso.solve(pictures(1), Identity(), method="style")
        with pytest.raises(ValueError, match="this stage needs a prior with style spaces"):
            StyleInversion()(Problem(pictures(1), Identity()), State())

    def test_back_projection_may_follow(self, prior):
        A = RandomMask(0.5)
        y = A(makeable(prior))
        found = inverso.solve(y, A, prior, "style+bp", progress=False)
        assert [record.name for record in found.stages] == ["style", "bp"]
        torch.testing.assert_close(A(found.image), y)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
            ({"lr": (0.1, 0.1)}, r"lr must be three step lengths, for w, w\+, w\+\+, got \(0.1, 0.1\)"),
            ({"lr": 0.1}, "lr must be three step lengths"),
            ({"lr": (0.1, 0.0, 0.1)}, r"the lr of w\+ must be greater than 0, got 0.0"),
            ({"lr_scale": -1.0}, "lr_scale must be greater than 0, got -1.0"),
            ({"loss": "ssim"}, "loss must be one of 'auto', 'lpips', 'edges', 'l1', 'l2', or .*, got 'ssim'"),
            ({"loss": squared}, "loss must be one of .*, or an inverso.losses.MultiScale"),
        ],
    )
    def test_values_out_of_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            StyleInversion(**settings)

    @pytest.mark.parametrize("settings", [{"steps": 2.5}, {"lr": ("a", 1, 1)}, {"lr_scale": "2"}])
    def test_values_of_another_type_are_refused(self, settings):
        with pytest.raises(TypeError, match="must be"):
            StyleInversion(**settings)

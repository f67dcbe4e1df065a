from __future__ import annotations

import math

import pytest
import torch

from inverso.optim.descent import Best, Evaluation, Guard, descend
from inverso.stages import InterruptedStage, NonFiniteLossError, State
from inverso.stages.base import silent

NO_NOISE = torch.zeros(2, dtype=torch.float64)


def evaluation(*losses: float, misfits: tuple[float, ...] | None = None, label: float = 0.0) -> Evaluation:
    loss = torch.tensor(losses, dtype=torch.float64)
    misfit = loss if misfits is None else torch.tensor(misfits, dtype=torch.float64)
    return Evaluation(loss, misfit, {"label": torch.full_like(loss, label)})


class TestBest:
    def test_each_item_keeps_its_lowest_loss(self):
        best = Best(NO_NOISE)
        for label, losses in enumerate([(5.0, 5.0), (4.0, 6.0), (4.5, 1.0), (9.0, 2.0)]):
            best.update(evaluation(*losses, label=float(label)))
        assert best.loss.tolist() == [4.0, 1.0]
        assert best.values["label"].tolist() == [1.0, 2.0]

    def test_of_equal_losses_the_first_is_kept(self):
        best = Best(NO_NOISE)
        best.update(evaluation(3.0, 3.0, label=1.0))
        best.update(evaluation(3.0, 3.0, label=2.0))
        assert best.values["label"].tolist() == [1.0, 1.0]

    def test_what_is_kept_does_not_follow_the_variables(self):
        values = torch.zeros(2, dtype=torch.float64)
        best = Best(NO_NOISE)
        for loss in (2.0, 1.0):
            best.update(Evaluation(torch.full((2,), loss, dtype=torch.float64), NO_NOISE + 1, {"z": values}))
            values += 1
        assert best.values["z"].tolist() == [1.0, 1.0]

    def test_an_item_is_done_when_the_noise_explains_its_misfit(self):
        best = Best(torch.tensor([1.0, 1.0], dtype=torch.float64))
        best.update(evaluation(2.0, 2.0, misfits=(1.5, 1.0), label=1.0))
        assert best.done.tolist() == [False, True]
        best.update(evaluation(1.0, 1.0, misfits=(1.1, 0.1), label=2.0))
        assert best.values["label"].tolist() == [2.0, 1.0]

    def test_reaching_the_noise_counts_more_than_a_lower_loss_before(self):
        best = Best(torch.tensor([1.0, 1.0], dtype=torch.float64))
        best.update(evaluation(2.0, 2.0, misfits=(1.5, 1.5), label=1.0))
        best.update(evaluation(3.0, 3.0, misfits=(0.9, 1.4), label=2.0))
        assert best.values["label"].tolist() == [2.0, 1.0]

    def test_a_misfit_of_zero_is_done_without_noise(self):
        best = Best(NO_NOISE)
        best.update(evaluation(0.0, 1e-30))
        assert best.done.tolist() == [True, False]


class Parabolas:
    """Two items with losses `(v - goal)^2`, whose evaluations are counted."""

    def __init__(self, start: tuple[float, float] = (1.0, -3.0)) -> None:
        self.v = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        self.evaluations = 0

    def __call__(self) -> Evaluation:
        self.evaluations += 1
        loss = self.v.square()
        return Evaluation(loss, loss, {"v": self.v})

    def descend(self, best: Best | None = None, *, lr: float = 0.25, steps: int = 5, after_step=None) -> torch.Tensor:
        optimizer = torch.optim.SGD([self.v], lr=lr)
        return descend(self, optimizer, steps=steps, best=best or Best(NO_NOISE), after_step=after_step)


class TestDescend:
    def test_loss_curves_by_hand(self):
        # With rate 1/4 every step halves the variable and quarters the loss.
        assert Parabolas().descend(steps=3).tolist() == [[1, 9], [1 / 4, 9 / 4], [1 / 16, 9 / 16]]

    def test_the_last_evaluation_is_followed_by_no_step(self):
        items, best = Parabolas(), Best(NO_NOISE)
        items.descend(best, steps=4)
        assert items.evaluations == 4
        torch.testing.assert_close(items.v.detach(), best.values["v"], rtol=0, atol=0)

    def test_ends_when_every_item_is_done(self):
        items = Parabolas()
        curves = items.descend(Best(torch.tensor([0.3, 0.3], dtype=torch.float64)), steps=50)
        assert items.evaluations == len(curves) == 4
        assert curves[:, 0].isnan().tolist() == [False, False, True, True]
        assert curves[:, 1].isfinite().all()

    def test_an_item_that_is_done_moves_no_further(self):
        items = Parabolas()
        items.descend(Best(torch.tensor([0.3, 0.3], dtype=torch.float64)), steps=50)
        assert float(items.v[0].detach()) == 0.5

    def test_progress_is_told_after_every_evaluation(self):
        told = []
        Parabolas().descend(steps=3, after_step=lambda step, losses: told.append((step, float(losses.sum()))))
        assert told == [(1, 10.0), (2, 2.5), (3, 0.625)]

    def test_a_loss_that_turns_non_finite_stops_it(self):
        with pytest.raises(FloatingPointError):
            Parabolas().descend(lr=1e200, steps=5)

    def test_an_item_that_was_done_before_may_turn_non_finite(self):
        items = Parabolas()

        def objective() -> Evaluation:
            found = items()
            loss = torch.where(torch.tensor([items.evaluations > 2, False]), torch.nan, found.loss)
            return Evaluation(loss, loss, found.values)

        best = Best(torch.tensor([0.3, 0.0], dtype=torch.float64))
        curves = descend(objective, torch.optim.SGD([items.v], lr=0.25), steps=5, best=best)
        assert len(curves) == 5
        assert best.values["v"].isfinite().all()
        torch.testing.assert_close(curves[:, 1], 9 * 0.25 ** torch.arange(5, dtype=torch.float64))

    def test_losses_that_depend_on_nothing_are_refused(self):
        def objective() -> Evaluation:
            return evaluation(1.0, 1.0)

        with pytest.raises(ValueError, match="do not depend differentiably on what is optimized"):
            descend(objective, torch.optim.SGD([torch.zeros(1)]), steps=2, best=Best(NO_NOISE))


class TestGuard:
    def test_counts_steps_over_several_runs(self):
        told = []
        with Guard("ia", 6, lambda *call: told.append(call), State) as guard:
            for run in range(2):
                guard.begin(3 * run)
                for step in (1, 2, 3):
                    guard(step, torch.tensor([1.0, 3.0]))
        assert told == [("ia", step, 6, 2.0) for step in range(1, 7)]

    def test_a_non_finite_loss_becomes_an_error_with_the_best_state(self):
        state = State(latent=torch.ones(1))

        def fail(guard):
            with guard:
                guard(4, torch.tensor([0.5]))
                raise FloatingPointError

        with pytest.raises(NonFiniteLossError) as caught:
            fail(Guard("csgm", 9, silent, lambda: state))
        failure = caught.value.failure
        assert (failure.stage, failure.step, failure.loss) == ("csgm", 4, 0.5)
        assert failure.state is state

    def test_control_c_becomes_an_interruption_with_the_best_state(self):
        state = State(latent=torch.ones(1))
        with pytest.raises(InterruptedStage) as caught, Guard("csgm", 9, silent, lambda: state):
            raise KeyboardInterrupt
        assert caught.value.failure.state is state
        assert caught.value.failure.step == 0
        assert math.isnan(caught.value.failure.loss)

    def test_other_errors_pass_as_they_are(self):
        with pytest.raises(ZeroDivisionError), Guard("csgm", 9, silent, State):
            raise ZeroDivisionError

from __future__ import annotations

import math

import pytest
import torch

from inverso._optim.iterations import Best, Iterations
from inverso.operators import Identity
from inverso.stages import InterruptedStage, NonFiniteLossError, Problem, State
from stages.toys import recording

NO_NOISE = torch.zeros(2, dtype=torch.float64)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def look(best: Best, *losses: float, misfits: tuple[float, ...] | None = None, label: float = 0.0) -> None:
    loss = numbers(*losses)
    best.update(loss, loss if misfits is None else numbers(*misfits), {"label": torch.full_like(loss, label)})


class TestBest:
    def test_each_item_keeps_its_lowest_loss(self):
        best = Best(NO_NOISE)
        for label, losses in enumerate([(5.0, 5.0), (4.0, 6.0), (4.5, 1.0), (9.0, 2.0)]):
            look(best, *losses, label=float(label))
        assert best.loss.tolist() == [4.0, 1.0]
        assert best.values["label"].tolist() == [1.0, 2.0]

    def test_of_equal_losses_the_first_is_kept(self):
        best = Best(NO_NOISE)
        look(best, 3.0, 3.0, label=1.0)
        look(best, 3.0, 3.0, label=2.0)
        assert best.values["label"].tolist() == [1.0, 1.0]

    def test_what_is_kept_does_not_follow_the_variables(self):
        values = torch.zeros(2, dtype=torch.float64)
        best = Best(NO_NOISE)
        for loss in (2.0, 1.0):
            best.update(numbers(loss, loss), NO_NOISE + 1, {"z": values})
            values += 1
        assert best.values["z"].tolist() == [1.0, 1.0]

    def test_an_item_is_done_when_the_noise_explains_its_misfit(self):
        best = Best(numbers(1.0, 1.0))
        look(best, 2.0, 2.0, misfits=(1.5, 1.0), label=1.0)
        assert best.done.tolist() == [False, True]
        look(best, 1.0, 1.0, misfits=(1.1, 0.1), label=2.0)
        assert best.values["label"].tolist() == [2.0, 1.0]

    def test_reaching_the_noise_counts_more_than_a_lower_loss_before(self):
        best = Best(numbers(1.0, 1.0))
        look(best, 2.0, 2.0, misfits=(1.5, 1.5), label=1.0)
        look(best, 3.0, 3.0, misfits=(0.9, 1.4), label=2.0)
        assert best.values["label"].tolist() == [2.0, 1.0]

    def test_a_misfit_of_zero_is_done_without_noise(self):
        best = Best(NO_NOISE)
        look(best, 0.0, 1e-30)
        assert best.done.tolist() == [True, False]

    def test_rows_leave_the_other_items_alone(self):
        best = Best(numbers(0.0, 0.0, 0.0))
        best.update(numbers(3.0), numbers(3.0), {"label": numbers(7.0)}, rows=slice(1, 2))
        best.update(numbers(2.0, 4.0), numbers(2.0, 4.0), {"label": numbers(8.0, 9.0)}, rows=slice(1, 3))
        assert best.reached.tolist() == [False, True, True]
        assert best.values["label"][1:].tolist() == [8.0, 9.0]


class Parabolas:
    """Two images of one pixel v with losses `v^2`, whose evaluations are counted."""

    def __init__(self, start: tuple[float, ...] = (1.0, -3.0), *, arrived: float = 0.0) -> None:
        self.v = torch.tensor(start, dtype=torch.float64).reshape(-1, 1, 1, 1).requires_grad_()
        # Noise of this energy explains a loss of `arrived`.
        self.problem = Problem(torch.zeros_like(self.v.detach()), Identity(), noise=arrived**0.5)
        self.evaluations = 0

    def loss(self) -> torch.Tensor:
        self.evaluations += 1
        return self.v.square().flatten()

    def descend(self, *, lr: float = 0.25, steps: int = 5, change=lambda _step, loss: loss) -> Iterations:
        optimizer = torch.optim.SGD([self.v], lr=lr)
        with Iterations("plain", self.problem, State(), total=steps) as run:
            for step in run.steps(steps):
                loss = change(step, self.loss())
                run.keep(loss, loss, {"image": self.v})
                run.descend(optimizer)
        return run


class TestDescent:
    def test_loss_curves_by_hand(self):
        # With rate 1/4 every step halves the variable and quarters the loss.
        (record,) = Parabolas().descend(steps=3).state.trace
        assert record.losses.tolist() == [[1, 9], [1 / 4, 9 / 4], [1 / 16, 9 / 16]]
        assert (record.name, record.evaluations) == ("plain", 3)

    def test_the_last_evaluation_is_followed_by_no_step(self):
        items = Parabolas()
        run = items.descend(steps=4)
        assert items.evaluations == 4
        torch.testing.assert_close(items.v.detach(), run.state.image, rtol=0, atol=0)

    def test_ends_when_every_item_is_done(self):
        items = Parabolas(arrived=0.3)
        curves = items.descend(steps=50).state.trace[0].losses
        assert items.evaluations == len(curves) == 4
        assert curves[:, 0].isnan().tolist() == [False, False, True, True]
        assert curves[:, 1].tolist() == [9, 9 / 4, 9 / 16, 9 / 64]

    def test_an_item_that_is_done_moves_no_further(self):
        items = Parabolas(arrived=0.3)
        items.descend(steps=50)
        assert float(items.v[0].detach()) == 0.5

    def test_progress_is_told_after_every_evaluation(self):
        items = Parabolas()
        items.problem, told = recording(items.problem)
        items.descend(steps=3)
        assert told == [("plain", 1, 3, 5.0), ("plain", 2, 3, 1.25), ("plain", 3, 3, 0.3125)]

    def test_an_item_that_was_done_before_may_turn_non_finite(self):
        items = Parabolas((0.1, -3.0), arrived=0.02)
        run = items.descend(change=lambda step, loss: torch.where(numbers(step, 0) > 2, torch.nan, loss))
        assert len(run.state.trace[0].losses) == 5
        assert run.state.image.isfinite().all()
        torch.testing.assert_close(run.state.trace[0].losses[:, 1], 9 * 0.25 ** torch.arange(5, dtype=torch.float64))

    def test_losses_that_depend_on_nothing_are_refused(self):
        with pytest.raises(ValueError, match="does not depend differentiably on what is optimized"):
            Parabolas().descend(change=lambda _step, loss: loss.detach())


class TestRepeats:
    def test_each_image_gets_its_best_descent(self):
        items = Parabolas((4.0, 1.0, 2.0, -3.0))
        problem = Problem(torch.zeros(2, 1, 1, 1, dtype=torch.float64), Identity())
        with Iterations("plain", problem, State(), total=1, repeats=2) as run:
            for _ in run.steps(1):
                loss = items.loss()
                run.keep(loss, loss, {"image": items.v, "latent": 10 * items.v})
        assert run.state.image.flatten().tolist() == [2.0, 1.0]
        assert run.state.latent.flatten().tolist() == [20.0, 10.0]
        (record,) = run.state.trace
        assert (record.losses.tolist(), record.evaluations) == ([[4.0, 1.0]], 2)


class TestRows:
    """A stage that goes through the images one after the other."""

    def run(self, before: State, *, images: int, told: list | None = None) -> Iterations:
        problem = Problem(
            torch.zeros(3, 1, 1, 1, dtype=torch.float64), Identity(), report=lambda *call: told.append(call)
        )
        with Iterations("plain", problem, before, total=6) as run:
            for image in range(images):
                for step in run.steps(2, rows=range(image, image + 1)):
                    loss = numbers(10 * image + 2 - step)
                    run.keep(loss, loss, {"image": loss.reshape(1, 1, 1, 1), "w": loss[:, None]})
        return run

    def test_steps_are_counted_over_all_of_them(self):
        told: list = []
        state = self.run(State(), images=3, told=told).state
        assert [call[1:3] for call in told] == [(step, 6) for step in range(1, 7)]
        assert state.image.flatten().tolist() == [1.0, 11.0, 21.0]
        assert state.weights["w"].flatten().tolist() == [1.0, 11.0, 21.0]
        assert state.trace[0].losses.tolist() == [[2, 12, 22], [1, 11, 21]]
        assert state.trace[0].evaluations == 2

    def test_those_that_were_not_reached_stay_as_they_were(self):
        before = State(image=torch.full((3, 1, 1, 1), 5.0, dtype=torch.float64))
        state = self.run(before, images=2, told=[]).state
        assert state.image.flatten().tolist() == [1.0, 11.0, 5.0]
        assert state.weights is None
        assert state.trace[0].losses[:, 2].isnan().all()

    def test_without_an_image_before_there_is_no_answer_until_all_are_reached(self):
        assert self.run(State(), images=2, told=[]).state == State()

    def test_coming_to_the_same_ones_again_forgets_what_was_kept(self):
        problem = Problem(torch.zeros(2, 1, 1, 1, dtype=torch.float64), Identity())
        with Iterations("plain", problem, State(), total=2) as run:
            for rows, loss in ((range(2), numbers(1.0, 0.0)), (range(1), numbers(3.0)), (range(1, 2), numbers(4.0))):
                for _ in run.steps(1, rows=rows):
                    run.keep(loss, loss, {"image": loss.reshape(-1, 1, 1, 1)})
        assert run.state.image.flatten().tolist() == [3.0, 4.0]
        assert run.state.trace[0].losses.tolist() == [[3.0, 4.0]]


class TestPhases:
    def test_losses_of_one_phase_mean_nothing_in_the_next(self):
        items = Parabolas((1.0, 2.0))
        with Iterations("plain", items.problem, State(), total=2, note="two phases") as run:
            for phase in (1.0, 100.0):
                for _ in run.steps(1, phase=f"times {phase:g}"):
                    loss = phase * items.loss()
                    run.keep(loss, loss, {"image": phase * items.v})
        (record,) = run.state.trace
        assert record.image.flatten().tolist() == [100.0, 200.0]
        assert [(phase.name, phase.image.flatten().tolist()) for phase in record.phases] == [
            ("times 1", [1.0, 2.0]),
            ("times 100", [100.0, 200.0]),
        ]
        assert record.losses.tolist() == [[1, 4], [100, 400]]
        assert record.note == "two phases"


class TestRescue:
    def test_a_non_finite_loss_becomes_an_error_with_the_best_state(self):
        with pytest.raises(NonFiniteLossError) as caught:
            Parabolas().descend(change=lambda step, loss: loss if step < 2 else loss * torch.nan)
        failure = caught.value.failure
        assert (failure.stage, failure.step, failure.loss) == ("plain", 2, 1.25)
        assert failure.state.image.flatten().tolist() == [0.5, -1.5]
        assert failure.state.trace[0].losses.tolist() == [[1, 9], [1 / 4, 9 / 4]]

    def test_a_descent_that_diverges_is_one(self):
        with pytest.raises(NonFiniteLossError, match="turned non-finite at step 1"):
            Parabolas().descend(lr=1e200)

    def test_control_c_becomes_an_interruption_with_the_state_before(self):
        state = State(latent=torch.ones(1))
        with pytest.raises(InterruptedStage) as caught, Iterations("csgm", Parabolas().problem, state, total=9):
            raise KeyboardInterrupt
        assert caught.value.failure.state is state
        assert caught.value.failure.step == 0
        assert math.isnan(caught.value.failure.loss)

    def test_other_errors_pass_as_they_are(self):
        with pytest.raises(ZeroDivisionError), Iterations("csgm", Parabolas().problem, State(), total=9):
            raise ZeroDivisionError

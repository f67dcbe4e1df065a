"""When a run cannot go on, nothing that was reached is lost."""

from __future__ import annotations

import math

import pytest
import torch

import inverso
from inverso import solver
from inverso.operators import Identity, LinearOperator
from inverso.stages import CSGM, BackProject, DeepImagePrior, ImageAdaptive, InterruptedStage, NonFiniteLossError
from stages.toys import SHAPE, LinearPrior, energy, pictures

X = pictures(3)


def search(**settings) -> CSGM:
    """Descend as Adam does, without looking around first: one pass through the network is one step."""
    return CSGM(**{"steps": 100, "lr": 0.1, "restarts": 2, "candidates": 1, **settings})


class Failing(LinearPrior):
    """A prior that works for so many passes, and then does something else."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.left = passes

    def forward(self, z):
        self.left -= 1
        return super().forward(z) if self.left >= 0 else self.fail(super().forward(z))

    def fail(self, _images):
        raise NotImplementedError


class TurnsNaN(Failing):
    def fail(self, images):
        return images * torch.nan


class TurnsInfinite(Failing):
    def fail(self, images):
        return images / 0


class IsStopped(Failing):
    def fail(self, _images):
        raise KeyboardInterrupt


class Breaks(Failing):
    def fail(self, _images):
        msg = "the network's own error"
        raise LookupError(msg)


class Steep(LinearPrior):
    """A prior whose images turn NaN where latents are large."""

    def forward(self, z):
        return super().forward(z) * torch.where(z.norm(dim=1) > 6, torch.nan, 1.0).reshape(-1, 1, 1, 1)


def solve(prior, stages, *, x=X, progress=False):
    return inverso.solve(x, Identity(), prior, stages, progress=progress)


class TestNonFiniteLoss:
    @pytest.mark.parametrize("prior", [TurnsNaN(4), TurnsInfinite(4)], ids=["NaN", "infinity"])
    def test_in_csgm(self, prior):
        with pytest.raises(NonFiniteLossError, match="the loss of stage 'csgm' turned non-finite at step 4;") as caught:
            solve(prior, search(steps=9))
        four = solve(LinearPrior(), search(steps=4, restarts=2))
        error = caught.value
        assert (error.failure.stage, error.failure.step) == ("csgm", 4)
        torch.testing.assert_close(error.reconstruction.image, four.image, rtol=0, atol=0)
        torch.testing.assert_close(error.reconstruction.latent, four.latent, rtol=0, atol=0)
        torch.testing.assert_close(error.reconstruction.residual, four.residual, rtol=0, atol=0)

    def test_the_last_finite_loss_is_told(self):
        with pytest.raises(NonFiniteLossError) as caught:
            solve(TurnsNaN(4), search(steps=9, restarts=1))
        wanted = float(solve(LinearPrior(), search(steps=4, restarts=1)).stages[0].losses[-1].mean())
        assert caught.value.failure.loss == pytest.approx(wanted)
        assert f"the last finite one was {wanted:.4g} per image" in str(caught.value)

    def test_from_a_latent_that_grew_too_large(self):
        target = LinearPrior()(torch.full((1, 3), 9.0, dtype=torch.float64)).detach()
        with pytest.raises(NonFiniteLossError) as caught:
            solve(Steep(), search(steps=200, restarts=1), x=target)
        kept = caught.value.reconstruction
        assert 5 < float(kept.latent.norm()) <= 6
        assert kept.image.isfinite().all()

    def test_in_image_adaptation(self):
        stages = [search(steps=4), ImageAdaptive(steps=5), BackProject()]
        with pytest.raises(NonFiniteLossError, match="stage 'ia' turned non-finite at step 8;") as caught:
            solve(TurnsNaN(4 + 8), stages)
        kept, whole = caught.value.reconstruction, solve(LinearPrior(), stages[:2])
        assert [record.name for record in kept.stages] == ["csgm", "ia"]
        torch.testing.assert_close(kept.image[0], whole.image[0], rtol=0, atol=0)
        assert energy(kept.image - X)[1] < energy(kept.stages[0].image - X)[1]
        torch.testing.assert_close(kept.image[2], kept.stages[0].image[2], rtol=0, atol=0)

    @pytest.mark.parametrize("stage", [search(), DeepImagePrior(network="prior")], ids=["csgm", "dip"])
    def test_at_the_very_start_there_is_nothing_to_attach(self, stage):
        with pytest.raises(NonFiniteLossError, match=r"at step 0\. There was no answer yet") as caught:
            solve(TurnsNaN(0), stage)
        assert caught.value.reconstruction is None
        assert math.isnan(caught.value.failure.loss)

    def test_at_the_start_of_the_second_stage_the_first_ones_answer_is_attached(self):
        with pytest.raises(NonFiniteLossError, match=r"stage 'ia' turned non-finite at step 0\.") as caught:
            solve(TurnsNaN(4), [search(steps=4), ImageAdaptive(steps=5)])
        torch.testing.assert_close(
            caught.value.reconstruction.image, solve(LinearPrior(), search(steps=4)).image, rtol=0, atol=0
        )

    def test_it_is_an_error_of_the_library(self):
        with pytest.raises(inverso.InversoError):
            solve(TurnsNaN(1), search())


class TestControlC:
    def test_in_csgm(self):
        with pytest.raises(InterruptedStage, match="stage 'csgm' was interrupted at step 4") as caught:
            solve(IsStopped(4), search(steps=9))
        four = solve(LinearPrior(), search(steps=4))
        torch.testing.assert_close(caught.value.reconstruction.image, four.image, rtol=0, atol=0)

    def test_who_catches_keyboard_interrupts_catches_it(self):
        with pytest.raises(KeyboardInterrupt):
            solve(IsStopped(4), search(steps=9))

    @pytest.mark.parametrize("passes", [5, 8, 10, 14])
    def test_in_the_middle_of_a_batch_finished_images_are_kept(self, passes):
        stages = [search(steps=4), ImageAdaptive(steps=5), BackProject()]
        with pytest.raises(InterruptedStage, match=f"stage 'ia' was interrupted at step {passes}") as caught:
            solve(IsStopped(4 + passes), stages)
        kept, whole = caught.value.reconstruction, solve(LinearPrior(), stages[:2])
        done, begun = divmod(passes, 5)
        torch.testing.assert_close(kept.image[:done], whole.image[:done], rtol=0, atol=0)
        rest = done + (begun > 0)
        torch.testing.assert_close(kept.image[rest:], kept.stages[0].image[rest:], rtol=0, atol=0)
        assert kept.image.shape == X.shape
        assert kept.latent.shape == (3, 3)
        assert kept.residual.shape == (3,)

    def test_before_the_first_image_there_is_nothing_to_attach(self):
        with pytest.raises(InterruptedStage, match="stage 'csgm' was interrupted at step 0") as caught:
            solve(IsStopped(0), search())
        assert caught.value.reconstruction is None

    def test_in_a_stage_without_steps(self):
        class Slow(LinearOperator):
            def forward(self, x):
                return x / 2

            def project(self, _x, _y, **_):
                raise KeyboardInterrupt

        with pytest.raises(InterruptedStage, match="stage 'bp' was interrupted at step 0") as caught:
            inverso.solve(X, Slow(), LinearPrior(), [search(steps=4), BackProject()], progress=False)
        kept = caught.value.reconstruction
        assert [record.name for record in kept.stages] == ["csgm"]
        assert kept.image is kept.stages[0].image

    def test_from_the_progress_bar(self, monkeypatch):
        def stop(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("inverso.solver.tqdm.update", stop)
        with pytest.raises(InterruptedStage, match="stage 'csgm' was interrupted at step 1") as caught:
            solve(LinearPrior(), search(steps=9), progress=True)
        assert caught.value.reconstruction.image.shape == (3, *SHAPE)

    def test_the_answer_can_be_used_and_taken_up_again(self):
        stages = [search(steps=4), ImageAdaptive(steps=5)]
        with pytest.raises(InterruptedStage) as caught:
            solve(IsStopped(4 + 7), stages)
        kept = caught.value.reconstruction
        assert len(kept.plot().axes) == 3 * 3
        resumed = solve(LinearPrior(), [inverso.stages.Resume(kept.state), BackProject()])
        assert [record.name for record in resumed.stages] == ["csgm", "ia", "bp"]


class TestOtherErrors:
    def test_pass_as_they_are(self):
        with pytest.raises(LookupError, match="the network's own error"):
            solve(Breaks(3), search())

    def test_the_bar_is_closed(self, monkeypatch):
        closed, close = [], solver.tqdm.close

        def note(bar):
            closed.append(bar.desc.rstrip(": "))
            close(bar)

        monkeypatch.setattr(solver.tqdm, "close", note)
        with pytest.raises(LookupError) as caught:
            solve(Breaks(3), search(), progress=True)
        # The traceback keeps the bar alive, so that it was not closed by being thrown away.
        assert caught.tb is not None
        assert closed == ["csgm"]

    def test_the_global_random_state_is_put_back(self):
        before = torch.get_rng_state()
        with pytest.raises(LookupError):
            solve(Breaks(3), search())
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)

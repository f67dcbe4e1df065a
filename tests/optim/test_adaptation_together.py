"""Several images adapted at once give what they give one by one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from inverso._optim.adaptation import Adaptation
from inverso.operators import FFTMask, Identity, RandomMask
from inverso.priors import PGGAN
from inverso.stages import CSGM, DeepImagePrior, ImageAdaptive, Problem, State
from stages.toys import LinearPrior, energy, pictures, recording, small_dcgan, typical_noise

OPERATORS = {"one for all": RandomMask(0.5), "one each": RandomMask(0.5, seed=(0, 1, 2)), "FFT": FFTMask(0.5)}


def start(problem: Problem) -> State:
    return CSGM(steps=3, restarts=1)(problem, State())


def problem_of(prior, A, n=3) -> Problem:
    return Problem(A(pictures(n, image_shape=prior.image_shape)), A, prior)


@pytest.mark.parametrize("together", [2, 3, 5])
@pytest.mark.parametrize("name", OPERATORS)
def test_equals_one_by_one(name, together):
    problem = problem_of(small_dcgan().double(), OPERATORS[name])
    before = start(problem)
    ones, several = (ImageAdaptive(steps=5, together=count)(problem, before) for count in (1, together))
    torch.testing.assert_close(several.image, ones.image, rtol=0, atol=1e-9)
    torch.testing.assert_close(several.latent, ones.latent, rtol=0, atol=1e-9)
    torch.testing.assert_close(several.trace[-1].losses, ones.trace[-1].losses)
    assert several.weights.keys() == ones.weights.keys()
    for key, value in several.weights.items():
        torch.testing.assert_close(value, ones.weights[key], rtol=0, atol=1e-9)


def test_so_it_does_with_a_progressive_prior():
    prior = PGGAN(8, widths=(8, 8, 8)).double().eval().requires_grad_(requires_grad=False)
    problem = problem_of(prior, RandomMask(0.5), n=2)
    before = start(problem)
    ones, both = (ImageAdaptive(steps=3, together=count)(problem, before).image for count in (1, 2))
    torch.testing.assert_close(both, ones, rtol=0, atol=1e-9)


def test_so_does_the_deep_image_prior():
    problem = problem_of(small_dcgan(), RandomMask(0.5))
    ones, several = (
        DeepImagePrior(steps=4, network="prior", together=count)(problem, State()).image for count in (1, 3)
    )
    torch.testing.assert_close(several, ones, rtol=0, atol=1e-6)


def test_with_noise_each_image_stops_by_itself():
    prior, noise, x = LinearPrior(), 0.1, pictures(2)
    x[0] = prior(torch.zeros(1, 3, dtype=torch.float64)).detach()[0]
    y = x + typical_noise(x, noise)
    problem = Problem(y, Identity(), prior, noise=noise)
    far = State(latent=torch.full((2, 3), 0.5, dtype=torch.float64))
    ones, both = (ImageAdaptive(steps=400, lr=0.002, together=count)(problem, far) for count in (1, 2))
    taken = both.trace[-1].losses.isfinite().sum(dim=0)
    assert taken[0] != taken[1]
    torch.testing.assert_close(taken, ones.trace[-1].losses.isfinite().sum(dim=0))
    torch.testing.assert_close(both.image, ones.image, rtol=0, atol=1e-9)
    assert (energy(both.image - y) <= x[0].numel() * noise**2).all()


def test_progress_counts_the_steps_of_all_images():
    problem, calls = recording(problem_of(LinearPrior(), Identity()))
    ImageAdaptive(steps=4, together=2)(problem, start(problem))
    assert [call[1:3] for call in calls if call[0] == "ia"] == [(step, 12) for step in (2, 4, 6, 8, 9, 10, 11, 12)]


class TestMemory:
    @pytest.fixture
    def crowded(self, monkeypatch):
        """A machine whose memory holds two images; gives the sizes that were tried."""
        tried: list[int] = []
        adapt = Adaptation._adapt

        def fails_for_many(self, problem, latents, rows, run):
            tried.append(len(rows))
            if len(rows) > 2:
                raise torch.OutOfMemoryError
            return adapt(self, problem, latents, rows, run)

        monkeypatch.setattr(Adaptation, "_adapt", fails_for_many)
        return tried

    def test_halves_what_it_takes_at_once_when_memory_runs_out(self, crowded):
        problem = problem_of(LinearPrior(), Identity(), n=7)
        before = start(problem)
        answer = ImageAdaptive(steps=3, together=7)(problem, before)
        assert crowded == [7, 4, 2, 2, 2, 1]
        torch.testing.assert_close(answer.image, ImageAdaptive(steps=3, together=1)(problem, before).image)

    def test_one_image_that_does_not_fit_is_an_error(self, monkeypatch):
        def fails(*_: object) -> None:
            raise torch.OutOfMemoryError

        monkeypatch.setattr(Adaptation, "_adapt", fails)
        problem = problem_of(LinearPrior(), Identity(), n=3)
        with pytest.raises(torch.OutOfMemoryError):
            ImageAdaptive(steps=3, together=2)(problem, start(problem))


class TestHowMany:
    def adaptation(self, network) -> Adaptation:
        return Adaptation("ia", network, steps=1, lr=0.1, latent_lr=0.0)

    def on(self, device: str) -> Problem:
        return SimpleNamespace(y=SimpleNamespace(device=torch.device(device)))

    def test_one_on_a_cpu_all_on_a_gpu(self):
        prior = LinearPrior()
        latents = prior.sample_latent(4, seed=0).double()
        assert self.adaptation(prior)._at_once(self.on("cpu"), latents) == 1
        assert self.adaptation(prior)._at_once(self.on("cuda"), latents) == 4

    def test_one_where_the_network_looks_at_its_values(self):
        class Choosy(LinearPrior):
            def forward(self, z):
                return super().forward(z if bool(z.sum() > 0) else -z)

        prior = Choosy()
        assert self.adaptation(prior)._at_once(self.on("cuda"), prior.sample_latent(4, seed=0).double()) == 1

    @pytest.mark.parametrize("stage", [ImageAdaptive, DeepImagePrior])
    def test_refuses_none_at_once(self, stage):
        with pytest.raises(ValueError, match="together"):
            stage(together=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_device_all_at_once_equals_one_by_one():
    prior = small_dcgan().cuda()
    x = pictures(3, image_shape=prior.image_shape).to("cuda", torch.float32)
    problem = Problem(x, Identity(), prior.float())
    before = start(problem)
    ones, several = (ImageAdaptive(steps=3, together=count)(problem, before).image for count in (1, None))
    torch.testing.assert_close(several, ones, rtol=0, atol=1e-3)

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from inverso._random import stream
from inverso.operators import Identity, RandomMask
from inverso.priors import DCGAN, PGGAN, VAE, WrappedPrior
from inverso.stages import DeepImagePrior, InterruptedStage, Problem, State
from inverso.stages.deep_image_prior import _untrained
from stages.toys import LinearPrior, pictures


class Bare(nn.Module):
    """A layer that does not know how to start anew."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 6 * 24).reshape(6, 24))

    def forward(self, z):
        return (z @ self.matrix).reshape(-1, 1, 4, 6)


def layered() -> WrappedPrior:
    layers = nn.Sequential(
        nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 24), nn.Unflatten(1, (1, 4, 6))
    )
    return WrappedPrior(layers, 6)


NETWORKS = {
    "DCGAN": lambda: DCGAN(6, width=4, depth=1),
    "PGGAN": lambda: PGGAN(6, widths=(4, 4)),
    "VAE": lambda: VAE(6, hidden=6),
    "layers of torch": layered,
    "bare parameters": lambda: WrappedPrior(Bare(), 6),
    "weight norm": lambda: WrappedPrior(
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 24)), nn.Unflatten(1, (1, 4, 6))), 6
    ),
}


@pytest.fixture(params=NETWORKS)
def prior(request) -> WrappedPrior:
    return NETWORKS[request.param]().double().eval()


def fit(problem: Problem, before: State | None = None, **settings) -> State:
    """Fit an untrained copy of the prior."""
    return DeepImagePrior(network="prior", **settings)(problem, before or State())


class TestUntrained:
    def test_every_weight_tensor_has_lost_what_it_held(self, prior):
        fresh = dict(_untrained(prior, seed=0).named_parameters())
        learned = {name: value for name, value in prior.named_parameters() if value.ndim > 1 and value.numel() > 1}
        assert learned
        for name, value in learned.items():
            assert (fresh[name] != value).double().mean() > 0.9, name

    def test_images_of_ordinary_contrast_come_out(self, prior):
        with torch.no_grad():
            images = _untrained(prior, seed=0)(prior.sample_latent(8))
        assert images.isfinite().all()
        assert images.std() > 1e-3

    def test_the_trained_network_is_left_alone(self, prior):
        before = copy.deepcopy(prior.state_dict())
        _untrained(prior, seed=0)
        torch.testing.assert_close(prior.state_dict(), before, rtol=0, atol=0)

    def test_same_seed_same_bits(self, prior):
        first, second, third = (_untrained(prior, seed=seed).state_dict() for seed in (1, 1, 2))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert any(not torch.equal(first[name], third[name]) for name in first)

    def test_it_does_not_depend_on_the_global_state(self, prior):
        first = _untrained(prior, seed=1).state_dict()
        torch.rand(3)
        before = torch.get_rng_state()
        second = _untrained(prior, seed=1).state_dict()
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)

    def test_shuffling_keeps_the_scale(self):
        prior = WrappedPrior(Bare(), 6)
        fresh = _untrained(prior, seed=0).module.matrix
        torch.testing.assert_close(fresh.flatten().sort().values, prior.module.matrix.detach().flatten())

    def test_batch_norms_take_their_statistics_from_random_latents(self):
        prior = layered().eval()
        network = _untrained(prior, seed=0)
        norm = network.module[1]
        with torch.no_grad():
            features = network.module[0](prior.sample_latent(2000, seed=9))
        assert (norm.running_mean - features.mean(dim=0)).abs().max() < features.std(dim=0).max()
        torch.testing.assert_close(norm.running_var.mean(), features.var(dim=0).mean(), rtol=0.4, atol=0)
        assert not norm.training
        assert norm.momentum == prior.module[1].momentum

    def test_batch_norms_without_weights_or_statistics(self):
        layers = nn.Sequential(
            nn.BatchNorm1d(24, affine=False), nn.Unflatten(1, (1, 4, 6)), nn.BatchNorm2d(1, track_running_stats=False)
        )
        prior = WrappedPrior(layers, 24).eval()
        images = _untrained(prior, seed=0)(prior.sample_latent(2)).detach()
        assert images.shape == (2, 1, 4, 6)
        # The last layer gives what it normalizes mean 0 and variance 1, and [-1, 1] becomes [0, 1].
        assert float(images.mean()) == pytest.approx(0.5, abs=1e-5)
        assert float(images.var(correction=0)) == pytest.approx(0.25, abs=1e-2)


class TestStage:
    def test_fits_the_measured_pixels(self):
        A, prior = RandomMask(0.5), layered().double().eval()
        problem = Problem(A(pictures(2)), A, prior)
        state = fit(problem, steps=300, lr=0.01)
        losses = state.trace[0].losses
        assert state.trace[0].name == "dip"
        assert losses.shape == (300, 2)
        assert (problem.misfit(state.image) < 1e-3 * losses[0]).all()

    def test_what_the_layers_had_learned_has_no_influence(self):
        A = RandomMask(0.5)
        trained, other = layered().double().eval(), layered().double().eval()
        with torch.no_grad():
            for value in other.state_dict().values():
                value.mul_(-3)
        first, second = (
            DeepImagePrior(network="prior", steps=5)(Problem(A(pictures(1)), A, p), State()).image
            for p in (trained, other)
        )
        torch.testing.assert_close(first, second, rtol=0, atol=0)

    def test_uses_the_priors_own_rate_unless_one_is_given(self):
        slow, fast = LinearPrior(), LinearPrior()
        slow.adapt_lr, fast.adapt_lr = 1e-3, 1e-1
        falls = []
        for prior in (slow, fast):
            for lr in (None, 1e-2):
                losses = fit(Problem(pictures(1), Identity(), prior), steps=5, lr=lr).trace[0].losses
                falls.append(float(losses[-1] / losses[0]))
        assert falls[0] > falls[2]
        assert falls[1] == falls[3]

    def test_the_image_is_no_image_of_the_prior_so_latent_and_weights_stay(self):
        prior = LinearPrior()
        latent, weights = torch.ones(1, 3, dtype=torch.float64), {"weight": torch.ones(1)}
        before = State(image=pictures(1), latent=latent, weights=weights)
        after = DeepImagePrior(network="prior", steps=2)(Problem(pictures(1), Identity(), prior), before)
        assert after.latent is latent
        assert after.weights is weights
        assert not torch.equal(after.image, before.image)

    def test_a_network_without_weights_gives_its_image(self):
        prior = WrappedPrior(nn.Unflatten(1, (1, 4, 6)), 24, (0, 1))
        state = fit(Problem(pictures(2), Identity(), prior), steps=5)
        latent = prior.sample_latent(1, seed=stream(0, "latents")).double()
        torch.testing.assert_close(state.image, prior(latent).expand(2, -1, -1, -1))
        assert len(state.trace[0].losses) == 1

    def test_control_c_gives_the_best_so_far(self):
        def stop(*call):
            if call[1] == 4:
                raise KeyboardInterrupt

        y = pictures(1)
        with pytest.raises(InterruptedStage, match="stage 'dip' was interrupted at step 4") as caught:
            fit(Problem(y, Identity(), LinearPrior(), report=stop), steps=9)
        four = fit(Problem(y, Identity(), LinearPrior()), steps=4)
        torch.testing.assert_close(caught.value.failure.state.image, four.image, rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
            ({"lr": 0.0}, r"lr must be greater than 0, got 0\.0"),
        ],
    )
    def test_values_out_of_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            DeepImagePrior(**settings)


class TestHourglass:
    """The paper's network, at any size and without a prior."""

    @pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 9), (1, 4, 40), (3, 33, 16)])
    def test_any_size(self, shape):
        y = pictures(2, image_shape=shape)
        answer = DeepImagePrior(steps=2, width=8)(Problem(y, Identity()), State())
        assert answer.image.shape == y.shape
        assert ((answer.image > 0) & (answer.image < 1)).all()

    def test_fits_what_is_measured_and_an_image_gets_what_it_would_get_alone(self):
        A, x = RandomMask(0.7), pictures(2, image_shape=(1, 12, 14)).sigmoid()
        stage = DeepImagePrior(steps=60, width=16, average=0.0)
        both = stage(Problem(A(x), A), State())
        losses = both.trace[0].losses
        assert (losses[-1] < 0.05 * losses[0]).all()
        alone = stage(Problem(A(x[1:]), A), State())
        torch.testing.assert_close(alone.image[0], both.image[1], rtol=0, atol=0)

    def test_the_answer_is_the_mean_of_the_last_images(self):
        problem = Problem(pictures(1), Identity())
        plain = [DeepImagePrior(steps=k, width=8, average=0.0)(problem, State()) for k in (1, 2)]
        assert plain[1].trace[0].losses[1] < plain[1].trace[0].losses[0]
        mean = DeepImagePrior(steps=2, width=8, average=0.9)(problem, State()).image
        torch.testing.assert_close(mean, (plain[0].image + plain[1].image) / 2)

    def test_the_seed_decides(self):
        one, again, other = (
            DeepImagePrior(steps=1, width=8)(Problem(pictures(1), Identity(), seed=seed), State()).image
            for seed in (3, 3, 4)
        )
        torch.testing.assert_close(one, again, rtol=0, atol=0)
        assert not torch.allclose(one, other)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"network": "dcgan"}, "network must be 'hourglass' or 'prior', got 'dcgan'"),
            ({"average": 1.0}, r"average must be below 1, got 1\.0"),
            ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ],
    )
    def test_bad_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            DeepImagePrior(**settings)

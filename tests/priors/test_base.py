from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from inverso.priors import DCGAN, PGGAN, VAE, LatentPrior, StyleGAN2, WrappedPrior


def tiny_network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Unflatten(1, (3, 2, 2)))


PRIORS = {
    "DCGAN": lambda: DCGAN(8, width=4, depth=1),
    "PGGAN ptrblck": lambda: PGGAN(8, widths=(4, 4)),
    "PGGAN gan-zoo": lambda: PGGAN(8, widths=(4, 4), layout="gan-zoo"),
    "StyleGAN2": lambda: StyleGAN2(8, z_dim=8, w_dim=6, mapping_layers=2, channel_max=4),
    "VAE": lambda: VAE(8, hidden=6),
    "WrappedPrior": lambda: WrappedPrior(nn.Sequential(nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2))), 8),
}


@pytest.fixture(params=PRIORS)
def prior(request) -> LatentPrior:
    return PRIORS[request.param]().eval()


class TestEveryPrior:
    def test_it_is_a_prior(self, prior):
        assert isinstance(prior, LatentPrior)
        assert 0 < prior.adapt_lr <= 1e-3

    def test_images_have_the_announced_shape(self, prior):
        z = prior.sample_latent(3)
        images = prior(z)
        assert images.shape == (3, *prior.image_shape)
        torch.testing.assert_close(images[1:2], prior(z[1:2]), atol=1e-5, rtol=1e-5)

    def test_same_seed_same_bits(self, prior):
        torch.testing.assert_close(prior.sample_latent(2, seed=5), prior.sample_latent(2, seed=5), rtol=0, atol=0)
        assert not torch.equal(prior.sample_latent(2, seed=5), prior.sample_latent(2, seed=6))

    def test_a_generator_moves_on(self, prior):
        generator = torch.Generator().manual_seed(5)
        first, second = prior.sample_latent(2, seed=generator), prior.sample_latent(2, seed=generator)
        torch.testing.assert_close(first, prior.sample_latent(2, seed=5), rtol=0, atol=0)
        assert not torch.equal(first, second)

    def test_sampling_leaves_the_global_state(self, prior):
        before = torch.get_rng_state()
        prior.sample_latent(2)
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)

    def test_latents_follow_the_weights(self, prior):
        z = prior.sample_latent(2)
        doubled = prior.double().sample_latent(2)
        assert doubled.dtype == torch.float64
        torch.testing.assert_close(doubled, z.double(), rtol=0, atol=0)
        assert prior(doubled).dtype == torch.float64

    @pytest.mark.parametrize("n", [0, -3])
    def test_too_few_latents_are_refused(self, prior, n):
        with pytest.raises(ValueError, match=f"n must be an integer of at least 1, got {n}"):
            prior.sample_latent(n)

    @pytest.mark.parametrize("n", [True, 2.0, "2"])
    def test_counts_that_are_no_integers_are_refused(self, prior, n):
        with pytest.raises(TypeError, match="n must be an integer of at least 1"):
            prior.sample_latent(n)

    def test_bad_seeds_are_refused(self, prior):
        with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator"):
            prior.sample_latent(1, seed=0.5)

    @pytest.mark.parametrize("shape", [(8,), (2, 7), (2, 8, 1), (2, 8, 1, 1), (0, 8)])
    def test_latents_of_another_shape_are_refused(self, prior, shape):
        given = str(shape).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ValueError, match=rf"latent of shape {given} given, expected \(n, 8\) with n >= 1"):
            prior(torch.zeros(shape))

    def test_latents_of_another_type_are_refused(self, prior):
        with pytest.raises(TypeError, match=r"the latent must be a floating-point tensor, got torch\.int64"):
            prior(torch.zeros(2, 8, dtype=torch.long))
        with pytest.raises(TypeError, match="the latent must be a floating-point tensor, got list"):
            prior([[0.0] * 8])

    def test_latents_of_another_precision_than_the_weights_are_refused(self, prior):
        z = prior.sample_latent(2)
        with pytest.raises(TypeError, match=r"dtype of the weights, torch\.float32, got torch\.float64: pass z\.to\("):
            prior(z.double())
        with pytest.raises(TypeError, match=r"dtype of the weights, torch\.float64, got torch\.float32"):
            prior.double()(z)

    def test_it_can_be_called_with_other_weights(self, prior):
        z = prior.sample_latent(2)
        weights = {name: value.detach() * 0.5 for name, value in prior.named_parameters()}
        adapted = copy.deepcopy(prior)
        with torch.no_grad():
            for name, value in adapted.named_parameters():
                value.copy_(weights[name])
        torch.testing.assert_close(torch.func.functional_call(prior, weights, (z,)), adapted(z))

    def test_it_runs_with_private_weights_for_each_image(self, prior):
        z = prior.sample_latent(2)
        weights = {
            name: torch.stack([value.detach(), 0.5 * value.detach()]) for name, value in prior.named_parameters()
        }

        def one(own, latent):
            return torch.func.functional_call(prior, own, (latent[None],))[0]

        images = torch.func.vmap(one)(weights, z)
        for i in range(2):
            alone = one({name: value[i] for name, value in weights.items()}, z[i])
            torch.testing.assert_close(images[i], alone, atol=1e-5, rtol=1e-5)


def test_generators_elsewhere_are_refused():
    class Elsewhere(torch.Generator):
        device = torch.device("cuda")

    with pytest.raises(ValueError, match="seed must be an integer or a generator on the CPU, got one on cuda"):
        VAE(3, hidden=2).sample_latent(1, seed=Elsewhere())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_latents_are_the_same_on_every_device(prior):
    z = prior.sample_latent(2)
    moved = prior.cuda()
    torch.testing.assert_close(moved.sample_latent(2).cpu(), z, rtol=0, atol=0)
    assert moved(moved.sample_latent(2)).is_cuda


class TestGenerator:
    def test_the_range_is_mapped_and_not_clamped(self):
        module = nn.Unflatten(1, (1, 2, 2))
        z = torch.tensor([[0.0, 255.0, 127.5, 510.0]])
        image = WrappedPrior(module, 4, (0, 255))(z)
        torch.testing.assert_close(image.flatten(), torch.tensor([0, 1, 0.5, 2]))
        torch.testing.assert_close(WrappedPrior(module, 4)(z).flatten()[0], torch.tensor(0.5))
        torch.testing.assert_close(WrappedPrior(module, 4, (0.0, 1.0))(z).flatten(), z.flatten())

    def test_latents_may_have_any_shape(self):
        prior = WrappedPrior(nn.ConvTranspose2d(6, 3, 4), (6, 1, 1))
        assert prior.latent_shape == (6, 1, 1)
        assert prior.image_shape == (3, 4, 4)
        with pytest.raises(ValueError, match=r"given, expected \(n, 6, 1, 1\)"):
            prior(torch.zeros(2, 6))

    def test_the_probe_leaves_no_trace(self):
        class Noisy(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("calls", torch.zeros(()))

            def forward(self, x):
                self.calls += 1
                return x + torch.randn_like(x)

        network = tiny_network().train().append(Noisy())
        network[1].eval()
        state = copy.deepcopy(network.state_dict())
        modes = [child.training for child in network.modules()]
        before = torch.get_rng_state()
        assert WrappedPrior(network, 4).image_shape == (3, 2, 2)
        torch.testing.assert_close(dict(network.state_dict()), dict(state), rtol=0, atol=0)
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)
        assert [child.training for child in network.modules()] == modes
        assert True in modes
        assert False in modes
        assert all(weights.grad is None for weights in network.parameters())

    def test_a_given_image_shape_saves_the_probe(self):
        class Counting(nn.Unflatten):
            calls = 0

            def forward(self, x):
                self.calls += 1
                return super().forward(x)

        network = Counting(1, (1, 2, 2))
        prior = WrappedPrior(network, 4, image_shape=(1, 2, 2))
        assert network.calls == 0
        assert prior(prior.sample_latent(2)).shape == (2, 1, 2, 2)

    def test_a_wrong_image_shape_is_noticed(self):
        prior = WrappedPrior(nn.Unflatten(1, (1, 2, 2)), 4, image_shape=(1, 4, 4))
        with pytest.raises(
            ValueError, match=r"returned a tensor of shape \(2, 1, 2, 2\), expected a tensor of shape \(2, 1, 4, 4\)"
        ):
            prior(prior.sample_latent(2))

    def test_without_parameters_buffers_tell_device_and_dtype(self):
        network = nn.Unflatten(1, (1, 2, 2))
        assert WrappedPrior(network, 4).sample_latent(1).dtype == torch.float32
        network.register_buffer("scale", torch.ones((), dtype=torch.float64))
        prior = WrappedPrior(network, 4)
        assert prior.sample_latent(1).dtype == torch.float64
        assert prior.to("meta").sample_latent(1).is_meta

    def test_the_step_size_is_kept(self):
        assert WrappedPrior(tiny_network(), 4, adapt_lr=1e-4).adapt_lr == 1e-4

    def test_the_weight_of_the_latent_is_kept_and_a_priors_own_is_taken_over(self):
        assert WrappedPrior(tiny_network(), 4).latent_weight == LatentPrior.latent_weight
        assert WrappedPrior(tiny_network(), 4, latent_weight=0.1).latent_weight == 0.1
        normalizing = PRIORS["PGGAN ptrblck"]()
        assert (
            WrappedPrior(normalizing, normalizing.latent_shape, (0, 1)).latent_weight == normalizing.latent_weight == 0
        )
        with pytest.raises(ValueError, match="latent_weight must be at least 0, got -1"):
            WrappedPrior(tiny_network(), 4, latent_weight=-1)

    def test_it_prints_what_it_is(self):
        assert "latent_shape=(4,), image_shape=(3, 2, 2), value_range=(-1.0, 1.0)" in repr(
            WrappedPrior(tiny_network(), 4)
        )

    @pytest.mark.parametrize("module", [lambda z: z, nn.Linear, None])
    def test_what_is_no_module_is_refused(self, module):
        with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module, got (function|type|NoneType)"):
            WrappedPrior(module, 4)

    def test_a_failing_module_is_named_with_the_latent_tried(self):
        with pytest.raises(
            ValueError, match=r"the module fails on a latent of shape \(1, 5\): .* give the latent_shape"
        ):
            WrappedPrior(tiny_network(), 5)

    def test_a_failing_probe_leaves_the_train_mode(self):
        network = tiny_network().train()
        with pytest.raises(ValueError, match="the module fails"):
            WrappedPrior(network, 5)
        assert all(child.training for child in network.modules())

    @pytest.mark.parametrize(
        ("module", "found"),
        [
            (nn.Identity(), r"a tensor of shape \(1, 4\)"),
            (nn.Unflatten(1, (2, 2)), r"a tensor of shape \(1, 2, 2\)"),
        ],
    )
    def test_what_returns_no_images_is_refused(self, module, found):
        with pytest.raises(ValueError, match=rf"the module returned {found} for one latent, expected images \(1, C, H"):
            WrappedPrior(module, 4)

    def test_what_returns_several_things_is_refused(self):
        class Pair(nn.Module):
            def forward(self, z):
                return z, None

        with pytest.raises(ValueError, match="the module returned a tuple for one latent"):
            WrappedPrior(Pair(), 4)

    @pytest.mark.parametrize("value_range", [(1, -1), (0, 0)])
    def test_ranges_that_do_not_increase_are_refused(self, value_range):
        with pytest.raises(ValueError, match=r"value_range must be \(low, high\) with low < high, got"):
            WrappedPrior(tiny_network(), 4, value_range)

    @pytest.mark.parametrize("value_range", [(float("nan"), 1), (0, float("inf"))])
    def test_ranges_that_are_not_finite_are_refused(self, value_range):
        with pytest.raises(ValueError, match="value_range must be two numbers, got"):
            WrappedPrior(tiny_network(), 4, value_range)

    @pytest.mark.parametrize("value_range", [(0, 1, 2), (1,), 1])
    def test_ranges_of_another_form_are_refused(self, value_range):
        with pytest.raises(ValueError, match=r"value_range must be \(low, high\), got"):
            WrappedPrior(tiny_network(), 4, value_range)

    @pytest.mark.parametrize(("latent_shape", "error"), [(0, ValueError), ((4, -1), ValueError), ((4.0,), TypeError)])
    def test_bad_latent_shapes_are_refused(self, latent_shape, error):
        with pytest.raises(error, match="each size of latent_shape must be an integer of at least 1"):
            WrappedPrior(tiny_network(), latent_shape)

    @pytest.mark.parametrize("latent_shape", ["4", 4.0, None])
    def test_latent_shapes_of_another_type_are_refused(self, latent_shape):
        with pytest.raises(TypeError, match="latent_shape must be an integer or a tuple of integers, got"):
            WrappedPrior(tiny_network(), latent_shape)

    @pytest.mark.parametrize("adapt_lr", [0, -1.0])
    def test_bad_step_sizes_are_refused(self, adapt_lr):
        with pytest.raises(ValueError, match="adapt_lr must be greater than 0"):
            WrappedPrior(tiny_network(), 4, adapt_lr=adapt_lr)


def test_a_module_without_the_members_is_no_prior():
    assert not isinstance(nn.Linear(2, 2), LatentPrior)

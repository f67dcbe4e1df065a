from __future__ import annotations

import pytest
import torch

from inverso.networks.files import read_file
from inverso.priors import DCGAN
from inverso.priors.formats.gan_zoo import BaseConfig, read_dcgan
from inverso.priors.formats.readers import read_prior
from priors.golden import DATA, arrays, assert_same_gradient, assert_same_images, full_size, shapes


@pytest.fixture
def examples():
    return read_prior(DATA / "dcgan_examples_tiny_state.pth")


@pytest.fixture(scope="module")
def zoo_checkpoint():
    return read_file(DATA / "dcgan_zoo_tiny.pth", classes=[BaseConfig]).data


class TestExamplesLayout:
    def test_images_are_those_of_upstream(self, examples):
        golden = arrays("dcgan_examples_tiny")
        assert not examples.training
        assert_same_images(examples(golden["z"].flatten(1)), golden["img_eval"], atol=1e-5)

    def test_images_in_train_mode_are_those_of_upstream(self, examples):
        golden = arrays("dcgan_examples_tiny")
        assert_same_images(examples.train()(golden["z"].flatten(1)), golden["img_train"], atol=1e-5)

    def test_gradient_is_that_of_upstream(self, examples):
        golden = arrays("dcgan_examples_tiny")
        assert_same_gradient(examples, golden["z"].flatten(1), golden["cotangent"], golden["grad_z"].flatten(1))

    @pytest.mark.parametrize("last", [0, 2, 5, 8, 11])
    def test_features_are_those_of_upstream(self, examples, last):
        golden = arrays("dcgan_examples_tiny")
        features = examples.main[: last + 1](golden["z"])
        torch.testing.assert_close(features, golden[f"act_main_{last}"], atol=1e-5, rtol=1e-4)

    def test_sizes_are_read_off_the_shapes(self, examples):
        assert examples.config == {"latent_dim": 16, "width": 6, "channels": 3, "depth": 4}

    def test_names_are_those_of_upstream(self):
        prior = DCGAN.from_state_dict(full_size("dcgan_examples_64"))
        assert {name: value.shape for name, value in prior.state_dict().items()} == shapes("dcgan_examples_64")

    def test_files_without_step_counters_are_read(self, examples):
        state = {name: value for name, value in examples.state_dict().items() if "num_batches" not in name}
        z = examples.sample_latent(2)
        torch.testing.assert_close(DCGAN.from_state_dict(state)(z), examples(z), rtol=0, atol=0)

    def test_files_of_data_parallel_networks_are_read(self, examples):
        state = {f"module.{name}": value for name, value in examples.state_dict().items()}
        z = examples.sample_latent(2)
        torch.testing.assert_close(DCGAN.from_state_dict(state)(z), examples(z), rtol=0, atol=0)


class TestGanZooLayout:
    def test_averaged_weights_with_their_own_statistics_are_an_explicit_choice(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan(zoo_checkpoint, weights="avgG", statistics="avgG")
        assert_same_images(prior(golden["z"]), golden["img_avgG_eval"], atol=1e-5)

    def test_trained_weights_with_their_own_statistics_are_an_explicit_choice(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan(zoo_checkpoint, weights="netG", statistics="netG")
        assert_same_images(prior(golden["z"]), golden["img_netG_eval"], atol=1e-5)

    def test_train_mode_gives_what_upstream_samples(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan(zoo_checkpoint).train()
        assert_same_images(prior(golden["z"]), golden["img_avgG_train"], atol=1e-5)

    def test_default_is_averaged_weights_with_the_statistics_that_training_kept(self, zoo_checkpoint):
        prior = read_prior(DATA / "dcgan_zoo_tiny.pth")
        average, trained = zoo_checkpoint["avgG"], zoo_checkpoint["netG"]
        assert not prior.training
        torch.testing.assert_close(prior.main[0].weight.data, average["formatLayer.weight"])
        torch.testing.assert_close(prior.main[3].weight.data, average["main.convTranspose1.weight"])
        torch.testing.assert_close(prior.main[12].weight.data, average["main.outlayer.weight"])
        torch.testing.assert_close(prior.main[4].weight.data, average["main.batchNorm1.weight"])
        torch.testing.assert_close(prior.main[4].running_mean, trained["main.batchNorm1.running_mean"])
        torch.testing.assert_close(prior.main[10].running_var, trained["main.batchNorm3.running_var"])

    def test_without_an_average_the_trained_generator_is_taken(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan({"netG": zoo_checkpoint["netG"]})
        assert_same_images(prior(golden["z"]), golden["img_netG_eval"], atol=1e-5)


class TestFreshNetwork:
    def test_seed_decides_the_weights_and_the_global_state_does_not_move(self):
        before = torch.get_rng_state()
        first, again, other = (DCGAN(8, width=4, depth=2, seed=seed) for seed in (1, 1, 2))
        torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
        assert not torch.equal(first.main[0].weight, other.main[0].weight)
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)

    def test_weights_start_as_in_the_paper(self):
        prior = DCGAN(64, width=32, depth=3)
        assert prior.main[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert prior.main[1].weight.mean().item() == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize(("depth", "side"), [(1, 8), (2, 16), (3, 32)])
    def test_depth_decides_the_side(self, depth, side):
        prior = DCGAN(8, width=4, depth=depth, channels=1)
        assert prior(prior.sample_latent(2)).shape == (2, 1, side, side)
        assert prior.image_shape == (1, side, side)

    def test_a_state_dict_rebuilds_the_network(self):
        prior = DCGAN(8, width=4, depth=1).eval()
        z = prior.sample_latent(2)
        torch.testing.assert_close(DCGAN.from_state_dict(prior.state_dict())(z), prior(z), rtol=0, atol=0)

    def test_the_rebuilt_network_shares_no_memory(self):
        prior = DCGAN(8, width=4, depth=1)
        copy = DCGAN.from_state_dict(prior.state_dict())
        with torch.no_grad():
            copy.main[0].weight.zero_()
        assert prior.main[0].weight.abs().max() > 0

    @pytest.mark.parametrize("name", ["latent_dim", "width", "channels", "depth"])
    def test_bad_sizes_are_refused(self, name):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            DCGAN(**{name: 0})
        with pytest.raises(TypeError, match=f"{name} must be an integer of at least 1, got 1.5"):
            DCGAN(**{name: 1.5})

    def test_huge_depth_is_refused(self):
        with pytest.raises(ValueError, match=r"depth must be at most 10 \(images of side 4096\), got 11"):
            DCGAN(depth=11)


def test_other_width_patterns_are_refused_by_name():
    state = DCGAN(8, width=4, depth=2).state_dict()
    state["main.0.weight"] = torch.zeros(8, 12, 4, 4)
    with pytest.raises(ValueError, match=r"main.0.weight has shape \(8, 12, 4, 4\), expected \(8, 8, 4, 4\)"):
        DCGAN.from_state_dict(state)


def test_foreign_weights_are_refused():
    with pytest.raises(ValueError, match="the weights do not fit DCGAN: expected two or more transposed convolutions"):
        DCGAN.from_state_dict({"conv.weight": torch.zeros(1, 1, 4, 4)})

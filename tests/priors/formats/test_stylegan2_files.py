"""StyleGAN2 out of the files of both public implementations."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict

import pytest
import torch

from inverso.priors import StyleGAN2, load, save_prior
from inverso.priors._formats import stylegan2_rosinality
from inverso.priors._formats.pickled import load_pickle
from inverso.priors._formats.stylegan2_rosinality import read_rosinality
from priors.golden import DATA, arrays, assert_same_gradient, assert_same_images, full_size, shapes
from priors.stylegan2 import plain
from priors.stylegan2.files import Network, as_rosinality, dumps, generator, write_nvidia, write_rosinality

PICKLES = ("stylegan2_ada_tiny_stubsrc.pkl", "stylegan2_ada_tiny_stubsrc_proto4.pkl")


@pytest.fixture(scope="module")
def state():
    """A network of 256 px, as wide as a test allows: other widths at each resolution, other sizes of z and w."""
    return plain.random_state([9, 8, 8, 7, 6, 5, 4], z_dim=6, w_dim=5, layers=8, seed=4)


@pytest.fixture
def tiny():
    return plain.random_state([4, 3], z_dim=4, w_dim=5, layers=2, seed=5)


def expected_images(state, z, **settings):
    rows = [plain.style(state, one).expand(2 * len([n for n in state if "torgb.weight" in n]), -1) for one in z]
    return torch.stack([plain.synthesize(state, one, **settings) for one in rows])


class TestGoldenNVIDIA:
    @pytest.mark.parametrize("file", PICKLES)
    def test_the_weights_are_those_upstream_reads(self, file):
        expected = torch.load(DATA / "stylegan2_ada_tiny_state.pth", weights_only=True)
        found = load_pickle(DATA / file)["G_ema"].state_dict(max_bytes=10**6)
        assert len(found) == 77
        assert list(found) == list(expected)
        torch.testing.assert_close(found, dict(expected), atol=0, rtol=0)

    @pytest.mark.parametrize("file", [*PICKLES, "stylegan2_ada_tiny_state.pth"])
    def test_images(self, file):
        golden = arrays("stylegan2_ada_tiny")
        prior = load(DATA / file)
        assert type(prior) is StyleGAN2
        assert prior.config["conv_clamp"] == (256 if file in PICKLES else None)
        assert_same_images(prior(golden["z"]), golden["img_const"], atol=1e-5)


class TestGoldenRosinality:
    @pytest.fixture
    def golden(self):
        return arrays("stylegan2_rosinality_tiny")

    @pytest.fixture
    def prior(self):
        return load(DATA / "stylegan2_rosinality_tiny.pt")

    def test_sizes_and_mean(self, prior, golden):
        assert prior.config["widths"] == [16, 16, 12, 8]
        assert prior.num_ws == int(golden["n_latent"])
        torch.testing.assert_close(prior.mean_w, golden["latent_avg"], atol=0, rtol=0)

    def test_styles_and_images(self, prior, golden):
        torch.testing.assert_close(prior.map(golden["z"]), golden["w"], atol=1e-5, rtol=1e-4)
        assert_same_images(prior(golden["z"]), golden["img_fixednoise"], atol=1e-5)
        truncated = prior.in_space("z", psi=0.7)
        assert_same_images(truncated(golden["z"]), golden["img_fixednoise_trunc0.7"], atol=1e-5)
        styles = prior.map(golden["z"])[:, None].expand(-1, 8, -1)
        assert_same_images(prior.synthesize(styles, noise="none"), golden["img_zero_noise"], atol=1e-5)

    def test_images_in_w_plus_with_gradient(self, prior, golden):
        prior = prior.in_space("w+")
        assert_same_images(prior(golden["w_plus"]), golden["img_wplus_fixednoise"], atol=1e-5)
        assert_same_gradient(prior, golden["w_plus"], golden["cotangent"], golden["grad_w_plus"])


class TestOtherSizes:
    def test_the_files_made_here_have_upstream_s_names_and_shapes(self):
        """Full-size, so that what is tested below on narrow networks holds for those that people have."""
        widths = {256: [512] * 4 + [256, 128, 64], 1024: [512] * 4 + [512, 256, 128, 64, 32]}
        for name, size in {"256_cbase16384": 256, "1024_cbase32768": 1024}.items():
            made = plain.shapes(widths[size], z_dim=512, w_dim=512, layers=8)
            assert {key: torch.Size(shape) for key, shape in made.items()} == shapes(f"stylegan2_ada_{name}")
        for size, base in {256: 32768, 1024: 32768}.items():
            chosen = [min(base // side, 512) for side in (4, 8, 16, 32, 64, 128, 256, 512, 1024) if side <= size]
            made = plain.shapes(chosen, z_dim=512, w_dim=512, layers=8)
            translated = as_rosinality({key: torch.empty(shape, device="meta") for key, shape in made.items()})
            assert {key: value.shape for key, value in translated.items()} == shapes(f"stylegan2_rosinality_{size}_cm2")

    @pytest.mark.parametrize("size", [256, 1024])
    def test_full_size_networks_of_rosinality_fit(self, size, monkeypatch):
        # Without memory a value cannot be asked whether it is finite, so that the check is left out.
        monkeypatch.setattr(stylegan2_rosinality, "tensors", dict)
        state = full_size(f"stylegan2_rosinality_{size}_cm2")
        prior = read_rosinality({"g_ema": state, "latent_avg": torch.empty(512, device="meta")})
        with torch.device("meta"):
            assert prior.config == StyleGAN2(size).config

    def test_both_layouts_give_the_images_of_the_plain_network(self, state, tmp_path):
        write_nvidia(tmp_path / "a.pkl", state)
        write_rosinality(tmp_path / "b.pt", state)
        z = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
        expected = expected_images(state, z)
        assert expected.shape == (2, 3, 256, 256)
        for file in ("a.pkl", "b.pt"):
            prior = load(tmp_path / file)
            assert prior.image_shape == (3, 256, 256)
            assert_same_images(prior(z), expected, atol=1e-4)

    def test_they_can_be_saved_and_come_back(self, state, tmp_path):
        write_nvidia(tmp_path / "a.pkl", state, layers={"conv_clamp": 256})
        prior = load(tmp_path / "a.pkl").in_space("w+")
        save_prior(prior, tmp_path / "a.safetensors")
        again = load(tmp_path / "a.safetensors")
        assert again.config == prior.config
        w = prior.sample_latent(1)
        torch.testing.assert_close(again(w), prior(w), atol=0, rtol=0)

    @pytest.mark.parametrize("protocol", [3, 4, 5])
    def test_pickles_of_every_protocol(self, tiny, tmp_path, protocol):
        write_nvidia(tmp_path / "a.pkl", tiny, protocol=protocol)
        z = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
        assert_same_images(load(tmp_path / "a.pkl")(z), expected_images(tiny, z), atol=1e-4)

    def test_weights_in_half_precision(self, tiny, tmp_path):
        write_nvidia(tmp_path / "a.pkl", {name: value.half() for name, value in tiny.items()})
        assert {weights.dtype for weights in load(tmp_path / "a.pkl").parameters()} == {torch.float32}

    def test_gray_networks(self, tmp_path):
        state = plain.random_state([4, 3], z_dim=4, w_dim=5, layers=2)
        gray = {
            name: value[:1] if ".torgb." in name and "affine" not in name else value for name, value in state.items()
        }
        write_nvidia(tmp_path / "a.pkl", gray)
        write_rosinality(tmp_path / "b.pt", gray)
        assert load(tmp_path / "a.pkl").image_shape == load(tmp_path / "b.pt").image_shape == (1, 8, 8)


class TestClamp:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, None),
            ({"layers": {"conv_clamp": 256}}, 256),
            ({"layers": {"conv_clamp": None}, "_init_kwargs": {"conv_clamp": 256}}, None),
            ({"_init_kwargs": {"synthesis_kwargs": {"conv_clamp": 256}}}, 256),
            ({"_init_kwargs": {"synthesis_kwargs": {"channel_base": 16384}}}, None),
            ({"_init_kwargs": {"conv_clamp": 64, "channel_base": 16384}}, 64),
            ({"_init_kwargs": {"channel_base": 16384}}, 256),
            ({"_init_kwargs": {"fused_modconv_default": "inference_only"}}, 256),
            ({"_init_kwargs": []}, None),
        ],
    )
    def test_it_is_read_from_the_layers_or_the_settings(self, tiny, tmp_path, settings, expected):
        write_nvidia(tmp_path / "a.pkl", tiny, **settings)
        assert load(tmp_path / "a.pkl").config["conv_clamp"] == expected

    def test_it_is_applied(self, tiny, tmp_path):
        write_nvidia(tmp_path / "a.pkl", tiny, layers={"conv_clamp": 0.5})
        z = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
        expected = expected_images(tiny, z, clamp=0.5)
        assert not torch.allclose(expected, expected_images(tiny, z))
        assert_same_images(load(tmp_path / "a.pkl")(z), expected, atol=1e-4)

    @pytest.mark.parametrize("bound", ["256", True, [256]])
    def test_it_must_be_a_number(self, tiny, tmp_path, bound):
        write_nvidia(tmp_path / "a.pkl", tiny, layers={"conv_clamp": bound})
        with pytest.raises(ValueError, match=r"a\.pkl cannot be used: its conv_clamp is .*, where a number or None"):
            load(tmp_path / "a.pkl")

    def test_it_must_be_positive(self, tiny, tmp_path):
        write_nvidia(tmp_path / "a.pkl", tiny, layers={"conv_clamp": -1})
        with pytest.raises(ValueError, match=r"a\.pkl cannot be used: conv_clamp must be greater than 0"):
            load(tmp_path / "a.pkl")

    def test_it_must_be_the_same_everywhere(self, tiny, tmp_path):
        network = generator(tiny, layers={"conv_clamp": 256})
        network.child("synthesis").child("b8").child("conv1").attributes["conv_clamp"] = None
        (tmp_path / "a.pkl").write_bytes(dumps({"G_ema": network}))
        with pytest.raises(ValueError, match="its layers have different conv_clamp"):
            load(tmp_path / "a.pkl")


class TestUnsupportedNVIDIA:
    def refuse(self, path, payload, message):
        path.write_bytes(dumps(payload))
        with pytest.raises(ValueError, match=rf"trap\.pkl cannot be used: .*{message}"):
            load(path)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"layers": {"activation": "relu"}},
                r"its synthesis\.b4\.conv1\.activation is 'relu', of which only 'lrelu'",
            ),
            ({"layers": {"use_noise": False}}, r"its synthesis\.b4\.conv1\.use_noise is False, of which only True"),
            ({"layers": {"activation": []}}, r"activation is a list, of which"),
            ({"architecture": "orig"}, "its architecture is 'orig', of which only 'skip' is supported"),
        ],
    )
    def test_other_settings(self, tiny, tmp_path, settings, message):
        self.refuse(tmp_path / "trap.pkl", {"G_ema": generator(tiny, **settings)}, message)

    def test_other_rates_of_the_mapping(self, tiny, tmp_path):
        network = generator(tiny)
        network.child("mapping").child("fc1").attributes["bias_gain"] = 1.0
        self.refuse(tmp_path / "trap.pkl", {"G_ema": network}, r"its mapping\.fc1\.bias_gain is 1\.0, expected 0\.01")

    def test_other_filters(self, tiny, tmp_path):
        tiny["synthesis.b8.conv0.resample_filter"] = torch.ones(4, 4) / 16
        self.refuse(tmp_path / "trap.pkl", {"G_ema": generator(tiny)}, r"resample_filter is not that of \[1, 3, 3, 1\]")

    def test_networks_of_tensorflow(self, tmp_path):
        message = "it holds networks of the TensorFlow version of StyleGAN, .* exist for PyTorch"
        self.refuse(tmp_path / "trap.pkl", (Network(), Network(), Network()), message)

    def test_stylegan3(self, tmp_path):
        network = generator({"synthesis.input.weight": torch.zeros(2, 2), "mapping.fc0.weight": torch.zeros(2, 2)})
        self.refuse(tmp_path / "trap.pkl", {"G_ema": network}, "these are the weights of a StyleGAN3")

    def test_networks_with_labels(self, tiny, tmp_path):
        tiny["mapping.embed.weight"] = torch.zeros(5, 10)
        self.refuse(tmp_path / "trap.pkl", {"G_ema": generator(tiny, c_dim=10)}, r"trained with labels \(c_dim > 0\)")

    def test_networks_with_residual_blocks(self, tiny, tmp_path):
        tiny["synthesis.b8.skip.weight"] = torch.zeros(3, 4, 1, 1)
        self.refuse(tmp_path / "trap.pkl", {"G_ema": generator(tiny)}, "has residual blocks")

    def test_broken_weights(self, tiny, tmp_path):
        tiny["synthesis.b4.const"][0, 0, 0] = float("nan")
        self.refuse(tmp_path / "trap.pkl", {"G_ema": generator(tiny)}, r"its tensor 'synthesis\.b4\.const' holds NaN")

    def test_half_a_network(self, tiny, tmp_path):
        del tiny["synthesis.b8.conv1.weight"]
        self.refuse(tmp_path / "trap.pkl", {"G_ema": generator(tiny)}, r"missing synthesis\.b8\.conv1\.weight")


class TestVariantsOfRosinality:
    def test_files_of_a_training(self, tiny, tmp_path):
        """They hold the settings, the discriminator and the optimizers beside, and no mean style."""
        averaged = as_rosinality(tiny)
        last = {name: value + 1 for name, value in averaged.items()}
        moments = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.002, "params": [0]}]}
        data = {
            "g": last,
            "d": OrderedDict({"convs.0.0.weight": torch.zeros(2)}),
            "g_ema": averaged,
            "g_optim": moments,
            "d_optim": moments,
            "args": Namespace(path="photos", iter=800000, size=8),
            "ada_aug_p": 0.25,
        }
        torch.save(data, tmp_path / "550000.pt")
        prior = load(tmp_path / "550000.pt")
        z = prior.sample_latent(2)
        assert_same_images(prior(z), expected_images(tiny, z), atol=1e-4)
        torch.testing.assert_close(prior.mean_w, prior.estimate_mean_w(10_000), atol=0, rtol=0)

    def test_the_trained_generator_where_there_is_no_average(self, tiny, tmp_path):
        torch.save({"g": as_rosinality(tiny)}, tmp_path / "a.pt")
        z = load(tmp_path / "a.pt").sample_latent(1)
        assert_same_images(load(tmp_path / "a.pt")(z), expected_images(tiny, z), atol=1e-4)

    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_state_dicts_alone(self, tiny, tmp_path, prefix):
        torch.save({f"{prefix}{name}": value for name, value in as_rosinality(tiny).items()}, tmp_path / "a.pt")
        torch.save({"g_ema": torch.load(tmp_path / "a.pt", weights_only=True)}, tmp_path / "b.pt")
        z = torch.randn(1, 4, generator=torch.Generator().manual_seed(1))
        for file in ("a.pt", "b.pt"):
            assert_same_images(load(tmp_path / file)(z), expected_images(tiny, z), atol=1e-4)

    def test_means_with_a_dimension_more(self, tiny, tmp_path):
        torch.save({"g_ema": as_rosinality(tiny), "latent_avg": tiny["mapping.w_avg"][None]}, tmp_path / "a.pt")
        torch.testing.assert_close(load(tmp_path / "a.pt").mean_w, tiny["mapping.w_avg"], atol=0, rtol=0)

    def test_old_files_without_noise(self, tiny, tmp_path):
        old = {name: value for name, value in as_rosinality(tiny).items() if not name.startswith("noises.")}
        torch.save({"g_ema": old, "latent_avg": tiny["mapping.w_avg"]}, tmp_path / "a.pt")
        prior, again = load(tmp_path / "a.pt"), load(tmp_path / "a.pt")
        styles = prior.in_space("w+").sample_latent(1)
        silent = plain.synthesize(tiny, styles[0], noise=False)[None]
        assert_same_images(prior.synthesize(styles, noise="none"), silent, atol=1e-4)
        torch.testing.assert_close(prior.synthesize(styles), again.synthesize(styles), atol=0, rtol=0)
        assert not torch.equal(prior.synthesize(styles), prior.synthesize(styles, noise="none"))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"convs.99.conv.weight": torch.zeros(1, 2, 2, 3, 3)}, r"StyleGAN2 of rosinality.*unknown synthesis\.b"),
            ({"something.else": torch.zeros(2)}, r"unknown something\.else"),
            ({"convs.0.conv.weight": torch.zeros(1, 3, 4, 5, 5)}, r"synthesis\.b8\.conv0\.weight has shape"),
            ({"style.1.weight": 3}, "its entry 'style.1.weight' is a int"),
            ({"noises.noise_0": torch.full((1, 1, 4, 4), float("inf"))}, "holds NaN or infinity"),
        ],
    )
    def test_other_networks_are_refused(self, tiny, tmp_path, change, message):
        torch.save({"g_ema": as_rosinality(tiny) | change, "latent_avg": torch.zeros(5)}, tmp_path / "a.pt")
        with pytest.raises(ValueError, match=rf"a\.pt cannot be used: it looks like a .*{message}"):
            load(tmp_path / "a.pt")

    def test_means_of_another_length_are_refused(self, tiny, tmp_path):
        torch.save({"g_ema": as_rosinality(tiny), "latent_avg": torch.zeros(7)}, tmp_path / "a.pt")
        with pytest.raises(ValueError, match=r"mean_w has shape \(7,\), expected \(5,\)"):
            load(tmp_path / "a.pt")

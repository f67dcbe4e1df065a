from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inverso.priors import DCGAN, StyleGAN2, StylePrior
from priors.golden import DATA, arrays, assert_same_gradient, assert_same_images, full_size, shapes
from priors.stylegan2 import plain

SPACES = ("z", "w", "w+", "w++")


def tiny(**settings) -> StyleGAN2:
    return StyleGAN2(16, z_dim=7, w_dim=5, mapping_layers=2, widths=(6, 5, 4), **settings).eval()


@pytest.fixture(scope="module")
def upstream() -> StyleGAN2:
    state = torch.load(DATA / "stylegan2_ada_tiny_state.pth", weights_only=True)
    return StyleGAN2.from_state_dict(state, conv_clamp=256)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return arrays("stylegan2_ada_tiny")


class TestNVIDIA:
    def test_sizes_are_read_off_the_weights(self, upstream, golden):
        assert upstream.image_shape == (3, 32, 32)
        assert (upstream.z_dim, upstream.w_dim, upstream.filters) == (16, 16, 16)
        assert upstream.num_ws == int(golden["num_ws"])
        assert upstream.config["widths"] == [16, 16, 16, 8]
        assert not upstream.training

    def test_styles(self, upstream, golden):
        torch.testing.assert_close(upstream.map(golden["z"]), golden["w"], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(upstream.mean_w, golden["w_avg"], atol=0, rtol=0)

    def test_truncated_styles(self, upstream, golden):
        z = golden["z"]
        torch.testing.assert_close(upstream.in_space("z", psi=0.7).map(z), golden["w_psi0.7"], atol=1e-5, rtol=1e-4)
        halved = upstream.in_space("z", psi=0.5).map(z)
        first = golden["ws_psi0.5_cutoff4"][:, 0]
        torch.testing.assert_close(halved, first, atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize(
        ("psi", "name"), [(1.0, "img_const"), (1.0, "img_const_unfused"), (0.7, "img_psi0.7_const")]
    )
    def test_images(self, upstream, golden, psi, name):
        assert_same_images(upstream.in_space("z", psi=psi)(golden["z"]), golden[name], atol=1e-5)

    def test_images_without_noise(self, upstream, golden):
        styles = golden["w"][:, None].expand(-1, 8, -1)
        assert_same_images(upstream.synthesize(styles, noise="none"), golden["img_none"], atol=1e-5)

    def test_images_in_w_and_w_plus_with_gradients(self, upstream, golden):
        assert_same_images(upstream.in_space("w")(golden["w"]), golden["img_const"], atol=1e-5)
        prior = upstream.in_space("w+")
        assert_same_images(prior(golden["ws_plus"]), golden["img_plus_const"], atol=1e-5)
        assert_same_gradient(prior, golden["ws_plus"], golden["cotangent"], golden["grad_ws_plus"])

    @pytest.mark.parametrize("side", [4, 8, 16, 32])
    def test_features_and_image_after_each_block(self, upstream, golden, side):
        seen = {}
        block = upstream.synthesis.get_submodule(f"b{side}")
        handle = block.register_forward_hook(lambda *call: seen.update(x=call[2][0], image=call[2][1]))
        upstream(golden["z"])
        handle.remove()
        torch.testing.assert_close(seen["x"], golden[f"b{side}_x"], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(seen["image"], golden[f"b{side}_img"], atol=1e-5, rtol=1e-4)

    def test_images_loss_and_gradient_in_w_plus_plus(self, upstream):
        robust = arrays("robust_wpp_ngd")
        assert_same_images(upstream.in_space("w")(robust["W0"]), 2 * robust["img_W0"] - 1, atol=1e-5)
        assert_same_images(upstream.in_space("w+")(robust["Wp0"]), 2 * robust["img_Wp0"] - 1, atol=1e-5)
        prior = upstream.in_space("w++")
        repeated = robust["Wp0"][:, :, None].expand(-1, -1, 16, -1)
        assert_same_images(prior(repeated), 2 * robust["img_Wpp0"] - 1, atol=1e-5)
        latent = robust["wpp_first16"].requires_grad_()
        image = prior(latent)
        torch.testing.assert_close(image, robust["img_Wpp"], atol=1e-5, rtol=1e-4)
        loss = (image - robust["target"]).square().mean()
        torch.testing.assert_close(loss, robust["loss_Wpp_mse"], atol=1e-6, rtol=1e-4)
        loss.backward()
        torch.testing.assert_close(latent.grad, robust["grad_Wpp_first16"], atol=1e-6, rtol=1e-4)

    @pytest.mark.parametrize("name", ["256_cbase16384", "512_cbase32768", "1024_cbase32768"])
    def test_full_size_networks_fit(self, name):
        prior = StyleGAN2.from_state_dict(full_size(f"stylegan2_ada_{name}"))
        size, base = int(name.split("_")[0]), int(name.split("cbase")[1])
        with torch.device("meta"):
            fresh = StyleGAN2(size, channel_base=base)
        assert prior.config == fresh.config
        ours = {entry: value.shape for entry, value in fresh.state_dict().items()}
        theirs = {entry: shape for entry, shape in shapes(f"stylegan2_ada_{name}").items() if "resample" not in entry}
        theirs["mean_w"] = theirs.pop("mapping.w_avg")
        assert ours == theirs


class TestAgainstThePlainNetwork:
    """In float64, on sizes and settings that the golden network lacks."""

    @pytest.fixture
    def state(self):
        state = plain.random_state([7, 6, 9, 4], z_dim=6, w_dim=5, layers=3, seed=2)
        return {name: value.double() for name, value in state.items()}

    @staticmethod
    def check(images: Tensor, expected: list[Tensor]) -> None:
        torch.testing.assert_close(2 * images - 1, torch.stack(expected), atol=1e-10, rtol=1e-10)

    @pytest.mark.parametrize("clamp", [None, 0.5])
    @pytest.mark.parametrize("psi", [1.0, 0.4])
    def test_from_latents(self, state, clamp, psi):
        prior = StyleGAN2.from_state_dict(state, conv_clamp=clamp).in_space("z", psi=psi)
        z = prior.sample_latent(3)
        styles = [plain.style(state, one, psi=psi) for one in z]
        torch.testing.assert_close(prior.map(z), torch.stack(styles), atol=1e-10, rtol=1e-10)
        self.check(prior(z), [plain.synthesize(state, w.expand(8, 5), clamp=clamp) for w in styles])

    @pytest.mark.parametrize("shape", [(8, 5), (8, 9, 5)])
    @pytest.mark.parametrize("noise", ["const", "none"])
    def test_from_styles(self, state, shape, noise):
        prior = StyleGAN2.from_state_dict(state)
        styles = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        expected = [plain.synthesize(state, rows, noise=noise == "const") for rows in styles]
        self.check(prior.synthesize(styles, noise=noise), expected)


class TestSpaces:
    def test_shapes(self):
        prior = tiny()
        expected = {"z": (7,), "w": (5,), "w+": (6, 5), "w++": (6, 6, 5)}
        assert {space: prior.in_space(space).latent_shape for space in SPACES} == expected
        assert tiny(space="w+").latent_shape == (6, 5)

    @pytest.mark.parametrize("space", SPACES)
    def test_the_same_seed_gives_the_same_image_in_each(self, space):
        prior = tiny(psi=0.6).double()
        expected = prior(prior.sample_latent(2, seed=3))
        other = prior.in_space(space)
        latent = other.sample_latent(2, seed=3)
        assert latent.shape == (2, *other.latent_shape)
        assert latent.is_contiguous()
        assert not latent.requires_grad
        torch.testing.assert_close(other(latent), expected)

    def test_weights_are_shared_and_the_original_stays(self):
        prior = tiny()
        other = prior.in_space("w+", psi=0.5)
        assert (prior.space, prior.psi, prior.latent_shape) == ("z", 1.0, (7,))
        assert (prior.config["space"], other.config["space"], other.config["psi"]) == ("z", "w+", 0.5)
        mine, theirs = dict(prior.named_parameters()), dict(other.named_parameters())
        assert all(theirs[name] is weights for name, weights in mine.items())
        prior.double()
        assert other(other.sample_latent(1)).dtype == torch.float64

    def test_truncation_is_kept_unless_given(self):
        assert tiny(psi=0.3).in_space("w").psi == 0.3

    def test_no_truncation_left_is_the_mean_image(self):
        prior = tiny()
        prior.mean_w.copy_(prior.estimate_mean_w(100))
        mean = prior.in_space("w")(prior.mean_w[None])
        images = prior.in_space("z", psi=0)(prior.sample_latent(3))
        torch.testing.assert_close(images, mean.expand_as(images))

    def test_truncation_does_not_touch_styles_given(self):
        w = tiny().in_space("w").sample_latent(2)
        torch.testing.assert_close(tiny(space="w", psi=0.1)(w), tiny(space="w")(w), atol=0, rtol=0)

    def test_vectors_beyond_the_filters_of_a_layer_are_never_used(self):
        prior = tiny().in_space("w++")
        latent = prior.sample_latent(1).requires_grad_()
        (gradient,) = torch.autograd.grad(prior(latent).square().sum(), latent)
        used = gradient[0].abs().amax(dim=2) > 0
        # Rows: 6 filters at 4 px, then 3 colors beside the 5 of 8 px, 5 again, 3 beside 4, 4, and 3 colors.
        assert used.sum(dim=1).tolist() == [6, 5, 5, 4, 4, 3]
        assert all(bool(row[: int(count)].all()) for row, count in zip(used, used.sum(dim=1), strict=True))

    def test_style_spaces_are_told_by_the_class(self):
        assert isinstance(tiny(), StylePrior)
        assert not isinstance(DCGAN(8, width=4), StylePrior)

    @pytest.mark.parametrize("space", ["W", "w+++", "", None])
    def test_unknown_spaces_are_refused(self, space):
        with pytest.raises(ValueError, match=r"space must be one of 'z', 'w', 'w\+', 'w\+\+', got"):
            tiny().in_space(space)

    def test_bad_truncations_are_refused(self):
        with pytest.raises(ValueError, match="psi must be a number, got nan"):
            tiny(psi=float("nan"))
        with pytest.raises(TypeError, match="psi must be a number, got '1'"):
            tiny().in_space("z", psi="1")

    @pytest.mark.parametrize("space", SPACES)
    def test_latents_of_another_space_are_refused(self, space):
        other = tiny().in_space("w++" if space == "z" else "z")
        latent = tiny().in_space(space).sample_latent(2)
        with pytest.raises(ValueError, match=r"latent of shape \(2, .*\) given, expected \(n, .*\) with n >= 1"):
            other(latent)


class TestSynthesis:
    def test_random_noise_is_fresh_for_each_image_and_follows_the_generator(self):
        prior = noisy(tiny())
        styles = prior.in_space("w+").sample_latent(1).expand(2, -1, -1)

        def draw(seed):
            return prior.synthesize(styles, noise="random", generator=torch.Generator().manual_seed(seed))

        image = draw(0)
        torch.testing.assert_close(image, draw(0), atol=0, rtol=0)
        assert not torch.equal(image, draw(1))
        assert not torch.equal(image[0], image[1])
        generator = torch.Generator().manual_seed(0)
        first, second = (prior.synthesize(styles, noise="random", generator=generator) for _ in range(2))
        torch.testing.assert_close(first, image, atol=0, rtol=0)
        assert not torch.equal(first, second)

    def test_the_global_random_state_is_neither_read_nor_moved(self):
        before = torch.get_rng_state()
        prior = noisy(tiny())
        prior.synthesize(prior.in_space("w+").sample_latent(1), noise="random", generator=torch.Generator())
        prior.estimate_mean_w(10)
        torch.testing.assert_close(torch.get_rng_state(), before, atol=0, rtol=0)

    def test_the_image_depends_on_the_noise_as_its_strength_says(self):
        prior = tiny()
        styles = prior.in_space("w+").sample_latent(2)
        torch.testing.assert_close(prior.synthesize(styles), prior.synthesize(styles, noise="none"), atol=0, rtol=0)
        noisy(prior)
        assert not torch.equal(prior.synthesize(styles), prior.synthesize(styles, noise="none"))

    def test_filters_are_copied_for_each_image_in_w_plus_plus_only(self):
        """Otherwise a batch would take n times the weights' memory."""
        prior = StyleGAN2(4, z_dim=4, w_dim=4, mapping_layers=1, channel_max=32)

        def kept(space):
            held = []
            latent = prior.in_space(space).sample_latent(6).requires_grad_()
            with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.numel()) or t, lambda t: t):
                prior.in_space(space)(latent)
            return max(held)

        # The widest layer has 32 x 32 x 3 x 3 weights; features are smaller.
        assert kept("w+") == 32 * 32 * 9 < kept("w++") == 6 * 32 * 32 * 9

    def test_second_derivatives_exist(self):
        """The path length penalty of its training needs them."""
        prior = tiny().double()
        styles = prior.in_space("w+").sample_latent(2).requires_grad_()
        (gradient,) = torch.autograd.grad(prior.synthesize(styles).square().sum(), styles, create_graph=True)
        gradient.square().sum().backward()
        assert bool(prior.synthesis.b8.conv0.weight.grad.abs().sum() > 0)

    def test_styles_of_other_shapes_are_refused(self):
        message = r"styles of shape .* given, expected \(n, 6, 5\) or \(n, 6, 6, 5\) with n >= 1"
        for shape in [(2, 5), (2, 5, 5), (2, 6, 7, 5), (0, 6, 5), (6, 5)]:
            with pytest.raises(ValueError, match=message):
                tiny().synthesize(torch.zeros(shape))

    def test_styles_of_other_types_are_refused(self):
        with pytest.raises(TypeError, match=r"styles must be a floating-point tensor, got torch\.int64"):
            tiny().synthesize(torch.zeros(2, 6, 5, dtype=torch.long))
        with pytest.raises(TypeError, match="styles must be a floating-point tensor, got list"):
            tiny().synthesize([0.0])

    def test_noise_of_other_kinds_is_refused(self):
        with pytest.raises(ValueError, match="noise must be one of 'const', 'none', 'random', got 'fresh'"):
            tiny().synthesize(torch.zeros(1, 6, 5), noise="fresh")
        with pytest.raises(ValueError, match="noise='random' needs a generator, the other kinds take none"):
            tiny().synthesize(torch.zeros(1, 6, 5), noise="random")
        with pytest.raises(ValueError, match="needs a generator, the other kinds take none; got noise='const'"):
            tiny().synthesize(torch.zeros(1, 6, 5), generator=torch.Generator())

    def test_latents_are_checked_before_they_are_mapped(self):
        with pytest.raises(ValueError, match=r"latent of shape \(2, 5\) given, expected \(n, 7\)"):
            tiny(space="w").map(torch.zeros(2, 5))


def noisy(prior: StyleGAN2) -> StyleGAN2:
    """Give the noise of every layer some strength."""
    with torch.no_grad():
        for name, weights in prior.named_parameters():
            if name.endswith("noise_strength"):
                weights.fill_(0.5)
    return prior


class TestFreshWeights:
    def test_they_are_equalized(self):
        prior = StyleGAN2(16, z_dim=64, w_dim=64, mapping_layers=2, channel_max=64)
        for name, weights in prior.named_parameters():
            if name.endswith(".weight") and weights.numel() > 1000:
                expected = 100.0 if name.startswith("mapping.") else 1.0
                torch.testing.assert_close(float(weights.detach().std()), expected, rtol=0.05, atol=0)
        assert bool((prior.synthesis.b4.conv1.affine.bias == 1).all())
        assert bool((prior.mean_w == 0).all())

    def test_features_keep_their_scale(self):
        prior = StyleGAN2(32, z_dim=32, w_dim=32, channel_max=64)
        styles = prior.map(prior.sample_latent(16))
        assert 0.5 < float(styles.detach().std()) < 2
        image = prior(prior.sample_latent(4)).detach()
        assert 0.1 < float(image.std()) < 3

    def test_the_seed_decides(self):
        first, again, other = (tiny(seed=seed).state_dict() for seed in (1, 1, 2))
        torch.testing.assert_close(first, again, atol=0, rtol=0)
        assert not torch.equal(first["synthesis.b4.const"], other["synthesis.b4.const"])

    def test_channels_halve_with_each_resolution(self):
        with torch.device("meta"):
            assert StyleGAN2(1024).config["widths"] == [512] * 5 + [256, 128, 64, 32]
            assert StyleGAN2(256, channel_base=16384).config["widths"] == [512] * 4 + [256, 128, 64]
            assert StyleGAN2(64, channel_base=1024, channel_max=96).config["widths"] == [96, 96, 64, 32, 16]

    @pytest.mark.parametrize("size", [4, 8, 64])
    def test_rows_of_styles(self, size):
        prior = StyleGAN2(size, z_dim=4, w_dim=4, mapping_layers=1, channel_max=4, channels=1)
        assert prior.num_ws == {4: 2, 8: 4, 64: 10}[size]
        assert prior(prior.sample_latent(1)).shape == (1, 1, size, size)

    def test_every_layer_of_mapping_is_there(self):
        assert len(list(StyleGAN2(4, z_dim=4, w_dim=4, mapping_layers=5, channel_max=4).mapping.children())) == 5

    def test_it_prints_what_it_is(self):
        assert "latent_shape=(6, 5), image_shape=(3, 16, 16), space='w+', psi=0.5" in repr(tiny(space="w+", psi=0.5))

    @pytest.mark.parametrize("size", [0, 2, 48, 8192])
    def test_other_sizes_are_refused(self, size):
        with pytest.raises(ValueError, match=rf"size must be .*, got {size}"):
            StyleGAN2(size)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"z_dim": 0}, "z_dim must be an integer of at least 1, got 0"),
            ({"w_dim": -1}, "w_dim must be an integer of at least 1"),
            ({"mapping_layers": 0}, "mapping_layers must be an integer of at least 1"),
            ({"channels": 0}, "channels must be an integer of at least 1"),
            ({"channel_max": 0}, "channel_max must be an integer of at least 1"),
            ({"channel_base": 4}, "channel_base must be an integer of at least 8, got 4"),
            ({"widths": (4, 4, 4)}, "widths must have 2 entries for images of side 8, from 4 px on, got 3"),
            ({"widths": (4, 0)}, "each of widths must be an integer of at least 1"),
            ({"conv_clamp": 0}, "conv_clamp must be greater than 0"),
            ({"space": "y"}, "space must be one of"),
        ],
    )
    def test_bad_settings_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            StyleGAN2(8, **settings)

    @pytest.mark.parametrize("settings", [{"z_dim": 2.0}, {"conv_clamp": "256"}, {"widths": (4.0, 4)}, {"seed": 0.5}])
    def test_settings_of_another_type_are_refused(self, settings):
        with pytest.raises(TypeError, match="must be"):
            StyleGAN2(8, **{"z_dim": 4, "w_dim": 4, "widths": (4, 4)} | settings)


class TestMeanStyle:
    def test_it_is_the_mean_over_latents(self):
        prior = tiny()
        styles = prior.map(prior.sample_latent(500, seed=3))
        torch.testing.assert_close(prior.estimate_mean_w(500, seed=3), styles.mean(dim=0))

    def test_it_is_not_truncated_and_leaves_the_prior(self):
        prior = tiny(psi=0.1, space="w+")
        torch.testing.assert_close(prior.estimate_mean_w(50), tiny().estimate_mean_w(50))
        assert bool((prior.mean_w == 0).all())

    def test_it_is_estimated_where_a_state_dict_lacks_it(self):
        state = plain.random_state([4, 4], z_dim=4, w_dim=6, layers=2)
        mean = state.pop("mapping.w_avg")
        with torch.inference_mode():
            prior = StyleGAN2.from_state_dict(state)
        assert prior.mean_w.shape == mean.shape
        torch.testing.assert_close(prior.mean_w, prior.estimate_mean_w())
        prior.in_space("z", psi=0.5)(prior.sample_latent(2)).sum().backward()

    def test_bad_counts_are_refused(self):
        with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
            tiny().estimate_mean_w(0)


class TestOtherStateDicts:
    @pytest.fixture
    def state(self):
        return plain.random_state([4, 4], z_dim=4, w_dim=4, layers=2)

    def refuse(self, state, message):
        with pytest.raises(ValueError, match=message):
            StyleGAN2.from_state_dict(state)

    def test_missing_entries_are_named(self, state):
        del state["synthesis.b8.conv1.bias"]
        self.refuse(state, r"the weights do not fit StyleGAN2: missing synthesis\.b8\.conv1\.bias")

    @pytest.mark.parametrize("name", ["mapping.fc0.weight", "synthesis.b4.torgb.weight"])
    def test_entries_that_tell_the_sizes_are_needed(self, state, name):
        del state[name]
        self.refuse(state, rf"the weights do not fit StyleGAN2: '{name}' is missing")

    def test_gaps_among_the_resolutions_are_told(self, state):
        state["synthesis.b64.torgb.weight"] = state["synthesis.b8.torgb.weight"]
        self.refuse(state, r"'synthesis\.b16\.torgb\.weight' is missing")

    def test_entries_of_other_shapes_are_named(self, state):
        state["synthesis.b4.const"] = torch.zeros(4, 5, 5)
        self.refuse(state, r"synthesis\.b4\.const has shape \(4, 5, 5\), expected \(4, 4, 4\)")

    @pytest.mark.parametrize("name", ["synthesis.input.freqs", "synthesis.L0_36_512.weight"])
    def test_stylegan3_is_refused(self, state, name):
        self.refuse({**state, name: torch.zeros(1)}, "these are the weights of a StyleGAN3, which is another network")

    def test_networks_with_labels_are_refused(self, state):
        self.refuse({**state, "mapping.embed.weight": torch.zeros(4, 10)}, r"was trained with labels \(c_dim > 0\)")

    def test_networks_with_residual_blocks_are_refused(self, state):
        self.refuse({**state, "synthesis.b8.skip.weight": torch.zeros(4, 4, 1, 1)}, "has residual blocks")

from __future__ import annotations

import pytest
import torch

from inverso.priors import PGGAN
from inverso.priors._formats.readers import read_prior
from priors.golden import DATA, arrays, assert_same_gradient, assert_same_images, full_size, shapes

SMALL = {"latent_dim": 6, "widths": (8, 6, 4)}


@pytest.fixture(scope="module")
def ptrblck():
    return read_prior(DATA / "pggan_ptrblck_tiny_state.pth")


@pytest.fixture(scope="module")
def zoo():
    return read_prior(DATA / "pgan_zoo_tiny.pth")


class TestPtrblckLayout:
    def test_images_are_those_of_upstream(self, ptrblck):
        golden = arrays("pggan_ptrblck_tiny")
        assert_same_images(ptrblck(golden["z"].flatten(1)), golden["img"], atol=1e-5)

    def test_gradient_is_that_of_upstream(self, ptrblck):
        golden = arrays("pggan_ptrblck_tiny")
        assert_same_gradient(ptrblck, golden["z"].flatten(1), golden["cotangent"], golden["grad_z"].flatten(1))

    def test_features_are_those_of_upstream(self, ptrblck):
        golden = arrays("pggan_ptrblck_tiny")
        x = golden["z"]
        for i, block in enumerate(ptrblck.network.features):
            x = block(x)
            torch.testing.assert_close(x, golden[f"features_{i}"], atol=1e-5, rtol=1e-4)

    def test_sizes_are_read_off_the_shapes(self, ptrblck):
        assert ptrblck.latent_shape == (24,)
        assert ptrblck.image_shape == (3, 32, 32)
        assert ptrblck.config["widths"] == [24, 24, 16, 8]

    def test_weights_are_kept_as_stored(self, ptrblck):
        stored = torch.load(DATA / "pggan_ptrblck_tiny_state.pth", weights_only=True)
        torch.testing.assert_close(dict(ptrblck.network.state_dict()), dict(stored), rtol=0, atol=0)

    def test_the_scales_are_adapted_too(self, ptrblck):
        names = [name for name, _ in ptrblck.named_parameters()]
        assert "network.features.0.wscale.scale" in names
        assert all(weights.requires_grad for weights in ptrblck.parameters())


class TestGanZooLayout:
    def test_images_are_those_of_the_averaged_generator(self, zoo):
        golden = arrays("pgan_zoo_tiny")
        assert_same_images(zoo(golden["z"]), golden["img_avgG"], atol=2e-5)

    def test_gradient_is_that_of_upstream(self, zoo):
        golden = arrays("pgan_zoo_tiny")
        assert_same_gradient(zoo, golden["z"], golden["cotangent"], golden["grad_z"])

    def test_blending_is_that_of_upstream(self, zoo):
        golden = arrays("pgan_zoo_tiny")
        blended = PGGAN.from_state_dict(zoo.network.state_dict(), alpha=0.4)
        assert_same_images(blended(golden["z"]), golden["img_avgG_alpha0.4"], atol=2e-5)

    def test_first_layer_is_that_of_upstream(self, zoo):
        golden = arrays("pgan_zoo_tiny")
        spread = torch.nn.functional.leaky_relu(zoo.network.formatLayer(golden["act_latent_norm"]), 0.2)
        torch.testing.assert_close(spread, golden["act_format_lrelu"], atol=1e-5, rtol=1e-4)

    def test_older_names_mean_the_same(self, zoo):
        older = {name.replace(".module", ""): value for name, value in zoo.network.state_dict().items()}
        z = zoo.sample_latent(2)
        torch.testing.assert_close(PGGAN.from_state_dict(older)(z), zoo(z), rtol=0, atol=0)

    def test_tanh_bounds_the_image(self, zoo):
        bounded = PGGAN.from_state_dict(zoo.network.state_dict(), tanh=True)
        z = zoo.sample_latent(2)
        torch.testing.assert_close(bounded(z), ((2 * zoo(z) - 1).tanh() + 1) / 2)


@pytest.mark.parametrize(
    ("name", "layout", "side"),
    [
        ("pggan_ptrblck_1024", "ptrblck", 1024),
        ("pgan_zoo_128", "gan-zoo", 128),
        ("pgan_zoo_256", "gan-zoo", 256),
        ("pgan_zoo_512", "gan-zoo", 512),
    ],
)
def test_full_size_networks_have_the_names_and_shapes_of_the_published_ones(name, layout, side):
    prior = PGGAN.from_state_dict(full_size(name))
    assert {key: value.shape for key, value in prior.network.state_dict().items()} == shapes(name)
    assert prior.config["layout"] == layout
    assert prior.latent_shape == (512,)
    assert prior.image_shape == (3, side, side)


def test_default_sizes_are_those_of_the_official_network():
    with torch.device("meta"):
        prior = PGGAN()
    assert {key: value.shape for key, value in prior.network.state_dict().items()} == shapes("pggan_ptrblck_1024")
    assert sum(weights.numel() for weights in prior.parameters()) == 23_071_526


@pytest.mark.parametrize("layout", ["ptrblck", "gan-zoo"])
class TestFreshNetwork:
    def test_images_have_the_announced_shape(self, layout):
        prior = PGGAN(**SMALL, layout=layout, channels=1)
        assert prior(prior.sample_latent(2)).shape == (2, 1, 16, 16)

    def test_seed_decides_the_weights_and_the_global_state_does_not_move(self, layout):
        before = torch.get_rng_state()
        first, again, other = (PGGAN(**SMALL, layout=layout, seed=seed) for seed in (3, 3, 4))
        torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
        z = first.sample_latent(1)
        assert not torch.allclose(first(z), other(z))
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)

    def test_weights_have_unit_variance_and_features_too(self, layout):
        prior = PGGAN(64, widths=(64, 64), layout=layout)
        for name, weights in prior.named_parameters():
            if weights.ndim > 1 and weights.numel() > 4096:
                assert weights.std().item() == pytest.approx(1, abs=0.05), name
        assert 0.3 < (2 * prior(prior.sample_latent(64)) - 1).std().item() < 3

    def test_only_the_direction_of_the_latent_counts(self, layout):
        prior = PGGAN(**SMALL, layout=layout).double()
        z = prior.sample_latent(2)
        torch.testing.assert_close(prior(z), prior(7 * z), rtol=1e-5, atol=1e-6)

    def test_images_do_not_depend_on_their_neighbors(self, layout):
        prior = PGGAN(**SMALL, layout=layout).double()
        z = prior.sample_latent(3)
        torch.testing.assert_close(prior(z)[1:2], prior(z[1:2]))

    def test_one_resolution_is_enough(self, layout):
        assert PGGAN(4, widths=(5,), layout=layout).image_shape == (3, 4, 4)


def test_full_blending_shows_the_previous_resolution():
    prior = PGGAN(**SMALL, layout="gan-zoo", alpha=1.0)
    image = prior(prior.sample_latent(1))
    torch.testing.assert_close(image[..., ::2, ::2], image[..., 1::2, 1::2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, got 0"),
        ({"channels": -1}, "channels must be an integer of at least 1, got -1"),
        ({"widths": ()}, r"widths must have 1 to 11 entries \(images of side 4 to 4096\), got 0"),
        ({"widths": (2,) * 12}, "widths must have 1 to 11 entries .* got 12"),
        ({"widths": (4, 0)}, "each of widths must be an integer of at least 1, got 0"),
        ({"layout": "tensorflow"}, "layout must be one of 'ptrblck', 'gan-zoo', got 'tensorflow'"),
        ({"alpha": 0.5}, "alpha=0.5 needs the layout 'gan-zoo'"),
        ({"alpha": 0.5, "layout": "gan-zoo", "widths": (4,)}, "two widths or more"),
        ({"alpha": 1.5, "layout": "gan-zoo"}, r"alpha must lie in \[0, 1\], got 1.5"),
        ({"alpha": float("nan"), "layout": "gan-zoo"}, r"alpha must be a number in \[0, 1\], got nan"),
    ],
)
def test_bad_sizes_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PGGAN(**{**SMALL, **settings})


@pytest.mark.parametrize("settings", [{"latent_dim": 2.0}, {"widths": (4, True)}, {"channels": "3"}])
def test_sizes_that_are_no_integers_are_refused(settings):
    with pytest.raises(TypeError, match="must be an integer of at least 1"):
        PGGAN(**{**SMALL, **settings})


def test_foreign_weights_are_refused():
    with pytest.raises(ValueError, match="the weights do not fit PGGAN"):
        PGGAN.from_state_dict({"conv.weight": torch.zeros(1, 1, 3, 3)})


@pytest.mark.parametrize("layout", ["ptrblck", "gan-zoo"])
def test_incomplete_weights_are_refused_and_named(layout):
    state = PGGAN(**SMALL, layout=layout).network.state_dict()
    lost = list(state)[-1]
    del state[lost]
    with pytest.raises(ValueError, match=f"the weights do not fit PGGAN: .*{lost}"):
        PGGAN.from_state_dict(state)
    kernel = "features.3.conv.weight" if layout == "ptrblck" else "groupScale0.0.module.weight"
    state = {**PGGAN(**SMALL, layout=layout).network.state_dict(), kernel: torch.zeros(2, 2, 3, 3)}
    with pytest.raises(ValueError, match=rf"{kernel} has shape \(2, 2, 3, 3\), expected"):
        PGGAN.from_state_dict(state)

"""Single-image FID and diversity: values by hand, the inception stem against torch-fidelity's, refusals."""

import math

import numpy as np
import pytest
import torch

from inverso.errors import InversoError
from inverso.images.io import photo
from inverso.metrics import diversity, sifid
from inverso.metrics._inputs import INCEPTION_WEIGHTS
from inverso.metrics._patch_features import patch_features


@pytest.fixture
def x() -> torch.Tensor:
    return photo("coffee", size=48)


@pytest.fixture(scope="module")
def stem(tmp_path_factory):
    """The first layers of torch-fidelity's network with random weights, in a file of its layout."""
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d

    torch.manual_seed(0)
    layers = {
        "Conv2d_1a_3x3": BasicConv2d(3, 32, kernel_size=3, stride=2),
        "Conv2d_2a_3x3": BasicConv2d(32, 32, kernel_size=3),
        "Conv2d_2b_3x3": BasicConv2d(32, 64, kernel_size=3, padding=1),
    }
    for layer in layers.values():
        layer.bn.running_mean.normal_(std=0.1)
        layer.bn.running_var.uniform_(0.5, 1.5)
        torch.nn.init.uniform_(layer.bn.weight, 0.5, 1.5)
        torch.nn.init.normal_(layer.bn.bias, std=0.1)
        layer.eval()
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(
        {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()}, path
    )
    return torch.nn.Sequential(*layers.values()), path


def test_inception_features_are_those_of_torch_fidelity(x, stem):
    network, path = stem
    with torch.no_grad():
        expected = network((x * 255 - 128) / 128)[0].flatten(1).T
    (found,) = patch_features(x, kind="inception", weights=path)
    assert found.shape == (21 * 21, 64)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("features", ["inception", "random"])
def test_the_distance_is_that_of_the_fitted_normal_distributions(x, stem, features):
    other = photo("cat", size=40)
    score = sifid(other, x, features=features, weights=stem[1])
    a, b = (next(patch_features(image, kind=features, weights=stem[1])).double().numpy() for image in (other, x))
    # The trace of the root is the nuclear norm of the product of the centered features.
    first, second = ((cloud - cloud.mean(0)) / np.sqrt(len(cloud) - 1) for cloud in (a, b))
    overlap = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + (first**2).sum() + (second**2).sum() - 2 * overlap
    assert score.features == features
    assert score.mean == pytest.approx(expected, rel=1e-4)


def test_the_photo_itself_has_distance_zero_and_its_parts_a_small_one(x):
    blurred = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    score = sifid(torch.cat([x, x.flip(-1), x.roll(24, dims=-1), blurred, torch.rand_like(x)]), x, features="random")
    same, mirrored, rolled, soft, noise = score.distances.tolist()
    assert same == pytest.approx(0, abs=1e-5)
    assert same < rolled < mirrored < soft < noise
    assert score.mean == pytest.approx(sum((same, mirrored, rolled, soft, noise)) / 5)


def test_every_image_is_measured_alone_and_random_features_are_always_the_same(x):
    images = torch.cat([photo("cat", size=48), photo("rocket", size=48)])
    state = torch.random.get_rng_state()
    together = sifid(images, x, features="random").distances
    assert torch.equal(torch.random.get_rng_state(), state)
    alone = [sifid(image, x[0], features="random").distances for image in images]
    torch.testing.assert_close(together, torch.cat(alone))


def test_gray_images_are_measured_as_gray_in_three_channels(x):
    gray, other = x[:, :1], photo("cat", size=48)[:, :1]
    color = sifid(other.expand(-1, 3, -1, -1), gray.expand(-1, 3, -1, -1), features="random")
    torch.testing.assert_close(sifid(other, gray, features="random").distances, color.distances)


def test_auto_takes_inception_where_it_is_stored(x, stem, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert sifid(x, x).features == "random"
    stored = tmp_path / "hub" / "checkpoints" / INCEPTION_WEIGHTS.rpartition("/")[2]
    stored.parent.mkdir(parents=True)
    stored.write_bytes(stem[1].read_bytes())
    assert sifid(x, x).features == "inception"


def test_missing_and_broken_weights_are_named(x, tmp_path):
    with pytest.raises(InversoError, match=r'not stored here; fetch .*6726825d\.pth .* or take features="random"'):
        sifid(x, x, features="inception")
    with pytest.raises(FileNotFoundError, match=r"there is no weights file .*none\.pth"):
        sifid(x, x, weights=tmp_path / "none.pth")
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "broken.pth")
    with pytest.raises(InversoError, match=r"broken\.pth does not hold the inception network"):
        sifid(x, x, weights=tmp_path / "broken.pth")


def test_diversity_by_hand():
    """Three gray samples of two pixels: spreads sqrt(2/3) 0.1 and 0; the photo's is 0.25."""
    samples = torch.tensor([0.2, 0.7, 0.3, 0.7, 0.4, 0.7], dtype=torch.float64).reshape(3, 1, 1, 2)
    reference = torch.tensor([0.25, 0.75], dtype=torch.float64).reshape(1, 1, 2)
    assert diversity(samples, reference) == pytest.approx(math.sqrt(2 / 3) * 0.1 / 2 / 0.25)


def test_diversity_is_of_brightness(x):
    gray = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    samples = torch.cat([x, 0.5 * x, x.flip(-1)])
    expected = diversity((samples * gray).sum(1, keepdim=True), (x * gray).sum(1, keepdim=True))
    assert diversity(samples, x) == pytest.approx(expected)


def test_equal_samples_have_no_diversity_and_values_are_clamped(x):
    assert diversity(x.repeat(3, 1, 1, 1), x) == pytest.approx(0, abs=1e-6)
    samples = torch.cat([x + 2, x + 3])
    assert diversity(samples, x) == pytest.approx(0, abs=1e-6)


def test_too_few_samples_and_flat_photos_have_no_diversity(x):
    with pytest.raises(ValueError, match="diversity needs at least two samples, got 1"):
        diversity(x, x)
    with pytest.raises(ValueError, match="the photo has a constant brightness"):
        diversity(torch.cat([x, x]), torch.full_like(x, 0.5))


@pytest.mark.parametrize("metric", [sifid, diversity])
@pytest.mark.parametrize(
    ("images", "reference", "error", "message"),
    [
        (torch.rand(2, 1, 32, 32), torch.rand(1, 3, 32, 32), ValueError, "the same channels, got 1 and 3"),
        (torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32), ValueError, "there must be one photo, got 2"),
        (torch.rand(2, 2, 32, 32), torch.rand(1, 3, 32, 32), ValueError, r"images must have shape \(n, C, H, W\)"),
        (torch.rand(2, 3, 32, 32), torch.rand(1, 1, 3, 32, 32), ValueError, r"photo must have shape \(n, C, H, W\)"),
        (torch.full((2, 3, 32, 32), math.nan), torch.rand(3, 32, 32), ValueError, "images must be finite"),
        (torch.rand(2, 3, 32, 32), torch.zeros(3, 32, 32, dtype=torch.uint8), TypeError, "photo must be a floating"),
        (torch.rand(2, 3, 32, 32), torch.full((3, 32, 32), 200.0), ValueError, "photo must hold .* divide by 255"),
    ],
)
def test_bad_samples_are_refused(metric, images, reference, error, message):
    with pytest.raises(error, match=message):
        metric(images, reference)


def test_small_images_and_unknown_features_are_refused(x):
    with pytest.raises(ValueError, match="sifid needs images of at least 16 × 16 pixels, got 15 × 40"):
        sifid(torch.rand(1, 3, 15, 40), x)
    with pytest.raises(ValueError, match="sifid needs images of at least 16 × 16"):
        sifid(x, torch.rand(1, 3, 15, 40))
    with pytest.raises(ValueError, match="features must be 'auto', 'inception' or 'random', got 'vgg'"):
        sifid(x, x, features="vgg")

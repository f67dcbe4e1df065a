"""Metrics: hand-computed values, agreement with scikit-image, and plumbing of the networks without any download."""

import math
from urllib.error import URLError

import numpy as np
import pytest
import torch

from inverso.errors import InversoError
from inverso.images.io import photo
from inverso.metrics import fid, kid, lpips, perceptual, psnr, ssim


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.cat([photo("astronaut"), photo("cat"), photo("coffee")]).double()
    return (x + 0.1 * torch.randn_like(x)).clamp(0, 1), x


def test_psnr_of_a_known_error():
    reference = torch.full((2, 3, 4, 4), 0.5, dtype=torch.float64)
    x = reference + torch.tensor([0.1, 0.01], dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(psnr(x, reference), torch.tensor([20.0, 40.0], dtype=torch.float64))


def test_psnr_of_equal_images_is_infinite_and_one_image_needs_no_batch():
    x = torch.rand(3, 4, 4)
    assert psnr(x, x).tolist() == [math.inf]


def test_psnr_clamps_both_images():
    reference = torch.tensor([[[[1.3, -0.2]]]])
    x = torch.tensor([[[[7.0, 0.1]]]])
    torch.testing.assert_close(psnr(x, reference), -10 * torch.tensor([0.01 / 2]).log10())


def test_half_precision_is_measured_in_single_precision():
    x = torch.full((1, 1, 64, 64), 0.5, dtype=torch.float16)
    assert psnr(x + 0.25, x).dtype == torch.float32
    torch.testing.assert_close(psnr(x + 0.25, x), torch.tensor([-20 * math.log10(0.25)]))


def test_ssim_agrees_with_scikit_image(pair):
    from skimage.metrics import structural_similarity

    x, reference = pair
    expected = [
        structural_similarity(
            a.numpy(),
            b.numpy(),
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(x, reference, strict=True)
    ]
    torch.testing.assert_close(ssim(x, reference), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_ssim_of_a_single_image_and_of_equal_images():
    x = torch.rand(1, 11, 11)
    assert ssim(x, x).shape == (1,)
    torch.testing.assert_close(ssim(x, x), torch.ones(1))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_lpips_orders_images_without_pretrained_weights(net):
    x = photo("astronaut")
    near, far = x + 0.02 * torch.randn_like(x), x + 0.3 * torch.randn_like(x)
    distances = lpips(torch.cat([x, near, far]), x.expand(3, -1, -1, -1), net=net, pretrained=False)
    assert distances.shape == (3,)
    assert float(distances[0]) == 0
    assert 0 < float(distances[1]) < float(distances[2])


def test_lpips_is_cached_repeatable_and_leaves_random_state_alone():
    x, reference = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    perceptual.lpips_network.cache_clear()
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        first = lpips(x, reference, pretrained=False)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(lpips(x, reference, pretrained=False), first.clone())
    assert perceptual.lpips_network.cache_info().misses == 1
    perceptual.lpips_network.cache_clear()
    torch.testing.assert_close(lpips(x, reference, pretrained=False), first.clone())


def test_lpips_gray_is_gray_in_three_channels():
    x, reference = torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32)
    color = lpips(x.expand(-1, 3, -1, -1), reference.expand(-1, 3, -1, -1), pretrained=False)
    torch.testing.assert_close(lpips(x, reference, pretrained=False), color)


def test_lpips_offline_says_what_to_fetch(monkeypatch):
    def offline(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    perceptual.lpips_network.cache_clear()
    with pytest.raises(InversoError, match=r"LPIPS \(vgg\).*no network.*models/vgg16-397923af\.pth.*checkpoints"):
        lpips(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), net="vgg")


@pytest.mark.parametrize("metric", [psnr, ssim, lpips])
@pytest.mark.parametrize(
    ("x", "reference", "error", "message"),
    [
        (torch.rand(2, 3, 32, 32), torch.rand(1, 3, 32, 32), ValueError, "must have the same shape"),
        (torch.rand(1, 1, 3, 32, 32), torch.rand(1, 1, 3, 32, 32), ValueError, r"\(n, C, H, W\) or \(C, H, W\)"),
        (torch.full((1, 3, 32, 32), math.nan), torch.rand(1, 3, 32, 32), ValueError, "x must be finite"),
        (torch.rand(1, 3, 32, 32), torch.full((1, 3, 32, 32), math.inf), ValueError, "reference must be finite"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), torch.rand(3, 32, 32), TypeError, "divide 8-bit pixels by 255"),
        (torch.rand(32, 32), torch.rand(32, 32), ValueError, r"must have shape \(\.\.\., C, H, W\)"),
        (np.zeros((3, 32, 32)), torch.rand(3, 32, 32), TypeError, "x must be a torch.Tensor"),
    ],
)
def test_bad_pairs_are_refused(metric, x, reference, error, message):
    with pytest.raises(error, match=message):
        metric(x, reference)


def test_images_below_the_window_are_refused():
    small = torch.rand(1, 3, 10, 40)
    with pytest.raises(ValueError, match="ssim needs images of at least 11 × 11 pixels, got 10 × 40"):
        ssim(small, small)
    with pytest.raises(ValueError, match="lpips with alex needs images of at least 31 × 31"):
        lpips(small, small, pretrained=False)


def test_lpips_refuses_unknown_nets_and_channels():
    with pytest.raises(ValueError, match="net must be one of 'alex', 'vgg', 'squeeze', got 'resnet'"):
        lpips(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), net="resnet")
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        lpips(torch.rand(1, 2, 32, 32), torch.rand(1, 2, 32, 32), pretrained=False)


@pytest.fixture(scope="module")
def extractor() -> str:
    """Register mean and spread of each channel as features, which need no weights."""
    from torch_fidelity import FeatureExtractorBase, register_feature_extractor

    class Moments(FeatureExtractorBase):
        def __init__(self, name, features_list, **options):  # noqa: ARG002
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return ("6",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):  # noqa: ARG004
            return "6"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, pixels):
            assert pixels.dtype == torch.uint8
            channels = pixels.float().flatten(2) / 255
            return (torch.cat([channels.mean(dim=2), channels.std(dim=2)], dim=1),)

    name = "inverso-test-moments"
    register_feature_extractor(name, Moments)
    return name


def features(images: torch.Tensor) -> np.ndarray:
    channels = (images.clamp(0, 1) * 255).round().flatten(2).numpy().astype(np.float64) / 255
    return np.concatenate([channels.mean(axis=2), channels.std(axis=2, ddof=1)], axis=1)


def test_fid_is_the_frechet_distance_of_the_features(extractor):
    from scipy.linalg import sqrtm

    images, references = torch.rand(40, 3, 8, 8) * 1.2 - 0.1, torch.rand(30, 3, 12, 12) ** 2
    a, b = features(images), features(references)
    covariance_a, covariance_b = np.cov(a.T), np.cov(b.T)
    cross = np.trace(covariance_a + covariance_b - 2 * np.real(sqrtm(covariance_a @ covariance_b)))
    expected = float(np.sum((a.mean(0) - b.mean(0)) ** 2) + cross)
    state = torch.random.get_rng_state()
    assert fid(images, references, extractor=extractor) == pytest.approx(expected, rel=1e-3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_fid_of_equal_sets_is_zero(extractor):
    images = torch.rand(20, 3, 8, 8)
    assert fid(images, images, extractor=extractor) == pytest.approx(0, abs=1e-4)


def test_kid_is_the_unbiased_kernel_distance_of_the_features(extractor):
    images, references = torch.rand(12, 3, 8, 8), torch.rand(12, 3, 8, 8) ** 2
    a, b = features(images), features(references)

    def kernel(u, v):
        return (u @ v.T / u.shape[1] + 1) ** 3

    n = len(a)
    within = [(kernel(u, u).sum() - np.trace(kernel(u, u))) / (n * (n - 1)) for u in (a, b)]
    expected = sum(within) - 2 * kernel(a, b).mean()
    assert kid(images, references, extractor=extractor) == pytest.approx(expected, rel=1e-3)


def test_kid_subsets_follow_the_seed(extractor):
    images, references = torch.rand(12, 3, 8, 8), torch.rand(6, 3, 8, 8) ** 2
    first = kid(images, references, extractor=extractor, seed=1)
    assert kid(images, references, extractor=extractor, seed=1) == first
    assert kid(images, references, extractor=extractor, seed=2) != first


@pytest.mark.parametrize("metric", [fid, kid])
def test_sets_are_checked(metric, tmp_path):
    good = torch.rand(3, 3, 8, 8)
    with pytest.raises(ValueError, match=r"images must have shape \(n, 3, H, W\) with n >= 2, got \(1, 3, 8, 8\)"):
        metric(good[:1], good)
    with pytest.raises(ValueError, match=r"references must have shape .* got \(3, 1, 8, 8\)"):
        metric(good, good[:, :1])
    with pytest.raises(ValueError, match="references must be finite"):
        metric(good, good / 0)
    with pytest.raises(TypeError, match="images must be a floating-point image"):
        metric(good.byte(), good)
    with pytest.raises(FileNotFoundError, match=r"there is no weights file .*none\.pth.*inception"):
        metric(good, good, weights=tmp_path / "none.pth")


@pytest.mark.parametrize("metric", [fid, kid])
def test_sets_offline_say_what_to_fetch(metric, monkeypatch):
    def offline(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", offline)
    good = torch.rand(3, 3, 8, 8)
    with pytest.raises(
        InversoError, match=r"inception network.*no network.*weights-inception-2015-12-05-6726825d\.pth.*checkpoints"
    ):
        metric(good, good)


def test_kid_refuses_a_negative_seed():
    with pytest.raises(ValueError, match="seed must be an integer of at least 0"):
        kid(torch.rand(3, 3, 8, 8), torch.rand(3, 3, 8, 8), seed=-1)

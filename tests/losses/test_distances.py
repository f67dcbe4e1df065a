"""Distances by hand-computed values, image by image; LPIPS on a random network."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from inverso.errors import InversoError
from inverso.losses._distances import DISTANCES, LPIPS, absolute, edges, lpips_is_stored, squared
from inverso.metrics import lpips
from inverso.metrics.perceptual import lpips_network

RANDOM_LPIPS = LPIPS("squeeze", pretrained=False)


class TestPixels:
    def test_by_hand(self):
        x = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]], [[[2.0, 2.0], [2.0, 2.0]]]])
        zero = torch.zeros_like(x)
        assert squared(x, zero).tolist() == [10 / 4, 4]
        assert absolute(x, zero).tolist() == [1, 2]
        # Steps to the right 1 and 3, steps down 0 and 2; the second image has none.
        assert edges(x, zero).tolist() == [1 + 2 + 1, 2]

    @pytest.mark.parametrize("shape", [(1, 1, 1, 5), (1, 2, 5, 1), (1, 3, 1, 1)])
    def test_edges_of_a_single_row_or_column(self, shape):
        x = torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)
        steps = [x.diff(dim=side).abs().mean() for side in (-1, -2) if x.shape[side] > 1]
        torch.testing.assert_close(edges(x, torch.zeros_like(x))[0], x.mean() + sum(steps))


@pytest.mark.parametrize("name", DISTANCES)
class TestAll:
    def distance(self, name):
        return RANDOM_LPIPS if name == "lpips" else DISTANCES[name]

    def test_zero_on_equal_images_and_positive_on_others(self, name):
        x, other = torch.rand(2, 2, 3, 32, 32)
        assert self.distance(name)(x, x).tolist() == [0, 0]
        assert (self.distance(name)(other, x) > 0).all()

    def test_each_image_on_its_own(self, name):
        x, other = torch.rand(2, 3, 3, 32, 32)
        together = self.distance(name)(other, x)
        assert together.shape == (3,)
        torch.testing.assert_close(self.distance(name)(other[1:2], x[1:2])[0], together[1])

    def test_gradients_reach_the_image(self, name):
        x, target = torch.rand(1, 3, 32, 32, requires_grad=True), torch.rand(1, 3, 32, 32)
        self.distance(name)(x, target).sum().backward()
        assert x.grad.isfinite().all()
        assert x.grad.any()


class TestLPIPS:
    def test_it_is_the_metric_with_a_gradient(self):
        x, other = torch.rand(2, 2, 3, 32, 32)
        torch.testing.assert_close(RANDOM_LPIPS(x, other), lpips(x, other, net="squeeze", pretrained=False))

    def test_gray_is_gray_in_three_channels(self):
        x, other = torch.rand(2, 1, 1, 32, 32)
        color = RANDOM_LPIPS(x.expand(-1, 3, -1, -1), other.expand(-1, 3, -1, -1))
        torch.testing.assert_close(RANDOM_LPIPS(x, other), color)

    def test_other_channels_are_refused(self):
        x = torch.rand(1, 4, 32, 32)
        with pytest.raises(ValueError, match=r"images of 1 or 3 channels, got 4: choose another loss, such as 'edges'"):
            RANDOM_LPIPS(x, x)

    def test_an_unknown_network_is_refused(self):
        with pytest.raises(ValueError, match="net must be one of 'alex', 'vgg', 'squeeze', got 'resnet'"):
            LPIPS("resnet")

    def test_offline_it_says_what_to_fetch(self, monkeypatch):
        def offline(*args, **options):
            raise URLError("no network")

        monkeypatch.setattr("torch.hub.download_url_to_file", offline)
        lpips_network.cache_clear()
        x = torch.rand(1, 3, 32, 32)
        with pytest.raises(InversoError, match=r"LPIPS \(squeeze\).*no network.*models/squeezenet1_1-.*\.pth"):
            LPIPS("squeeze")(x, x)
        lpips_network.cache_clear()


class TestIsStored:
    def store(self) -> Path:
        weights = Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.touch()
        return weights

    def test_only_with_its_weights(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        assert not lpips_is_stored()
        weights = self.store()
        assert lpips_is_stored()
        weights.unlink()
        assert not lpips_is_stored()

    def test_asking_does_not_import_the_package(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        self.store()
        monkeypatch.delitem(sys.modules, "lpips", raising=False)
        lpips_is_stored()
        assert "lpips" not in sys.modules

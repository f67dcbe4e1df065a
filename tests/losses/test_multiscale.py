"""The multi-scale loss, against the code of Poirier-Ginter & Lalonde with a squared error in place of LPIPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from inverso.losses._distances import absolute, squared
from inverso.losses.multiscale import MultiScale

GOLDEN = Path(__file__).parents[1] / "data" / "robust_msloss_io.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Recorder:
    """A distance that keeps what it was given."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, image, target):
        self.calls.append((image, target))
        return squared(image, target)


class TestGolden:
    @pytest.mark.parametrize("side", [128, 48, 32, 16, 8])
    def test_sizes(self, golden, side):
        loss = MultiScale(squared)(golden[f"x{side}"], golden[f"y{side}"])
        torch.testing.assert_close(loss[0], golden[f"loss{side}"], rtol=1e-6, atol=1e-6)

    def test_mask(self, golden):
        known = interpolate(golden["mask64"], size=(128, 128), mode="area")
        x, y = golden["x128"] * known, golden["y128"] * known
        loss = MultiScale(squared)(x, y, known=known, seed=810)
        torch.testing.assert_close(loss[0], golden["loss128_masked_seed810"], rtol=1e-6, atol=1e-6)


class TestLevels:
    @pytest.mark.parametrize(
        ("side", "sides"), [(64, [64, 32]), (48, [48, 24]), (16, []), (17, [17]), (1024, [1024, 512, 256, 128, 64, 32])]
    )
    def test_they_are_halved_while_their_side_is_above_16(self, side, sides):
        recorder = Recorder()
        MultiScale(recorder)(torch.rand(1, 1, side, side), torch.rand(1, 1, side, side))
        assert [image.shape[-1] for image, _ in recorder.calls] == sides

    def test_the_shorter_side_counts(self):
        recorder = Recorder()
        MultiScale(recorder)(torch.rand(1, 1, 40, 200), torch.rand(1, 1, 40, 200))
        assert [tuple(image.shape[-2:]) for image, _ in recorder.calls] == [(40, 200), (20, 100)]

    def test_there_are_no_more_than_asked_for(self):
        recorder = Recorder()
        loss = MultiScale(recorder, levels=1, coarse_weight=0.0)
        x, y = torch.rand(2, 2, 3, 64, 64)
        torch.testing.assert_close(loss(x, y), squared(x, y))
        assert len(recorder.calls) == 1

    def test_what_is_left_counts_as_a_mean_of_absolute_values(self):
        x, y = torch.rand(2, 2, 3, 16, 16)
        torch.testing.assert_close(MultiScale(squared, coarse_weight=0.5)(x, y), 0.5 * absolute(x, y))

    def test_each_image_on_its_own(self):
        x, y = torch.rand(2, 3, 3, 32, 32)
        loss = MultiScale(squared)
        torch.testing.assert_close(loss(x[1:2], y[1:2])[0], loss(x, y)[1])


class TestHoles:
    def seen(self, *, seed=0, images=2):
        known = torch.zeros(1, 1, 64, 64)
        known[..., :32] = 1
        x, y = torch.rand(2, 2, 3, 64, 64)[:, :images] * known
        recorder = Recorder()
        MultiScale(recorder)(x, y, known=known, seed=seed)
        return x, y, recorder.calls

    def test_the_same_noise_stands_in_both_and_in_all_images_and_the_rest_is_as_it_was(self):
        x, y, calls = self.seen()
        (image, target), (half, half_target) = calls
        torch.testing.assert_close(image[..., :32], x[..., :32])
        torch.testing.assert_close(target[..., :32], y[..., :32])
        for left, right in ((image[..., 32:], target[..., 32:]), (half[..., 16:], half_target[..., 16:])):
            torch.testing.assert_close(left, right)
            torch.testing.assert_close(left[0], left[1])
        assert abs(float(image[..., 32:].mean()) - 0.25) < 0.05
        assert abs(float(image[..., 32:].std()) - 0.5) < 0.05

    def test_a_seed_decides_and_a_generator_moves_on(self):
        first, again, other = (self.seen(seed=seed, images=1)[2][0][0] for seed in (0, 0, 1))
        torch.testing.assert_close(first[..., 32:], again[..., 32:])
        assert not torch.equal(first[..., 32:], other[..., 32:])
        generator = torch.Generator().manual_seed(0)
        drawn = [self.seen(seed=generator, images=1)[2][0][0] for _ in range(2)]
        torch.testing.assert_close(drawn[0][..., 32:], first[..., 32:])
        assert not torch.equal(drawn[0][..., 32:], drawn[1][..., 32:])

    def test_the_global_random_state_stays(self):
        before = torch.get_rng_state()
        MultiScale(squared)(
            torch.rand(1, 1, 32, 32, generator=torch.Generator()),
            torch.zeros(1, 1, 32, 32),
            known=torch.zeros(1, 1, 32, 32),
        )
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"levels": -1}, "levels must be an integer of at least 0, got -1"),
            ({"smallest": 0}, "smallest must be an integer of at least 1, got 0"),
            ({"coarse_weight": -0.1}, "coarse_weight must be at least 0, got -0.1"),
        ],
    )
    def test_values_out_of_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            MultiScale(squared, **settings)

    def test_a_distance_must_be_a_function(self):
        with pytest.raises(TypeError, match=r"distance must be a function .*, such as .*edges, got str"):
            MultiScale("edges")

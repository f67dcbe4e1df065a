"""Losses by hand-computed values, and against pix2pixHD's."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from inverso.losses import _adversarial, _feature_matching, _regularizers, data

Loss = Callable[[Tensor, Tensor], Tensor]


class TestAdversarial:
    def test_minimax_and_non_saturating_losses_have_the_same_zero_sum_partner(self) -> None:
        fake = torch.tensor([0.3, -1.2], dtype=torch.float64)
        chance = torch.sigmoid(fake)
        torch.testing.assert_close(_adversarial.minimax_generator(fake), (1 - chance).log().mean())
        torch.testing.assert_close(_adversarial.non_saturating_generator(fake), -chance.log().mean())

    def test_least_squares(self) -> None:
        real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
        assert float(_adversarial.least_squares_discriminator(real, fake)) == 0.5 + 0.25
        assert float(_adversarial.least_squares_generator(fake)) == 0.25

    def test_several_discriminators_are_summed_or_the_best_is_taken(self) -> None:
        losses = [torch.tensor(1.0), torch.tensor(4.0), torch.tensor(2.0)]
        assert float(_adversarial.over_scales(losses)) == 7
        assert float(_adversarial.over_scales(losses, against="best")) == 4

    def test_only_the_best_discriminator_gets_a_gradient(self) -> None:
        losses = torch.tensor([1.0, 4.0], requires_grad=True)
        _adversarial.over_scales(list(losses), against="best").backward()
        assert losses.grad is not None
        assert losses.grad.tolist() == [0, 1]

    @pytest.mark.parametrize(("losses", "against"), [([], "sum"), ([torch.tensor(1.0)], "worst")])
    def test_unknown_ways_are_refused(self, losses: list[Tensor], against: str) -> None:
        with pytest.raises(ValueError, match="against must be 'sum' or 'best' of at least one loss"):
            _adversarial.over_scales(losses, against=against)


class TestPixels:
    @pytest.mark.parametrize(
        ("loss", "value"),
        [(data.squared_error, 12 * 0.25), (data.absolute_error, 12 * 0.5), (data.log_error, math.log(0.25 + 1e-6))],
    )
    def test_by_hand(self, loss: Loss, value: float) -> None:
        x = torch.zeros(2, 3, 2, 2, dtype=torch.float64)
        assert float(loss(x + 0.5, x)) == pytest.approx(value)

    @pytest.mark.parametrize("loss", [data.squared_error, data.absolute_error, data.log_error])
    def test_a_batch_counts_as_its_mean(self, loss: Loss) -> None:
        a, b = torch.rand(2, 4, 3, 5, 5, dtype=torch.float64)
        torch.testing.assert_close(loss(a, b), torch.stack([loss(a[i : i + 1], b[i : i + 1]) for i in range(4)]).mean())

    def test_the_log_error_is_psnr(self) -> None:
        from inverso.metrics import psnr

        a, b = torch.rand(2, 4, 3, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(-10 / math.log(10) * data.log_error(a, b, floor=0), psnr(a, b).mean())


class TestDetail:
    def test_by_hand(self) -> None:
        # Brightness that grows by the square of the column has a Laplacian of 2 everywhere.
        columns = torch.arange(6, dtype=torch.float64).square().expand(2, 3, 6, 6)
        assert float(data.detail_error(columns, torch.zeros_like(columns))) == pytest.approx(math.log(4 + 1e-6))

    def test_colors_that_are_wrong_everywhere_do_not_count(self) -> None:
        x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
        shifted = x + torch.tensor([0.2, -0.1, 0.05], dtype=torch.float64).reshape(3, 1, 1)
        assert float(data.detail_error(shifted, x)) == pytest.approx(math.log(1e-6))

    def test_half_of_the_contrast_counts_as_half_of_the_detail(self) -> None:
        x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
        none, half = (data.detail_error(share * x, x) for share in (0.0, 0.5))
        assert float(none - half) == pytest.approx(math.log(4), rel=1e-3)

    def test_photos_that_are_too_small_are_refused(self) -> None:
        with pytest.raises(ValueError, match="detail_error"):
            data.detail_error(torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2))


class TestCorrespondingPoints:
    def test_only_known_points_count_and_each_image_weighs_the_same(self) -> None:
        y, image = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
        known = torch.zeros(2, 1, 4, 4)
        known[0, 0, 0, 0] = 1
        known[1] = 1
        image[0, :, 1] = 9
        assert float(data.corresponding_point_error(image, y, known)) == 0.25
        assert float(data.corresponding_point_error(image, y, known, norm="l1")) == 0.5

    def test_nothing_known_is_no_error(self) -> None:
        x = torch.rand(1, 3, 4, 4)
        assert float(data.corresponding_point_error(x, 1 - x, torch.zeros(1, 1, 4, 4))) == 0

    def test_an_unknown_norm_is_refused(self) -> None:
        x = torch.rand(1, 3, 4, 4)
        with pytest.raises(ValueError, match="norm must be 'l2' or 'l1', got 'l3'"):
            data.corresponding_point_error(x, x, x[:, :1], norm="l3")


class TestFeatureMatching:
    def test_by_hand(self) -> None:
        real, fake = [[torch.zeros(2, 4)], [torch.zeros(2, 3)]], [[torch.ones(2, 4)], [torch.full((2, 3), -2.0)]]
        assert float(_feature_matching.feature_matching(real, fake)) == 1 + 2
        assert float(_feature_matching.feature_matching(real, fake, reduction="sum")) == 4 + 6

    def test_gradients_flow_into_the_restored_image_alone(self) -> None:
        real, fake = torch.zeros(1, 4, requires_grad=True), torch.ones(1, 4, requires_grad=True)
        _feature_matching.feature_matching([[real]], [[fake]]).backward()
        assert real.grad is None
        assert fake.grad is not None

    def test_layers_must_match(self) -> None:
        with pytest.raises(ValueError, match=r"as many layers, got \[1\] and \[2\]"):
            _feature_matching.feature_matching([[torch.ones(1)]], [[torch.ones(1)] * 2])
        with pytest.raises(ValueError, match="as many layers"):
            _feature_matching.feature_matching([], [])
        with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum', got 'max'"):
            _feature_matching.feature_matching([[torch.ones(1)]], [[torch.ones(1)]], reduction="max")


class TestBinarizing:
    def test_it_vanishes_on_signs_and_is_largest_at_zero(self) -> None:
        assert float(_regularizers.binarizing([torch.tensor([1.0, -1.0])])) == 0
        assert float(_regularizers.binarizing([torch.zeros(2), torch.zeros(2, 2)])) == 6

    def test_descent_with_clipping_ends_in_signs(self) -> None:
        weight = torch.tensor([0.3, -0.2, 0.9], requires_grad=True)
        for _ in range(100):
            (gradient,) = torch.autograd.grad(_regularizers.binarizing([weight]), weight)
            with torch.no_grad():
                weight -= 0.1 * gradient
            _regularizers.clip_weights([weight])
        assert weight.tolist() == [1, -1, 1]

    def test_no_weights_are_refused(self) -> None:
        with pytest.raises(ValueError, match="there are no weights"):
            _regularizers.binarizing([])

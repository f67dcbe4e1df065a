"""Restorers: sizes as in the papers, any image size, and what every one of them promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from inverso.restorers import MobileRestorer, RepairRestorer, Restorer, SlidesRestorer, UNetRestorer, XGANRestorer
from inverso.restorers.base import parameter_count
from inverso.restorers.unet import spread

SMALL: dict[str, Callable[..., Restorer]] = {
    "unet": lambda **given: UNetRestorer(width=8, middle=8, deep=8, refine=8, **given),
    "mobile": lambda **given: MobileRestorer(width=4, **given),
    "mobile resize": lambda **given: MobileRestorer(width=4, upsampling="resize", **given),
    "mobile dilated": lambda **given: MobileRestorer(width=4, dilation=2, **given),
    "x-gan": lambda **given: XGANRestorer(width=4, blocks=2, **given),
    "repair": lambda **given: RepairRestorer(width=8, middle=8, deep=8, refine=8, tones=8, **given),
    "slides": lambda **given: SlidesRestorer(width=16, **given),
    "slides in color": lambda **given: SlidesRestorer(width=16, channels=3, pool="average", shortcut=True, **given),
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
class TestEveryRestorer:
    @pytest.mark.parametrize("size", [(64, 64), (32, 48), (33, 47), (17, 70)])
    def test_images_of_any_size_are_restored_as_if_mirrored_at_their_border(
        self, make: Callable[..., Restorer], size: tuple[int, int]
    ) -> None:
        restorer, y = make().double().eval(), torch.rand(2, 3, *size, dtype=torch.float64)
        below, beside = -size[0] % restorer.multiple, -size[1] % restorer.multiple
        taller = torch.cat([y, y[..., -1 - below : -1, :].flip(-2)], dim=-2)
        larger = torch.cat([taller, taller[..., -1 - beside : -1].flip(-1)], dim=-1)
        torch.testing.assert_close(restorer(y), restorer(larger)[..., : size[0], : size[1]])

    def test_an_image_s_answer_does_not_depend_on_its_neighbors(self, make: Callable[..., Restorer]) -> None:
        restorer, y = make().double().eval(), torch.rand(3, 3, 32, 32, dtype=torch.float64)
        torch.testing.assert_close(restorer(y)[1:2], restorer(y[1:2]))

    def test_the_seed_decides_the_weights_and_no_randomness_moves(self, make: Callable[..., Restorer]) -> None:
        before = torch.random.get_rng_state()
        one, same, other = (make(seed=seed).state_dict() for seed in (1, 1, 2))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert any(not torch.equal(one[name], other[name]) for name in one)

    def test_the_settings_rebuild_it(self, make: Callable[..., Restorer]) -> None:
        restorer = make(seed=3)
        again = type(restorer)(**restorer.config)
        again.load_state_dict(restorer.state_dict())
        y = torch.rand(1, 3, 32, 32)
        torch.testing.assert_close(again.eval()(y), restorer.eval()(y), rtol=0, atol=0)

    def test_every_weight_is_reached_by_the_gradient(self, make: Callable[..., Restorer]) -> None:
        restorer = make().double()
        y = torch.rand(2, 3, 32, 32, dtype=torch.float64)
        restorer(y).square().sum().backward()
        # Instance norm takes away what an offset adds, and batch norm likewise.
        dead = [n for n, p in restorer.named_parameters() if p.ndim > 1 and (p.grad is None or not bool(p.grad.any()))]
        assert dead == []

    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 4, 32)])
    def test_what_is_no_color_image_is_refused(self, make: Callable[..., Restorer], shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"takes floating-point color images \(n, 3, H, W\) of at least \d+ × \d+"):
            make()(torch.rand(shape))

    def test_bytes_are_refused(self, make: Callable[..., Restorer]) -> None:
        with pytest.raises(ValueError, match=r"got torch\.uint8 of shape"):
            make()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


class TestPaperSizes:
    PRINTED = 4_366_595

    def test_the_mobile_generator_has_the_printed_number_of_parameters(self) -> None:
        assert parameter_count(MobileRestorer()) == self.PRINTED

    def test_its_variants_have_as_many(self) -> None:
        assert parameter_count(MobileRestorer(upsampling="resize")) == self.PRINTED
        assert parameter_count(MobileRestorer(dilation=2)) == self.PRINTED

    def test_ours_is_no_larger(self) -> None:
        assert parameter_count(UNetRestorer()) <= self.PRINTED

    def test_layers_are_those_of_the_text(self) -> None:
        kernels = [
            (type(m).__name__, m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0])
            for m in MobileRestorer().modules()
            if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        assert kernels == [
            ("Conv2d", 3, 64, 5, 2),
            ("Conv2d", 64, 256, 5, 2),
            *[("Conv2d", 256, 256, 3, 1)] * 6,
            ("ConvTranspose2d", 256, 64, 5, 2),
            ("ConvTranspose2d", 64, 3, 3, 2),
        ]

    def test_the_x_gan_has_three_strided_convolutions_and_nine_blocks_with_dropout(self) -> None:
        with torch.device("meta"):
            network = XGANRestorer()
        strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
        dropouts = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
        assert (len(strided), dropouts) == (3, [0.5] * 9)


def test_mobile_images_lie_between_0_and_1() -> None:
    for restorer in (MobileRestorer(width=4), XGANRestorer(width=4, blocks=1)):
        image = restorer(10 * torch.randn(2, 3, 32, 32)).detach()
        assert 0 <= float(image.min())
        assert float(image.max()) <= 1


class TestUNet:
    def test_pixels_that_are_held_to_be_right_are_copied(self) -> None:
        restorer = UNetRestorer(width=8, middle=8, deep=8, refine=8)
        y = torch.rand(1, 3, 16, 16)
        with torch.no_grad():
            restorer.trunk.leave.weight.zero_()
            restorer.leave.weight.zero_()
            restorer.trunk.leave.bias[12:].fill_(40)
            torch.testing.assert_close(restorer(y), y)
            restorer.trunk.leave.bias[12:].fill_(-40)
            assert not torch.allclose(restorer(y), y, atol=0.05)

    def test_what_it_explains_is_what_it_answers(self) -> None:
        restorer, y = UNetRestorer(width=8, middle=8, deep=8, refine=8), torch.rand(2, 3, 16, 24)
        told = restorer.explain(y)
        torch.testing.assert_close(told.image, restorer(y), rtol=0, atol=0)
        shapes = [tuple(part.shape) for part in told[1:]]
        assert shapes == [(2, 3, 16, 24), (2, 1, 16, 24), (2, 1, 16, 24)]

    def test_the_channels_of_the_attention_must_divide_into_heads(self) -> None:
        with pytest.raises(ValueError, match="deep must be divisible by 4, the heads of the attention, got 6"):
            UNetRestorer(deep=6)


class TestSpread:
    def test_known_values_are_kept(self) -> None:
        values, weight = torch.rand(1, 3, 16, 16), (torch.rand(1, 1, 16, 16) > 0.6).float()
        torch.testing.assert_close(spread(values, weight) * weight, values * weight)

    def test_a_constant_is_found_from_few_points(self) -> None:
        weight = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
        weight[..., 3::8, 5::8] = 1
        values = torch.where(weight > 0, 0.7, 123.0).expand(1, 3, -1, -1)
        torch.testing.assert_close(spread(values, weight), torch.full((1, 3, 16, 16), 0.7, dtype=torch.float64))

    def test_unknown_values_do_not_matter(self) -> None:
        values, weight = torch.rand(1, 3, 16, 16), (torch.rand(1, 1, 16, 16) > 0.6).float()
        other = torch.where(weight > 0, values, 50.0)
        torch.testing.assert_close(spread(values, weight), spread(other, weight))

    def test_nothing_known_gives_zero_and_finite_gradients(self) -> None:
        weight = torch.zeros(1, 1, 8, 8, requires_grad=True)
        filled = spread(torch.rand(1, 3, 8, 8), weight)
        assert not bool(filled.any())
        filled.sum().backward()
        assert weight.grad is not None
        assert bool(weight.grad.isfinite().all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MobileRestorer(width=0), "width must be an integer of at least 1, got 0"),
        (lambda: MobileRestorer(upsampling="cubic"), "upsampling must be 'transposed' or 'resize', got 'cubic'"),
        (lambda: XGANRestorer(blocks=0), "blocks must be an integer of at least 1"),
        (lambda: XGANRestorer(dropout=1.0), r"dropout must lie in \[0, 1\), got 1.0"),
        (lambda: UNetRestorer(refine=0), "refine must be an integer of at least 1"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Restorer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

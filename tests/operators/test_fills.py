"""What a person sees in the missing places, and no solver does."""

from __future__ import annotations

import pytest
import torch

from inverso.operators import BoxMask, Clutter, ColorNoise, Identity, Mask, RandomColor, RandomMask, White, stack

LOST = BoxMask((2, 3), corner=(1, 0))


def black(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def test_white_by_default():
    y = LOST.measure(black(1, 3, 4, 4))
    expected = black(1, 3, 4, 4)
    expected[..., 1:3, 0:3] = 1
    torch.testing.assert_close(y, expected, atol=0, rtol=0)


def test_noise_spares_the_fill():
    y = LOST.measure(black(1, 3, 4, 4), noise=0.5)
    torch.testing.assert_close(y[..., 1:3, 0:3], torch.ones(1, 3, 2, 3, dtype=torch.float64), atol=0, rtol=0)
    assert bool((y[..., 0, :] != 0).all())


@pytest.mark.parametrize("A", [ColorNoise(0.25), RandomMask(0.25, fill=RandomColor())], ids=repr)
def test_random_colors_are_uniform_and_independent(A):
    y = A.measure(black(1, 3, 64, 64))
    paint = y[(A.restrict(torch.ones_like(y)) == 0)]
    assert len(paint) == 3 * 0.75 * 64 * 64
    assert float(paint.min()) >= 0
    assert float(paint.max()) <= 1
    assert float(paint.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(paint.var()) == pytest.approx(1 / 12, rel=0.05)
    channels = paint.reshape(3, -1)
    assert float(torch.corrcoef(channels).fill_diagonal_(0).abs().max()) < 0.05


def test_random_colors_follow_the_seed_of_the_measurement():
    A, x = ColorNoise(0.5), black(1, 3, 8, 8)
    torch.testing.assert_close(A.measure(x, seed=1), A.measure(x, seed=1), atol=0, rtol=0)
    assert not torch.equal(A.measure(x, seed=1), A.measure(x, seed=2))


class TestClutter:
    photo = torch.rand(3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize("batched", [False, True])
    def test_a_photo_of_the_same_size_shows_through_the_hole(self, batched):
        fill = Clutter(self.photo[None] if batched else self.photo)
        y = BoxMask((2, 3), corner=(1, 0), fill=fill).measure(black(2, 3, 4, 4))
        expected = black(2, 3, 4, 4)
        expected[..., 1:3, 0:3] = self.photo[:, 1:3, 0:3]
        torch.testing.assert_close(y, expected, atol=0, rtol=0)

    def test_of_a_larger_photo_every_image_gets_a_piece(self):
        large = torch.arange(6.0 * 7.0).reshape(1, 6, 7)
        mask = torch.zeros(4, 4)
        mask[0, 0] = 1
        y = Mask(mask, fill=Clutter(large)).measure(torch.zeros(40, 1, 4, 4))
        seen = set()
        for image in y[:, 0]:
            top, left = divmod(int(image[0, 1]) - 1, 7)
            torch.testing.assert_close(image[1:], large[0, top + 1 : top + 4, left : left + 4])
            seen.add((top, left))
        assert seen == {(top, left) for top in range(3) for left in range(4)}

    def test_keeps_a_copy_without_gradient(self):
        photo = self.photo.clone().requires_grad_()
        fill = Clutter(photo)
        with torch.no_grad():
            photo.zero_()
        torch.testing.assert_close(fill.photo, self.photo)
        assert not fill.photo.requires_grad

    def test_follows_the_precision_of_the_measurement(self):
        assert BoxMask(2, fill=Clutter(self.photo)).measure(torch.zeros(1, 3, 4, 4)).dtype == torch.float32

    def test_prints_its_size(self):
        assert repr(Clutter(self.photo)) == "Clutter(photo=3x4x4)"

    @pytest.mark.parametrize("shape", [(1, 4, 4), (3, 3, 4), (3, 4, 3)])
    def test_photos_that_do_not_cover_the_image_are_refused(self, shape):
        message = (
            r"the clutter photo is .*, which does not cover measurements of shape \(1, 3, 4, 4\): it must have as many"
        )
        with pytest.raises(ValueError, match=message):
            BoxMask(2, fill=Clutter(torch.rand(shape))).measure(torch.zeros(1, 3, 4, 4))

    @pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 1, 3, 4, 4)])
    def test_several_photos_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"the clutter photo must be one image \(C, H, W\), got shape"):
            Clutter(torch.rand(shape))

    def test_what_is_no_image_is_refused(self):
        with pytest.raises(TypeError, match=r"the clutter photo must be a floating-point image .* got torch\.uint8"):
            Clutter(torch.zeros(3, 4, 4, dtype=torch.uint8))
        with pytest.raises(TypeError, match=r"the clutter photo must be a torch\.Tensor"):
            Clutter("wall.png")


class TestComposition:
    left, right = BoxMask((4, 2), corner=(0, 0)), BoxMask((4, 1), corner=(0, 3))

    def test_only_the_outermost_operator_fills(self):
        y = (self.left @ self.right).measure(torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64))
        torch.testing.assert_close(y[0, 0, 0], torch.tensor([1.0, 1.0, 0.5, 0.0], dtype=torch.float64))

    def test_an_outer_operator_without_gaps_fills_nothing(self):
        y = (Identity() @ self.right).measure(torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64))
        torch.testing.assert_close(y[0, 0, 0], torch.tensor([0.5, 0.5, 0.5, 0.0], dtype=torch.float64))

    def test_noise_is_where_something_is_measured(self):
        """Not where the outer operator fills, and not where the inner one leaves nothing that could be measured."""
        e = (self.left @ self.right).measure(black(1, 1, 4, 4), noise=1.0)
        assert bool((e[..., 2] != 0).all())
        assert bool((e[..., 3] == 0).all())
        torch.testing.assert_close(e[..., :2], torch.ones(1, 1, 4, 2, dtype=torch.float64), atol=0, rtol=0)

    def test_stacks_fill_nothing(self):
        A = stack(self.left, self.right)
        torch.testing.assert_close(A.measure(black(1, 1, 4, 4)), black(1, 32), atol=0, rtol=0)


def test_fills_print_as_made():
    assert repr(White()) == "White()"
    assert repr(RandomColor()) == "RandomColor()"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: RandomMask(0.5, fill="white"), "'white'"),
        (lambda: BoxMask(2, fill=RandomColor), "the class RandomColor: put parentheses"),
        (lambda: Mask(torch.ones(1, 4, 4, dtype=torch.bool), fill=1.0), "1.0"),
    ],
)
def test_what_is_no_fill_is_refused_at_once(make, named):
    with pytest.raises(TypeError, match=f"fill must be a fill .* got {named}"):
        make()

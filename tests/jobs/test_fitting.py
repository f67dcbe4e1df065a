"""Sizes that fit, and what is said where they do not."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso.jobs._fitting import check_size, fit, squared
from inverso.operators import Bicubic
from inverso.operators.spec import parse_operator

FILE = Path("photo.jpg")


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 6]))
def test_what_is_cut_fits_and_is_told(height, width, scale):
    spec = parse_operator(f"bicubic:{scale}" if scale > 1 else "identity")
    image = torch.rand(1, 3, height, width)
    if min(height, width) < scale:
        with pytest.raises(ValueError, match=f"{width} x {height}"):
            fit(image, spec, crop=True, file=FILE)
        return
    fitted = fit(image, spec, crop=True, file=FILE)
    assert fitted.image.shape[-2] % scale == fitted.image.shape[-1] % scale == 0
    assert bool(fitted.notes) == (fitted.image.shape != image.shape)


def test_nothing_is_cut_without_being_told_to():
    with pytest.raises(ValueError, match=r"photo\.jpg has 11 x 10 pixels.* 4 divides: crop=True cuts it to 8 x 8"):
        fit(torch.rand(1, 3, 10, 11), parse_operator("bicubic:2@bicubic:2"), crop=False, file=FILE)


def test_sizes_that_were_asked_for_are_named_with_those_that_would_do():
    says = (
        r"photo\.jpg is made a square of size=10, .* 4 divides: give size=8 or size=12; or crop=True cuts it to 8 x 8"
    )
    with pytest.raises(ValueError, match=says):
        fit(torch.rand(1, 3, 10, 10), parse_operator("bicubic:4"), crop=False, file=FILE, size=10)
    with pytest.raises(ValueError, match=r"4 divides: give size=4$"):
        fit(torch.rand(1, 3, 3, 3), parse_operator("bicubic:4"), crop=True, file=FILE, size=3)


def test_squares_are_told():
    assert squared((64, 64), 64) == ()
    assert "all were taken and enlarged to 64 x 64" in squared((32, 32), 64)[0]
    assert squared((100, 64), 64) == ("of 100 x 64 pixels the 64 x 64 in the middle were taken",)


def test_photos_that_a_prior_does_not_make_are_refused():
    with pytest.raises(ValueError, match=r"640 x 480.* 64 x 64.* 16 x 16.*prior='photos'"):
        check_size(torch.rand(1, 3, 480, 640), Bicubic(4), (3, 64, 64), file=FILE)
    check_size(torch.rand(1, 3, 16, 16), Bicubic(4), (3, 64, 64), file=FILE)
    check_size(torch.rand(1, 3, 480, 640), Bicubic(4), None, file=FILE)

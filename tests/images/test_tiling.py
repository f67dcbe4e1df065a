"""Tiles meet, windows overlap, and local work does not notice."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inverso.images.tiling import in_tiles, tiles


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 70), width=st.integers(1, 70), side=st.integers(9, 40), margin=st.integers(0, 4),
    multiple=st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_every_pixel_belongs_to_one_tile(height, width, side, margin, multiple):
    count = torch.zeros(height, width)
    for tile in tiles(height, width, side=side, margin=margin, multiple=multiple):
        count[tile.top : tile.bottom, tile.left : tile.right] += 1
        top, left, bottom, right = tile.window
        assert top % multiple == left % multiple == 0
        assert top <= max(0, tile.top - margin)
        assert bottom >= min(height, tile.bottom + margin)
        assert left <= max(0, tile.left - margin)
        assert right >= min(width, tile.right + margin)
    assert bool((count == 1).all())


def test_work_that_enlarges():
    x = torch.rand(1, 3, 33, 21)
    enlarged = in_tiles(lambda y: y.repeat_interleave(2, -1).repeat_interleave(2, -2), x, side=12, margin=2, scale=2)
    torch.testing.assert_close(enlarged, x.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_margins_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="margin of 5"):
        list(tiles(20, 20, side=10, margin=5))

"""The windows in which damage is filled: they cover it once, show what is around it, and are no larger than needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverso.images.tiling import GRID
from inverso.repair._holes import _LEAST, fitted_windows


def scattered(height: int, width: int, number: int, seed: int) -> np.ndarray:
    """Rectangles with a margin of their own each."""
    rng = np.random.default_rng(seed)
    margins = np.zeros((height, width), int)
    for _ in range(number):
        top, left = rng.integers(height), rng.integers(width)
        margins[top : top + rng.integers(1, 40), left : left + rng.integers(1, 40)] = rng.integers(1, 60)
    return margins


@given(
    st.integers(1, 700), st.integers(1, 700), st.integers(0, 12), st.integers(0, 2**20), st.sampled_from([64, 200, 384])
)
def test_every_damaged_pixel_is_in_one_piece_with_its_margin_around_it(height, width, number, seed, side):
    margins = scattered(height, width, number, seed)
    pieces = np.zeros_like(margins)
    for tile in fitted_windows(margins, side=side):
        pieces[tile.top : tile.bottom, tile.left : tile.right] += 1
        top, left, bottom, right = tile.window
        margin = margins[tile.top : tile.bottom, tile.left : tile.right].max()
        assert top == 0 or tile.top - top >= margin
        assert left == 0 or tile.left - left >= margin
        assert bottom == height or bottom - tile.bottom >= margin
        assert right == width or right - tile.right >= margin
        assert max(tile.bottom - tile.top, tile.right - tile.left) <= side
        assert not top % GRID
        assert not left % GRID
    assert (pieces[margins > 0] == 1).all()
    assert pieces.max(initial=0) <= 1


def test_nothing_damaged_needs_no_window():
    assert fitted_windows(np.zeros((500, 600), int), side=384) == []


def test_a_speck_gets_a_small_window_and_dense_damage_a_large_one():
    margins = np.zeros((1000, 1000), int)
    margins[500, 500] = 32
    (speck,) = fitted_windows(margins, side=384)
    assert max(speck.window[2] - speck.window[0], speck.window[3] - speck.window[1]) <= 2 * 32 + 2 * GRID
    margins[::40, ::40] = 32
    windows = [tile.window for tile in fitted_windows(margins, side=384)]
    assert len(windows) < 20
    assert sum((bottom - top) * (right - left) for top, left, bottom, right in windows) < 1.4e6


def test_a_narrow_photo_is_cut_along_its_length():
    windows = fitted_windows(np.full((1, 1000), 32), side=384)
    assert max(tile.right - tile.left for tile in windows) <= 384


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.0])
def test_a_scratch_across_the_photo_costs_less_than_the_photo(angle):
    side = 1000
    along = np.arange(side)
    margins = np.zeros((side, side), int)
    margins[(angle * along).astype(int), along] = 36
    windows = fitted_windows(margins, side=384)
    worked = sum((t.window[2] - t.window[0]) * (t.window[3] - t.window[1]) for t in windows)
    assert worked < 0.45 * side**2
    assert all(t.right - t.left >= _LEAST // 2 for t in windows)

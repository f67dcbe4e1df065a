"""Things that look like damage, drawn for a detector to leave: writing, straps, stripes, highlights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.random import Generator

from inverso.training.recipes._lookalikes import (
    FloatArray,
    _find_fonts,
    _pen,
    _print,
    _shine,
    _strap,
    _stripe,
    _write,
    draw_lookalikes,
)

KINDS = [_write, _strap, _stripe, _shine]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_they_stay_in_range_and_are_a_function_of_the_generator() -> None:
    x = torch.rand(12, 3, 40, 56, generator=rng())
    one, same, other = (draw_lookalikes(x, 1.0, rng(seed)) for seed in (1, 1, 2))
    assert one.shape == x.shape
    assert one.dtype == x.dtype
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1


def test_the_share_of_photos_that_get_something() -> None:
    x = torch.full((200, 3, 32, 32), 0.5)
    drawn = draw_lookalikes(x, 0.3, rng())
    changed = (drawn != x).flatten(1).any(dim=1)
    assert 35 < int(changed.sum()) < 80
    assert torch.equal(draw_lookalikes(x, 0.0, rng()), x)


@pytest.mark.parametrize("draw", KINDS, ids=lambda draw: draw.__name__)
def test_each_kind_is_seen_on_a_plain_photo(draw: Callable[[FloatArray, Generator], FloatArray]) -> None:
    """On nearly every photo something differs by a contrast that a detector would look at."""
    changes = [np.abs(draw(np.full((96, 96, 3), 0.5), np.random.default_rng(k)) - 0.5).max() for k in range(30)]
    assert float(np.quantile(changes, 0.2)) > 0.15


def test_writing_covers_a_part_of_its_lines_alone() -> None:
    for write in (_print, _pen):
        cover = write(96, 128, 20.0, 2, np.random.default_rng(3))
        assert cover.shape == (96, 128)
        assert 0.01 < cover.mean() < 0.4
        assert 0 <= cover.min() <= cover.max() <= 1


def test_there_are_fonts_with_and_without_serifs() -> None:
    names = " ".join(_find_fonts())
    assert all(kind in names for kind in ("DejaVuSans", "DejaVuSerif", "STIXGeneral"))


def test_a_strap_reaches_from_side_to_side_and_is_shaded() -> None:
    drawn = _strap(np.full((64, 64, 3), 0.4), np.random.default_rng(1))
    strapped = np.abs(drawn - 0.4).max(axis=2) > 0.1
    border = np.concatenate([strapped[0], strapped[-1], strapped[:, 0], strapped[:, -1]])
    assert border.any()
    assert len(np.unique(drawn[strapped].round(2))) > 5

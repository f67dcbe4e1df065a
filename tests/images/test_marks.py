"""Painted masks: what counts as painted."""

from __future__ import annotations

import pytest
import torch

from inverso.images import Photo, read_mask, write_photo

SOFT_STROKE = torch.tensor([0.0, 0.1, 0.4, 1.0, 0.4, 0.1, 0.0])
"""Opacity across a stroke of a soft brush."""


@pytest.mark.parametrize(
    "brush", [(1, 1, 1), (1, 0, 0), (0, 0, 1), (0.8, 0, 0.8)], ids=["white", "red", "blue", "magenta"]
)
@pytest.mark.parametrize("layer", ["black", "transparent"])
def test_a_stroke_is_as_wide_in_any_bright_color(tmp_path, brush, layer):
    color, opacity = (
        torch.tensor(brush, dtype=torch.float32).view(1, 3, 1, 1),
        SOFT_STROKE.view(1, 1, 1, -1).expand(1, 1, 3, 7),
    )
    painted = Photo(color * opacity) if layer == "black" else Photo(color.expand(1, 3, 3, 7), alpha=opacity)
    write_photo(painted, tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png")[0, 0, 0].tolist() == [False, False, True, True, True, False, False]

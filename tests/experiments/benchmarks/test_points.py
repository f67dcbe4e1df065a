"""Points at random and on edges, boxes and blocks."""

import pytest
import torch

from inverso.operators import Clutter
from scripts import script

points = script("points")
CentralBlock, Points, RandomBox = points.CentralBlock, points.Points, points.RandomBox


def half(side: int = 32) -> torch.Tensor:
    """Two images, black on the left and white on the right: all edges lie in the middle columns."""
    x = torch.zeros(2, 3, side, side)
    x[..., side // 2 :] = 1
    return x


@pytest.mark.parametrize("where", ["random", "sobel", "canny"])
def test_points_are_as_many_as_asked_and_each_photo_has_its_own(where) -> None:
    A = Points(0.1, where).for_photos(half(), (0, 1))
    masks = A.mask((3, 32, 32))
    assert masks.flatten(1).sum(dim=1).tolist() == [102, 102]
    assert not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("where", ["sobel", "canny"])
def test_edge_points_lie_on_edges(where) -> None:
    masks = Points(0.03, where).for_photos(half(), (0, 1)).mask((3, 32, 32)).float()
    assert float(masks[..., 14:18].sum() / masks.sum()) > 0.6
    random = Points(0.03).for_photos(half(), (0, 1)).mask((3, 32, 32)).float()
    assert float(random[..., 14:18].sum() / random.sum()) < 0.3


def test_stored_bytes() -> None:
    # 4 points of 16 pixels and 3 channels: 12 bytes; C(16, 4) = 1820 places take 11 bits.
    assert Points(0.25).stored_bytes((3, 4, 4)) == 12 + 4
    assert Points(0.25, "sobel").stored_bytes((3, 4, 4)) == 12 + 2


def test_random_boxes_follow_their_seeds_and_never_cover_everything() -> None:
    masks = RandomBox().for_photos(torch.zeros(200, 3, 4, 4), tuple(range(200))).mask((3, 4, 4))
    kept = masks.flatten(1).sum(dim=1)
    assert int(kept.min()) > 0
    assert int(kept.max()) < 16
    assert len(kept.unique()) > 5
    again = RandomBox().for_photos(torch.zeros(1, 3, 4, 4), (7,)).mask((3, 4, 4))
    assert torch.equal(again.squeeze(), masks[7].squeeze())


def test_central_block_has_half_the_sides() -> None:
    x = torch.zeros(1, 3, 16, 16)
    white = CentralBlock().for_photos(x, (0,)).measure(x)
    assert float(white[..., 4:12, 4:12].min()) == 1
    assert float(white.sum()) == 3 * 64
    A = CentralBlock(cluttered=True).for_photos(x, (0,))
    assert isinstance(A.fill, Clutter)
    assert not torch.equal(A.measure(x, seed=1), A.measure(x, seed=2))
    gray = torch.zeros(1, 1, 16, 16)
    assert CentralBlock(cluttered=True).for_photos(gray, (0,)).measure(gray).shape == gray.shape


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"keep must lie in \(0, 1\]"):
        Points(0)
    with pytest.raises(ValueError, match="where must be one of 'random', 'sobel', 'canny', got 'edges'"):
        Points(0.1, "edges")

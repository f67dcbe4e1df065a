"""Writing is told from damage: signs of one size in a row stay, scratches and dust do not."""

from __future__ import annotations

import pytest
import torch

from inverso.repair._defects import detect_defects
from inverso.repair._lettering import Sign, find_lettering
from inverso.restorers import DamageDetector

SIDE = 300


def date(*, count: int = 4, height: int = 30, gap: int = 6) -> list[Sign]:
    """Give the digits of a date, each two thirds as wide as high."""
    width = 2 * height // 3
    return [
        Sign(40, 20 + k * (width + gap), 40 + height, 20 + k * (width + gap) + width, 0.4, 0.9) for k in range(count)
    ]


def test_a_date_is_writing_and_a_speck_beside_it_is_not() -> None:
    assert find_lettering([Sign(200, 10, 212, 22, 0.78, 0.9), *date()], SIDE) == [1, 2, 3, 4]


def test_letters_of_different_heights_on_one_line_are_writing() -> None:
    word = [Sign(50, 20, 80, 40, 0.4, 0.2), Sign(60, 44, 80, 60, 0.5, 0.2), Sign(60, 64, 80, 80, 0.5, 0.25)]
    assert find_lettering(word, SIDE) == [0, 1, 2]


def test_commas_and_parts_of_letters_on_the_line_of_a_date_belong_to_it() -> None:
    comma, part = Sign(65, 130, 77, 136, 0.6, 0.9), Sign(40, 250, 48, 262, 0.3, 0.9)
    assert find_lettering([comma, *date(), part], SIDE) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(Sign(20, 130, 90, 140, 0.3, 0.9), id="taller than the letters"),
        pytest.param(Sign(52, 130, 56, 220, 0.9, 0.9), id="as long as a scratch"),
        pytest.param(Sign(90, 60, 96, 66, 0.6, 0.9), id="below the line"),
        pytest.param(Sign(20, 60, 26, 66, 0.6, 0.9), id="above the line"),
        pytest.param(Sign(50, 285, 56, 291, 0.6, 0.9), id="far along the line"),
        pytest.param(Sign(50, 130, 56, 136, 0.6, 0.3), id="of another tone"),
    ],
)
def test_other_damage_near_a_date_is_not_part_of_it(sign: Sign) -> None:
    assert find_lettering([sign, *date()], SIDE) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "signs",
    [
        pytest.param(date(count=2), id="two are no row"),
        pytest.param(date(gap=60), id="far apart"),
        pytest.param(date(height=60), id="as large as what is photographed"),
        pytest.param(date(height=6, gap=2), id="too small to be read"),
        pytest.param([Sign(40, 20 + 15 * k, 80, 23 + 15 * k, 0.6, 0.9) for k in range(6)], id="parallel scratches"),
        pytest.param([Sign(40, 20 + 14 * k, 50, 30 + 14 * k, 0.79, 0.9) for k in range(6)], id="a row of round specks"),
        pytest.param([s._replace(tone=0.3 * k) for k, s in enumerate(date())], id="of different tones"),
        pytest.param(
            [s._replace(top=s.top + 15 * k, bottom=s.bottom + 15 * k) for k, s in enumerate(date())], id="not on a line"
        ),
    ],
)
def test_damage_is_no_writing(signs: list[Sign]) -> None:
    assert find_lettering(signs, SIDE) == []


def test_scattered_specks_are_no_writing() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        places = (torch.rand(60, 2, generator=generator) * 280).long().tolist()
        sizes = (8 + 6 * torch.rand(60, 2, generator=generator)).long().tolist()
        specks = [Sign(y, x, y + h, x + w, 0.7, 0.9) for (y, x), (h, w) in zip(places, sizes, strict=True)]
        assert len(find_lettering(specks, SIDE)) <= 3


class Sees(DamageDetector):
    """A detector that takes what is white for damage."""

    def probability(self, images: torch.Tensor, *, tile: int = 768) -> torch.Tensor:  # noqa: ARG002
        """Give 1 where a pixel is white."""
        return (images.mean(dim=1, keepdim=True) > 0.8).float()


def test_digits_that_a_network_detects_stay_and_a_scratch_beside_them_does_not() -> None:
    print_ = torch.full((1, 1, 200, 200), 0.3)
    for k in range(4):
        print_[..., 150:170, 100 + 18 * k : 103 + 18 * k] = 0.9
        print_[..., 150:153, 100 + 18 * k : 112 + 18 * k] = 0.9
    print_[..., 20:120, 40:42] = 0.9
    found = detect_defects(print_, Sees(widths=(8, 8, 8)))
    assert found.letters == 4
    assert (found.lines, found.specks) == (1, 0)
    assert not bool(found.mask[..., 145:, :].any())
    assert bool(found.mask[..., 20:120, 40:42].all())

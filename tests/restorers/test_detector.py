"""The detector of damage: sizes, pieces, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from inverso._networks.files import write_network
from inverso.restorers import DamageDetector, load_detector, save_detector
from inverso.restorers.base import parameter_count

TINY = {"widths": (8, 8, 8), "blocks": 2}


def test_it_is_small_and_expects_no_damage_at_first() -> None:
    detector = DamageDetector()
    assert 300_000 < parameter_count(detector) < 1_000_000
    assert float(detector.probability(torch.full((1, 3, 32, 32), 0.5)).mean()) < 0.3


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (30, 45)])
def test_photos_of_any_size_gray_or_in_color(size: tuple[int, int]) -> None:
    detector = DamageDetector(**TINY)
    gray = torch.rand(2, 1, *size)
    assert detector(gray).shape == (2, 1, *size)
    torch.testing.assert_close(detector(gray), detector(gray.expand(-1, 3, -1, -1)))


@pytest.mark.slow
def test_pieces_give_what_the_whole_gives() -> None:
    detector = DamageDetector(**TINY).double()
    # Larger weights show what small ones would hide.
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.mul_(1.5)
    x = torch.rand(1, 3, 210, 283, dtype=torch.float64)
    whole = torch.sigmoid(detector(x))
    torch.testing.assert_close(detector.probability(x, tile=200), whole, rtol=0, atol=1e-10)


def test_it_sees_as_far_as_it_says() -> None:
    detector = DamageDetector(**TINY).double()
    x = torch.rand(1, 3, 8, 240, dtype=torch.float64, requires_grad=True)
    detector(x)[..., 120].sum().backward()
    seen = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert 40 < 120 - int(seen.min()) <= 80 + 8
    assert 40 < int(seen.max()) - 120 <= 80 + 8


def test_files(tmp_path: Path) -> None:
    detector = DamageDetector(**TINY, seed=3)
    save_detector(detector, tmp_path / "detector.safetensors")
    loaded = load_detector(tmp_path / "detector.safetensors")
    torch.testing.assert_close(loaded.state_dict(), detector.state_dict(), rtol=0, atol=0)
    assert not loaded.training
    write_network(
        nn.Linear(1, 1).state_dict(), tmp_path / "other.safetensors", metadata={"family": "Linear"}, dtype=None
    )
    with pytest.raises(ValueError, match=r"other\.safetensors cannot be used as a detector: it holds a Linear"):
        load_detector(tmp_path / "other.safetensors")


@pytest.mark.parametrize("x", [torch.rand(3, 8, 8), torch.rand(1, 2, 8, 8), torch.ones(1, 3, 8, 8, dtype=torch.uint8)])
def test_what_is_no_photo_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="a detector takes floating-point photos"):
        DamageDetector(**TINY)(x)


def test_two_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"widths must be three numbers of channels, got \(8, 8\)"):
        DamageDetector(widths=(8, 8))

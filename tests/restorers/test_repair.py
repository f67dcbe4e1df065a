"""The restorer of old photos: what its parts do, and what the embedded one gains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inverso.degradations import OldPhoto
from inverso.images.io import photo
from inverso.metrics import psnr, ssim
from inverso.restorers import RepairRestorer, _zoo, load
from inverso.restorers.base import parameter_count
from inverso.restorers.repair import _ColorCorrection

WEIGHTS = Path(_zoo.__file__).parent / "weights" / "faces-64-repair.safetensors"


def small(**given: int) -> RepairRestorer:
    return RepairRestorer(width=8, middle=8, deep=8, refine=8, tones=8, **given)


def test_it_is_small_enough_for_three_megabytes_of_halves():
    assert 2 * parameter_count(RepairRestorer()) < 3e6


def test_colors_are_corrected_by_one_map_per_cell():
    colors = _ColorCorrection(8)
    with torch.no_grad():
        colors.leave.weight.zero_()
        colors.leave.bias.copy_(torch.tensor([[0.5, 0, 0, 0.1], [0, 0, 0.2, 0], [0, 0, 0, 0.0]]).flatten())
    y = torch.rand(1, 3, 16, 8)
    expected = y.clone()
    expected[:, 0] += 0.5 * (y[:, 0] - 0.5) + 0.1
    expected[:, 1] += 0.2 * (y[:, 2] - 0.5)
    torch.testing.assert_close(colors(y), expected)


def test_what_is_right_is_kept_and_the_rest_is_filled_and_both_are_corrected():
    network, y = small().double().eval(), torch.rand(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        for head in (network.colors.leave, network.trunk.leave, network.leave):
            head.weight.zero_()
        network.trunk.leave.bias.view(4, 4)[3].fill_(40.0)
        network.leave.bias.view(4, 4)[:3].fill_(0.05)
    told = network.explain(y)
    torch.testing.assert_close(told.image, y + 0.05)
    torch.testing.assert_close(told.guess, torch.full_like(y, 0.5))
    torch.testing.assert_close(told.logits, told.first)
    with torch.no_grad():
        network.leave.bias.view(4, 4)[3].fill_(-80.0)
    filled = network.explain(y)
    torch.testing.assert_close(filled.logits, torch.full((1, 1, 16, 16), -40.0, dtype=torch.float64))
    torch.testing.assert_close(network(y), filled.image)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"deep": 6}, "deep must be divisible by 4, the heads of the attention, got 6"),
        ({"tones": 6}, "tones must be divisible by 4, the heads of the attention, got 6"),
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        RepairRestorer(**given)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the weights are not part of this checkout")
class TestEmbedded:
    def test_a_face_gains_likeness(self):
        x = photo("astronaut", size=64).expand(8, -1, -1, -1)
        y = OldPhoto()(x, seed=tuple(range(8))).y
        with torch.no_grad():
            image = load("faces-64-repair")(y)
        for metric, gain in ((psnr, 1.0), (ssim, 0.05)):
            assert float((metric(image, x) - metric(y, x)).mean()) > gain

    def test_the_mask_tells_what_is_covered(self):
        x = photo("astronaut", size=64).expand(4, -1, -1, -1)
        old = OldPhoto()(x, seed=tuple(range(4)))
        with torch.no_grad():
            known = load("faces-64-repair").explain(old.y).logits > 0
        assert float((known == old.known).double().mean()) > 0.75

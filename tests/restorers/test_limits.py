"""Restorers within what they were trained for: photos of another size, large ones, and too little memory."""

import pytest
import torch
from torch import nn

import inverso
from inverso import _machine
from inverso.errors import InversoError
from inverso.images import photo
from inverso.metrics import psnr
from inverso.restorers import SlidesRestorer, UNetRestorer, _limits, load
from inverso.restorers._limits import restore


@pytest.fixture(scope="module")
def faces():
    return load("faces-64")


@pytest.mark.parametrize("size", [90, 150, 256])
def test_a_clean_face_of_another_size_is_left_as_it_is(faces, size):
    x = photo("astronaut", size=size)
    with torch.no_grad():
        answer = restore(faces, x)
    assert float((answer.image - x).square().mean()) < 1e-4, "above 40 dB"
    assert f"{size} x {size}" in answer.note
    assert "64 x 64" in answer.note


def test_damage_on_a_larger_face_is_filled_and_the_rest_kept(faces):
    x = photo("astronaut", size=160)
    y = x.clone()
    y[..., 50:90, 50:90] = 1
    answer = inverso.solve(y, method="ff", restorer=faces, progress=False)
    assert (answer.image - x).square().mean() < 0.2 * (y - x).square().mean()
    assert torch.equal(answer.image[..., 130:, :], x[..., 130:, :])
    assert "trained on 64 x 64" in answer.stages[0].note


def test_photos_of_the_trained_size_go_through_as_they_are(faces):
    y = photo("astronaut", size=64).clone()
    y[..., 20:40, 20:40] = 1
    with torch.no_grad():
        answer = restore(faces, y)
        assert torch.equal(answer.image, faces(y))
    assert answer.note == ""


@pytest.mark.parametrize("name", ["faces-64", "faces-64-repair", "faces-64-paper"])
def test_a_clean_face_of_the_trained_size_is_left_beside_a_damaged_one(name):
    network, x = load(name), photo("astronaut", size=64)
    y = x.clone()
    y[..., 20:40, 20:40] = 1
    with torch.no_grad():
        answer = restore(network, torch.cat([x, y]))
        assert torch.equal(answer.image[:1], x)
        assert not torch.equal(answer.image[1:], y)
    assert "1 of 2" in answer.note


@pytest.mark.parametrize("size", [64, 150])
def test_a_scratched_photo_that_has_not_faded_keeps_its_colors(size):
    x = photo("astronaut", size=size)
    y = x.clone()
    wide = size // 32
    y[..., size // 6 : size // 6 + wide] = y[..., size // 2 : size // 2 + wide] = 1.0
    faded = 0.3 + 0.4 * y.mean(dim=1, keepdim=True).expand_as(y)
    answer = inverso.solve(torch.cat([y, faded]), method="ff", restorer=load("faces-64-repair"), progress=False)
    assert "1 of 2 photos have not faded" in answer.stages[0].note
    assert psnr(answer.image[:1], x) > psnr(y, x) + 1


def test_long_strips_and_single_pixels_are_answered(faces):
    for size in ((1, 1), (3, 200), (2000, 9)):
        plain = torch.full((1, 3, *size), 0.5)
        with torch.no_grad():
            torch.testing.assert_close(restore(faces, plain).image, plain, atol=0.02, rtol=0)


def test_what_looks_nearby_only_works_in_windows(monkeypatch):
    network = SlidesRestorer(width=8).eval()
    y = torch.rand(1, 3, 90, 70)
    with torch.no_grad():
        whole = restore(network, y).image
        monkeypatch.setattr(_limits, "_PIXELS", 100)
        monkeypatch.setattr(_limits, "_SIDE", 64)
        parts = restore(network, y)
    assert "windows of 64" in parts.note
    torch.testing.assert_close(parts.image, whole, atol=1e-5, rtol=0)


def test_memory_is_asked_for_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(_machine, "free_memory", lambda: 10_000)
    with pytest.raises(InversoError, match="30 x 20 pixels"):
        restore(UNetRestorer(width=8, middle=8, deep=8, refine=8), torch.rand(1, 3, 20, 30))


def test_any_other_network_is_called_as_it_is():
    y = torch.rand(1, 3, 5, 5)
    assert torch.equal(restore(nn.Hardtanh(0.2, 0.8), y).image, y.clamp(0.2, 0.8))

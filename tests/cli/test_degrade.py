"""`inverso degrade`: what it writes is what the operator measures."""

import pytest
import torch

from inverso.degradations import OldPhoto
from inverso.images import Photo, write_photo
from inverso.images.io import load_image
from inverso.images.measurements import load_measurement
from inverso.operators import Bicubic, FFTMask, RandomGaussian, RandomMask


def test_picture_is_measured_and_written(inverso, picture):
    result = inverso("degrade", picture, "-A", "bicubic:4", "-o", "y.png")
    assert result.exit_code == 0, result.output
    assert result.stdout == "y.png: 3 × 6 × 6 real numbers by Bicubic(scale=4), noise 0\n"
    expected = (Bicubic(4)(load_image(picture)).clamp(0, 1) * 255).round() / 255
    torch.testing.assert_close(load_measurement("y.png"), expected)


def test_what_a_picture_cannot_hold_of_a_measurement_is_said(inverso, picture, tmp_path):
    told = "of the numbers, beyond black or white, were clipped; an .npz keeps them"
    assert told in inverso("degrade", picture, "-A", "identity", "--noise", 1, "-o", "y.png").stdout
    assert told not in inverso("degrade", picture, "-A", "identity", "--noise", 1, "-o", "y.npz").stdout
    write_photo(Photo(load_image(picture), depth=16), tmp_path / "deep.png")
    told = "deep.png: of its 16 bits per channel 8 are written; an .npz keeps them all"
    assert told in inverso("degrade", "deep.png", "-A", "identity", "-o", "y.png").stdout
    assert told not in inverso("degrade", "deep.png", "-A", "identity", "-o", "y.npz").stdout


def test_complex_measurement_is_written_exactly(inverso, picture):
    assert inverso("degrade", picture, "-A", "fft:0.3", "--noise", 0.1, "--seed", 5, "-o", "y.npz").exit_code == 0
    expected = FFTMask(0.3).measure(load_image(picture), noise=0.1, seed=5)
    assert torch.equal(load_measurement("y.npz"), expected)


def test_complex_measurement_cannot_be_a_picture(inverso, picture, tmp_path):
    result = inverso("degrade", picture, "-A", "fft:0.3", "-o", "y.png")
    assert result.exit_code == 2
    assert "this measurement is not a picture (complex, shape (1, 3, 24, 24)): write it as y.npz" in result.stderr
    assert not (tmp_path / "y.png").exists()


def test_size_and_gray_change_what_is_measured(inverso, picture):
    assert inverso("degrade", picture, "--size", 16, "--gray", "-A", "mask:0.5", "-o", "y.npz").exit_code == 0
    expected = RandomMask(0.5).measure(load_image(picture, size=16, channels=1))
    assert torch.equal(load_measurement("y.npz"), expected)


def test_random_projections_get_the_size_of_the_photo(inverso, picture):
    assert inverso("degrade", picture, "-A", "gaussian:40", "-o", "y.npz").exit_code == 0
    torch.testing.assert_close(load_measurement("y.npz"), RandomGaussian(40, (3, 24, 24))(load_image(picture)))


def test_damage_by_name_and_what_it_does_not_cover(inverso, picture):
    x = load_image(picture)
    words = ("degrade", picture, "--damage", "old-photo:severe", "--seed", 3, "-o", "old.png")
    result = inverso(*words, "--known", "known.png", "--mask", "damaged.png")
    assert result.exit_code == 0, result.output
    old = OldPhoto.preset("severe")(x, seed=3)
    torch.testing.assert_close(load_image("old.png"), old.y, rtol=0, atol=0.5 / 255 + 1e-6)
    assert torch.equal(load_image("known.png")[:, :1] > 0.5, old.known)
    assert torch.equal(load_image("damaged.png")[:, :1] < 0.5, old.known)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), ["-A", "--damage"]),
        (("-A", "identity", "--damage", "jpeg"), ["-A", "--damage"]),
        (("-A", "identity", "--known", "k.png"), ["--known k.png", "--damage"]),
        (("-A", "identity", "--mask", "m.png"), ["--mask m.png", "--damage"]),
        (("--damage", "jpeg", "--known", "k.png", "--mask", "k.png"), ["k.png"]),
        (("--damage", "rain"), ["rain", "old-photo"]),
    ],
)
def test_damage_that_cannot_be_done_is_one_line(inverso, picture, words, named):
    result = inverso("degrade", picture, "-o", "y.png", *words)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in named), result.stderr

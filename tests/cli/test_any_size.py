"""Photos of any size on the command line: nothing is cut or resized without a line that says so."""

import json

import pytest
import torch
from PIL import Image

from inverso.images import Photo, load_image, photo, save_image, write_photo


def test_cutting_a_photo_to_the_prior_is_said(inverso, prior, tmp_path):
    write_photo(Photo(torch.rand(1, 3, 24, 40)), tmp_path / "a.png")
    words = ("solve", "a.png", "--simulate", "-A", "fft:0.5", "--prior", prior, "-m", "csgm", "-o", "out.png")
    result = inverso(*words)
    assert result.exit_code == 0, result.output
    assert "of 40 x 24 pixels the 24 x 24 in the middle were taken and shrunk to 16 x 16" in result.stdout
    assert json.loads(inverso(*words, "--json").stdout)["notes"]


def test_sides_that_the_scale_does_not_divide(inverso, tmp_path):
    write_photo(Photo(torch.rand(1, 3, 11, 18)), tmp_path / "a.png")
    words = ("solve", "a.png", "--simulate", "-A", "bicubic:4", "-m", "pinv", "-o", "out.png")
    refused = inverso(*words)
    assert refused.exit_code == 2
    assert "a.png has 18 x 11 pixels" in refused.stderr
    assert "--crop cuts it to 16 x 8" in refused.stderr
    done = inverso(*words, "--crop")
    assert "of 18 x 11 pixels the 16 x 8 in the middle were taken" in done.stdout
    assert load_image("out.png").shape == (1, 3, 8, 16)
    assert "16 x 8" in inverso("degrade", "a.png", "-A", "bicubic:4", "--crop", "-o", "y.png").stdout


def test_a_size_that_the_scale_does_not_divide(inverso, tmp_path):
    write_photo(Photo(torch.rand(1, 3, 20, 30)), tmp_path / "a.png")
    words = ("solve", "a.png", "--simulate", "-A", "bicubic:4", "-m", "pinv", "--size", 18, "-o", "out.png")
    assert "bicubic:4 needs sides that 4 divides: give --size 16 or --size 20; or --crop cuts" in inverso(*words).stderr
    done = inverso(*words, "--crop").stdout
    assert "the 20 x 20 in the middle were taken and shrunk to 18 x 18" in done
    assert "of 18 x 18 pixels the 16 x 16 in the middle were taken" in done
    assert load_image("out.png").shape == (1, 3, 16, 16)


def test_degrade_says_what_it_cuts(inverso, tmp_path):
    write_photo(Photo(torch.rand(1, 3, 20, 30)), tmp_path / "a.png")
    assert "of 30 x 20 pixels the 20 x 20 in the middle" in inverso(
        "degrade", "a.png", "--size", 16, "-A", "fft:0.3", "-o", "y.npz"
    ).stdout  # fmt: skip


def test_a_size_without_simulate_is_refused(inverso, picture):
    result = inverso("solve", picture, "-A", "identity", "-m", "pinv", "--size", 16, "-o", "out.png")
    assert result.exit_code == 2
    assert "--simulate" in result.stderr


def test_a_large_photo_and_a_small_prior(inverso, prior, picture):
    result = inverso("solve", picture, "-A", "identity", "--prior", prior, "-m", "csgm", "-o", "out.png")
    assert result.exit_code == 2
    for words in ("24 x 24", "16 x 16", "--prior photos", "-m pnp"):
        assert words in result.stderr
    assert "prior=" not in result.stderr


def test_a_large_photo_with_a_mask_of_its_size_and_a_small_prior(inverso, prior, picture):
    save_image(torch.eye(24)[None], "mask.png")
    result = inverso("solve", picture, "--mask", "mask.png", "--prior", prior, "-m", "csgm", "-o", "out.png")
    assert result.exit_code == 2
    assert "24 x 24 pixels, and the prior makes images of 16 x 16" in result.stderr


def test_the_command_lines_own_words(inverso, picture):
    result = inverso("solve", picture, "-m", "pinv", "-o", "out.png")
    assert result.exit_code == 2
    assert "by -A" in result.stderr
    assert "A=" not in result.stderr


@pytest.mark.parametrize("given", [("--mask", "mask.png"), ("-A", "mask:mask.png")])
def test_masks_from_files(inverso, tmp_path, given):
    x = photo("cat", size=32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 4:28, 9] = 1
    write_photo(Photo(x.masked_fill(mask > 0, 1.0)), tmp_path / "y.png")
    save_image(mask, tmp_path / "mask.png")
    result = inverso("solve", "y.png", *given, "-m", "interpolation", "-o", "out.png")
    assert result.exit_code == 0, result.output
    kept = (mask == 0).expand_as(x)
    answer = load_image("out.png")
    torch.testing.assert_close(answer[kept], load_image("y.png")[kept], atol=1.01 / 255, rtol=0)
    assert (answer - x)[~kept].abs().mean() < 0.1


def test_a_mask_of_another_size_is_refused_with_the_sizes(inverso, picture):
    save_image(torch.eye(8)[None], "mask.png")
    result = inverso("solve", picture, "--mask", "mask.png", "-m", "interpolation", "-o", "out.png")
    assert result.exit_code == 2
    assert "mask.png has 8 x 8 pixels and the picture that it covers 24 x 24" in result.stderr


def test_metadata_goes_into_the_answer(inverso, tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    Image.new("RGB", (8, 12), (90, 40, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert inverso("solve", "a.jpg", "-A", "identity", "-m", "pinv", "-o", "out.jpg").exit_code == 0
    with Image.open("out.jpg") as answer:
        assert answer.getexif()[0x010F] == "Maker"
        assert 0x0112 not in answer.getexif()
        assert answer.size == (12, 8)

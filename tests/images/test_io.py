"""Pictures: what goes in comes out, in [0, 1], and what cannot be read is refused by name."""

import math
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inverso.images import io
from inverso.images.io import load_image, photo, save_image
from inverso.images.measurements import quantization_noise, save_measurement


@pytest.fixture
def color() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


def test_color_picture_is_read_exactly(tmp_path, color):
    image = load_image(write(tmp_path / "a.png", color))
    assert image.shape == (1, 3, 6, 8)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image[0].permute(1, 2, 0) * 255, torch.from_numpy(color).float())


def test_gray_picture_is_repeated_or_kept_single(tmp_path, color):
    path = write(tmp_path / "a.png", color[..., 0])
    repeated, single = load_image(path), load_image(path, channels=1)
    assert repeated.shape == (1, 3, 6, 8)
    assert single.shape == (1, 1, 6, 8)
    torch.testing.assert_close(repeated, single.expand(1, 3, 6, 8))


def test_color_becomes_gray_by_luminance(tmp_path):
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    pixels[..., 1] = 200
    image = load_image(write(tmp_path / "green.png", pixels), channels=1)
    torch.testing.assert_close(image, torch.full((1, 1, 2, 2), round(0.587 * 200) / 255))


def test_transparent_pixels_show_white(tmp_path):
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[0, :, 3] = [0, 255, 51]
    image = load_image(write(tmp_path / "alpha.png", pixels))
    torch.testing.assert_close(image[0, 0, 0], torch.tensor([1.0, 0.0, 0.8]))


def test_gray_with_alpha_and_palette_with_transparency_show_white(tmp_path):
    gray = Image.fromarray(np.array([[[0, 0], [0, 255]]], dtype=np.uint8), mode="LA")
    gray.save(tmp_path / "gray.png")
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 255, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=0)
    torch.testing.assert_close(load_image(tmp_path / "gray.png")[0, :, 0].T, torch.tensor([[1.0] * 3, [0.0] * 3]))
    expected = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(load_image(tmp_path / "palette.png")[0, :, 0].T, expected)


def test_16_bit_gray_keeps_its_depth(tmp_path):
    pixels = np.array([[0, 1, 32768, 65535]], dtype=np.uint16)
    image = load_image(write(tmp_path / "deep.png", pixels), channels=1)
    torch.testing.assert_close(image[0, 0, 0] * 65535, torch.tensor([0.0, 1.0, 32768.0, 65535.0]))


def test_32_bit_gray_is_read_as_16_bit_and_refused_beyond(tmp_path):
    write(tmp_path / "fits.tif", np.array([[0, 65535]], dtype=np.int32))
    write(tmp_path / "large.tif", np.array([[0, 65536]], dtype=np.int32))
    torch.testing.assert_close(load_image(tmp_path / "fits.tif", channels=1), torch.tensor([[[[0.0, 1.0]]]]))
    with pytest.raises(ValueError, match=r"large\.tif cannot be read as a picture: its 32-bit pixels lie outside"):
        load_image(tmp_path / "large.tif")


def test_floating_point_picture_must_lie_in_the_unit_interval(tmp_path):
    write(tmp_path / "unit.tif", np.array([[0.25, 1.0]], dtype=np.float32))
    write(tmp_path / "wide.tif", np.array([[0.25, 1.5]], dtype=np.float32))
    torch.testing.assert_close(load_image(tmp_path / "unit.tif", channels=1), torch.tensor([[[[0.25, 1.0]]]]))
    with pytest.raises(ValueError, match=r"wide\.tif .* floating-point pixels outside \[0, 1\]"):
        load_image(tmp_path / "wide.tif")


def test_cmyk_picture_becomes_rgb(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    torch.testing.assert_close(load_image(tmp_path / "print.tif")[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_black_and_white_picture(tmp_path):
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1").save(tmp_path / "fax.png")
    torch.testing.assert_close(load_image(tmp_path / "fax.png", channels=1), torch.tensor([[[[0.0, 1.0]]]]))


def test_orientation_of_the_camera_is_applied(tmp_path, color):
    exif = Image.Exif()
    exif[0x0112] = 6  # Rotate by 90 degrees clockwise to see it upright.
    image = load_image(write(tmp_path / "turned.png", color, exif=exif))
    torch.testing.assert_close(image, load_image(write(tmp_path / "plain.png", color)).rot90(-1, dims=(2, 3)))


def test_size_crops_the_central_square(tmp_path):
    pixels = np.zeros((4, 12, 3), dtype=np.uint8)
    pixels[:, 4:8] = 255
    image = load_image(write(tmp_path / "wide.png", pixels), size=2)
    torch.testing.assert_close(image, torch.ones(1, 3, 2, 2))


def test_resized_16_bit_gray_stays_in_the_unit_interval(tmp_path):
    pixels = np.zeros((8, 8), dtype=np.uint16)
    pixels[:, 4:] = 65535
    image = load_image(write(tmp_path / "edge.png", pixels), size=24)
    assert float(image.min()) == 0
    assert float(image.max()) == 1


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [(0, ValueError, "size must be .* got 0"), (-3, ValueError, "got -3"), (2.5, TypeError, "size must be an integer")],
)
def test_bad_size_is_refused(tmp_path, color, size, error, message):
    with pytest.raises(error, match=message):
        load_image(write(tmp_path / "a.png", color), size=size)


def test_bad_channels_are_refused(tmp_path, color):
    with pytest.raises(ValueError, match=r"channels must be 1 \(gray\) or 3 \(color\), got 4"):
        load_image(write(tmp_path / "a.png", color), channels=4)


def test_unreadable_files_are_refused_by_name(tmp_path, color):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    whole = write(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.png"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match=r"is a folder; name a file in it"):
        load_image(tmp_path)
    with pytest.raises(ValueError, match=r"text\.png cannot be read as a picture: its content is in no format"):
        load_image(text)
    with pytest.raises(ValueError, match=r"cut\.png cannot be read as a picture: .*truncated"):
        load_image(cut)


@pytest.mark.parametrize("channels", [1, 3])
def test_saved_png_reads_back_rounded_and_clamped(tmp_path, channels):
    x = torch.rand(channels, 5, 7) * 1.4 - 0.2
    save_image(x, tmp_path / "x.png")
    expected = (x.clamp(0, 1) * 255).round() / 255
    torch.testing.assert_close(load_image(tmp_path / "x.png", channels=channels)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_dtype_is_saved(tmp_path, dtype):
    save_image(torch.full((1, 3, 2, 2), 0.5, dtype=dtype), tmp_path / "x.png")
    torch.testing.assert_close(load_image(tmp_path / "x.png"), torch.full((1, 3, 2, 2), 128 / 255))


def test_several_images_become_a_grid_on_white(tmp_path):
    save_image(torch.zeros(5, 3, 4, 6), tmp_path / "grid.png", columns=3)
    sheet = load_image(tmp_path / "grid.png")[0, 0]
    assert sheet.shape == (2 * (4 + 2) + 2, 3 * (6 + 2) + 2)
    assert int((sheet == 0).sum()) == 5 * 4 * 6
    assert float(sheet[-3, -3]) == 1  # The sixth place is empty.


def test_jpeg_is_close_and_written_as_such(tmp_path):
    x = photo(size=32)
    save_image(x, tmp_path / "x.JPG")
    with Image.open(tmp_path / "x.JPG") as opened:
        assert opened.format == "JPEG"
    assert float((load_image(tmp_path / "x.JPG") - x).abs().mean()) < 0.03


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(2, 5, 5), ValueError, r"1 or 3 channels, got \(2, 5, 5\)"),
        (torch.rand(1, 1, 3, 5, 5), ValueError, r"got \(1, 1, 3, 5, 5\)"),
        (torch.full((3, 2, 2), math.nan), ValueError, "image must be finite, but 12 of its 12"),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), TypeError, "divide 8-bit pixels by 255"),
        (np.zeros((3, 2, 2)), TypeError, "must be a torch.Tensor"),
    ],
)
def test_what_is_no_image_is_not_saved(tmp_path, image, error, message):
    with pytest.raises(error, match=message):
        save_image(image, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_saved(tmp_path):
    x = torch.rand(3, 2, 2)
    with pytest.raises(ValueError, match=r"x\.tensor does not end in the suffix of a picture format"):
        save_image(x, tmp_path / "x.tensor")
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist"):
        save_image(x, tmp_path / "missing" / "x.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=r"folder\.png is a folder"):
        save_image(x, tmp_path / "folder.png")
    with pytest.raises(ValueError, match="columns must be"):
        save_image(x, tmp_path / "x.png", columns=0)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save_image(torch.zeros(3, 2, 2), tmp_path / "x.png")
    before = (tmp_path / "x.png").read_bytes()

    def fail(self, content):
        with self.open("wb") as stream:
            stream.write(content[:9])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        save_image(torch.ones(3, 2, 2), tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    assert (tmp_path / "x.png").read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_written_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    save_image(torch.zeros(3, 2, 2), tmp_path / "x.png")
    assert stat.S_IMODE((tmp_path / "x.png").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_links_stay_links_and_private_files_private(tmp_path):
    (tmp_path / "real.png").write_bytes(b"")
    (tmp_path / "real.png").chmod(0o600)
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    save_image(torch.rand(3, 4, 4), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert load_image(tmp_path / "real.png").shape == (1, 3, 4, 4)
    assert (tmp_path / "real.png").stat().st_mode & 0o777 == 0o600


def test_threads_that_write_one_file_leave_it_whole(tmp_path):
    path, image = tmp_path / "s.png", torch.rand(3, 32, 32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: save_image(image, path), range(40)))
    assert load_image(path).shape == (1, 3, 32, 32)
    assert list(tmp_path.iterdir()) == [path]


def test_quantization_noise_is_that_of_uniform_rounding(tmp_path, color):
    write(tmp_path / "8.png", color)
    write(tmp_path / "16.png", np.zeros((2, 2), dtype=np.uint16))
    write(tmp_path / "float.tif", np.zeros((2, 2), dtype=np.float32))
    save_measurement(torch.zeros(2), tmp_path / "y.npz")
    (tmp_path / "text.png").write_text("no picture")
    x = torch.rand(100_000, dtype=torch.float64)
    measured = float(((x * 255).round() / 255 - x).square().mean().sqrt())
    assert quantization_noise(tmp_path / "8.png") == pytest.approx(measured, rel=0.01)
    assert quantization_noise(tmp_path / "16.png") == pytest.approx(measured / 257, rel=0.01)
    assert quantization_noise(tmp_path / "float.tif") == 0
    assert quantization_noise(tmp_path / "y.npz") == 0
    with pytest.raises(ValueError, match=r"text\.png cannot be read as a picture"):
        quantization_noise(tmp_path / "text.png")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        quantization_noise(tmp_path / "none.png")


@pytest.mark.parametrize("name", sorted(io.PHOTOS))
def test_free_photos_need_no_network(name):
    x = photo(name, size=48)
    assert x.shape == (1, 3, 48, 48)
    assert 0 <= float(x.min()) < 0.3
    assert 0.6 < float(x.max()) <= 1


def test_astronaut_is_cropped_to_her_face():
    # Skin fills the middle of an aligned face; in the uncropped portrait it is a spot.
    red, green, blue = photo("astronaut", size=64)[0, :, 20:52, 20:44]
    skin = (red > green) & (green > blue) & (red > 0.5)
    assert float(skin.float().mean()) > 0.7


def test_unknown_photo_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no photo 'lena'; known: astronaut, camera, cat, coffee, rocket"):
        photo("lena")
    with pytest.raises(ValueError, match="size must be"):
        photo(size=0)
    with pytest.raises(TypeError, match="size must be an integer"):
        photo(size=1.5)

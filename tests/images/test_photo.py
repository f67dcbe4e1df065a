"""A person's photo: read as it was seen, written with all that belongs to it."""

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from torchvision.io import ImageReadMode, decode_png

from inverso._extras import MissingPackageError
from inverso.images import _decode
from inverso.images._color import deep_to_srgb
from inverso.images.photo import Photo, read_photo, write_photo


def exif_of(**numbers) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Maker", "2020:01:02 03:04:05"
    for tag, value in numbers.items():
        exif[int(tag.removeprefix("tag"))] = value
    return exif


def colors(shape=(6, 8, 3), *, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def adobe_rgb() -> bytes:
    """Write the profile of Adobe RGB (1998): its colorants under D50, and one exponent of 563/256."""
    texts = b"desc\0\0\0\0" + struct.pack(">I", 12) + b"Adobe RGB 1\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    colorants = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + bytes(2)
    tags = {b"desc": texts, b"wtpt": white, b"cprt": b"text\0\0\0\0free"}
    tags |= {
        name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += name + struct.pack(">II", start + len(data), len(value))
        data += padded
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s4s", 2020, 1, 1, 0, 0, 0, b"acsp", b"MSFT") + bytes(24)
    header += fixed(0.9642, 1, 0.8249)
    return header + bytes(128 - len(header)) + body


def test_colors_are_converted_from_the_profile_to_srgb(tmp_path):
    Image.new("RGB", (16, 16), (120, 180, 90)).save(tmp_path / "a.png", icc_profile=adobe_rgb())
    photo = read_photo(tmp_path / "a.png")
    # Without the way over D50: Adobe RGB (1998), section 4.3.5.3, and IEC 61966-2-1, both under D65.
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    from_xyz = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    linear = from_xyz @ to_xyz @ (np.array([120, 180, 90]) / 255) ** (563 / 256)
    expected = torch.from_numpy(1.055 * linear ** (1 / 2.4) - 0.055).float()
    torch.testing.assert_close(photo.pixels[0, :, 0, 0], expected, atol=1 / 255, rtol=0)
    assert "Adobe RGB" in photo.notes[0]


def test_sixteen_bits_agree_with_eight_in_the_conversion():
    pixels = colors((40, 40, 3)) // 2 + 64
    eight = _decode.to_srgb(Image.fromarray(pixels), adobe_rgb()).picture
    sixteen, note = deep_to_srgb((pixels / 255).astype(np.float32), adobe_rgb())
    assert np.abs(np.asarray(eight) / 255 - sixteen).max() < 2.5 / 255
    assert "Adobe RGB" in note


def test_srgb_profile_changes_no_pixel(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(colors()).save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo(tmp_path / "a.png")
    assert photo.notes == ()
    assert np.array_equal((photo.pixels[0].permute(1, 2, 0) * 255).round().numpy(), colors())


@pytest.mark.parametrize("profile", [b"", b"no profile", adobe_rgb()[:140], adobe_rgb()[:200]])
def test_broken_profiles_are_left_aside(tmp_path, profile):
    Image.fromarray(colors()).save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo(tmp_path / "a.png")
    assert np.array_equal((photo.pixels[0].permute(1, 2, 0) * 255).round().numpy(), colors())
    pixels, _ = deep_to_srgb(np.full((2, 2, 3), 0.5, np.float32), profile)
    assert np.all(pixels == 0.5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_pillow_does(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(colors()).save(tmp_path / "a.png", exif=exif)
    from PIL import ImageOps

    with Image.open(tmp_path / "a.png") as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal((read_photo(tmp_path / "a.png").pixels[0].permute(1, 2, 0) * 255).round(), upright)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_but_orientation_come_out_again(tmp_path, suffix):
    Image.fromarray(colors()).save(tmp_path / "a.jpg", exif=exif_of(tag274=6), dpi=(300, 300))
    photo = read_photo(tmp_path / "a.jpg")
    assert write_photo(photo, tmp_path / f"b{suffix}") == ()
    with Image.open(tmp_path / f"b{suffix}") as opened:
        kept = opened.getexif()
        assert kept[0x010F].rstrip("\0") == "Maker"
        assert kept.get(0x0112, 1) == 1
        assert opened.size == (6, 8)
        if suffix != ".webp":
            assert opened.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_texts_that_are_not_ascii_keep_their_bytes(tmp_path, suffix):
    # What cameras write, and Pillow does not: UTF-8 in a tag for ASCII, in the tables within the table as well.
    place_holder, name = "M..ller Cam", "Müller Cam".encode()
    exif = exif_of(tag315=place_holder)
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0xA434: place_holder}
    raw = exif.tobytes().replace(place_holder.encode(), name)
    Image.fromarray(colors()).save(tmp_path / "a.jpg", exif=raw)
    write_photo(read_photo(tmp_path / "a.jpg"), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as opened:
        kept = opened.getexif()
        assert kept[0x013B].rstrip("\0").encode("latin-1") == name
        assert kept.get_ifd(0x8769)[0xA434].rstrip("\0").encode("latin-1") == name


def test_floating_point_numbers_become_sixteen_bits_and_a_line_says_so(tmp_path):
    Image.fromarray(np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)).save(tmp_path / "a.tif")
    photo = read_photo(tmp_path / "a.tif")
    assert photo.depth == 16
    assert photo.notes == ("its pixels are 32-bit floating-point numbers, of which 16 bits per channel are kept",)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_come_out_as_they_went_in(tmp_path, suffix, channels):
    array = torch.from_numpy(colors((5, 7, channels), dtype=np.uint16).astype(np.float32) / 65535)
    pixels, alpha = array[..., : 1 if channels < 3 else 3], array[..., -1] if channels in {2, 4} else None
    photo = Photo(pixels.permute(2, 0, 1)[None], None if alpha is None else alpha[None, None], depth=16)
    assert write_photo(photo, tmp_path / f"a{suffix}") == ()
    again = read_photo(tmp_path / f"a{suffix}")
    assert again.depth == 16
    torch.testing.assert_close(again.pixels, photo.pixels, atol=1e-7, rtol=0)
    assert (again.alpha is None) == (alpha is None)
    if alpha is not None:
        torch.testing.assert_close(again.alpha, photo.alpha, atol=1e-7, rtol=0)


def test_deep_files_are_read_by_others(tmp_path):
    array = colors((5, 7, 3), dtype=np.uint16)
    photo = Photo(torch.from_numpy(array / 65535).float().permute(2, 0, 1)[None], depth=16, exif=exif_of().tobytes())
    write_photo(photo, tmp_path / "a.png")
    write_photo(photo, tmp_path / "a.tif")
    data = torch.frombuffer(bytearray((tmp_path / "a.png").read_bytes()), dtype=torch.uint8)
    assert np.array_equal(decode_png(data, ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy(), array)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), array)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.getexif()[0x010F] == "Maker"


def test_gray_stays_gray_and_transparency_is_kept(tmp_path):
    Image.fromarray(colors((4, 4, 2)), mode="LA").save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    assert photo.is_gray
    write_photo(photo.with_pixels(torch.rand(1, 3, 4, 4)), tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as opened:
        assert opened.mode == "LA"
        assert np.array_equal(np.asarray(opened)[..., 1], colors((4, 4, 2))[..., 1])


def test_what_a_format_cannot_hold_is_said(tmp_path):
    photo = Photo(torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4), depth=16, exif=exif_of().tobytes())
    notes = " ".join(write_photo(photo, tmp_path / "a.jpg"))
    assert "8 bits" in notes
    assert "transparency" in notes
    assert read_photo(tmp_path / "a.jpg").pixels.min() > 0.98, "laid over white"
    assert "metadata" in " ".join(write_photo(photo, tmp_path / "a.bmp"))


def test_metadata_beside_exif_are_not_kept_which_is_said(tmp_path):
    Image.fromarray(colors()).save(tmp_path / "a.jpg", xmp=b"<x:xmpmeta/>", comment=b"my aunt")
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.other == ("XMP", "a comment")
    for name in ("b.jpg", "b.png"):
        (line,) = write_photo(photo, tmp_path / name)
        assert line == "of the file's metadata EXIF alone is kept, and not XMP or a comment"
        assert read_photo(tmp_path / name).other == ()


def test_captions_of_a_tiff_are_not_kept_which_is_said(tmp_path):
    tags = [(700, 1, 12, b"<x:xmpmeta/>", True), (33723, 7, 4, b"\x1c\x02\x00\x00", True)]
    tifffile.imwrite(tmp_path / "a.tif", colors(), photometric="rgb", extratags=tags)
    assert read_photo(tmp_path / "a.tif").other == ("XMP", "IPTC")


def test_metadata_too_long_for_a_format_cost_no_photo(tmp_path):
    exif = exif_of()
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x927C: bytes(70_000)}
    notes = write_photo(Photo(torch.rand(1, 3, 8, 8), exif=exif.tobytes()), tmp_path / "a.jpg")
    assert ".png keeps them" in notes[0]
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.getexif()[0x010F] == "Maker"
        assert picture.getexif().get_ifd(0x8769).keys() == {0x9003}
    assert write_photo(Photo(torch.rand(1, 3, 8, 8), exif=exif.tobytes()), tmp_path / "a.png") == ()


def test_words_are_all_that_a_deep_tiff_keeps_of_metadata(tmp_path):
    words = exif_of()
    assert write_photo(Photo(torch.rand(1, 3, 8, 8), depth=16, exif=words.tobytes()), tmp_path / "a.tif") == ()
    words[0x8769] = {0x829A: 0.5}
    assert len(write_photo(Photo(torch.rand(1, 3, 8, 8), depth=16, exif=words.tobytes()), tmp_path / "a.tif")) == 1
    with Image.open(tmp_path / "a.tif") as picture:
        assert picture.getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("kind", ["white is zero", "planes", "premultiplied"])
def test_deep_tiffs_of_other_layouts(tmp_path, kind):
    path, pixels, alpha = tmp_path / "a.tif", colors(dtype=np.uint16), None
    if kind == "white is zero":
        pixels = pixels[..., :1]
        tifffile.imwrite(path, 65535 - pixels[..., 0], photometric="miniswhite")
    elif kind == "planes":
        tifffile.imwrite(path, np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
    else:
        alpha = np.full((6, 8, 1), 32768, np.uint16)
        laid = np.concatenate([(pixels * (alpha / 65535)).round().astype(np.uint16), alpha], axis=-1)
        tifffile.imwrite(path, laid, photometric="rgb", extrasamples=["assocalpha"])
    photo = read_photo(path)
    seen = photo.pixels[0].permute(1, 2, 0).numpy() * 65535
    np.testing.assert_allclose(seen, pixels, atol=1.01)
    assert (photo.alpha is None) == (alpha is None)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_of_several_pictures_the_first_is_read_which_is_said(tmp_path, suffix):
    first, second = (Image.new("L", (8, 8), value) for value in (50, 200))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second])
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.notes == ("of the 2 pictures in the file the first was read",)
    assert abs(float(photo.pixels.mean()) * 255 - 50) < 2


def test_what_pillow_does_not_read_of_a_tiff_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.float64))
    with pytest.raises(ValueError, match="a TIFF of float64 numbers, 1 per pixel"):
        read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".ico", ".icns", ".xbm", ".h5"])
def test_formats_that_do_not_hold_a_photo_are_refused(tmp_path, suffix):
    with pytest.raises(ValueError, match="suffix of a picture format"):
        write_photo(Photo(torch.rand(1, 3, 8, 8)), tmp_path / f"a{suffix}")


def test_cmyk_with_and_without_a_profile(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    photo = read_photo(tmp_path / "a.jpg")
    torch.testing.assert_close(photo.pixels[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]), atol=0.02, rtol=0)
    assert [note[:33] for note in photo.notes] == ["its CMYK colors have no profile: "]


def test_more_than_a_hundred_megapixels_only_when_meant(tmp_path, monkeypatch):
    Image.fromarray(colors()).save(tmp_path / "a.png")
    monkeypatch.setattr(_decode, "LARGEST", 40)
    with pytest.raises(ValueError, match=r"a\.png has 8 x 6 pixels"):
        read_photo(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png", large=True).size == (8, 6)
    assert Image.MAX_IMAGE_PIXELS is not None


def test_heic_is_read_and_written(tmp_path):
    pytest.importorskip("pillow_heif")
    smooth = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous()
    write_photo(Photo(smooth, exif=exif_of().tobytes()), tmp_path / "a.heic")
    (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    photo = read_photo(tmp_path / "a.jpg")
    assert (photo.pixels - smooth).abs().max() < 0.05
    assert b"Maker" in photo.exif


def test_heic_without_its_package_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(bytes(4) + b"ftypheic" + bytes(40))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingPackageError, match=r"a\.heic.*inverso-imaging\[heif\]"):
        read_photo(tmp_path / "a.heic")
    with pytest.raises(MissingPackageError, match=r"b\.heic.*inverso-imaging\[heif\]"):
        write_photo(Photo(torch.rand(1, 3, 4, 4)), tmp_path / "b.heic")


def test_truncated_files_are_refused(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(colors((64, 64, 3))).save(stream, "PNG")
    for name, content in {"a.png": stream.getvalue()[:900], "b.png": b"", "c.tif": b"II*\0" + bytes(4)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture"):
            read_photo(tmp_path / name)
    deep = Photo(torch.rand(1, 3, 40, 40), depth=16)
    for name in ("d.png", "d.tif"):
        write_photo(deep, tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:800])
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture"):
            read_photo(tmp_path / name)


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read as a picture: the file is empty"):
        read_photo(tmp_path / "a.jpg")


def test_pixels_of_another_kind_are_refused():
    photo = Photo(torch.rand(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\)"):
        photo.with_pixels(torch.rand(2, 3, 4, 4))
    with pytest.raises(ValueError, match="finite"):
        photo.with_pixels(torch.full((1, 3, 4, 4), float("nan")))


@pytest.mark.parametrize(
    ("wrong", "kind", "match"),
    [
        ({"pixels": np.zeros((1, 3, 4, 4), np.float32)}, TypeError, r"pixels must be a torch\.Tensor .* got ndarray"),
        ({"pixels": torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}, TypeError, r"uint8 .*divide 8-bit pixels by 255"),
        ({"pixels": torch.rand(3, 4, 4)}, ValueError, r"\(1, 1 or 3, H, W\), got \(3, 4, 4\)"),
        ({"pixels": torch.rand(2, 3, 4, 4)}, ValueError, r"\(1, 1 or 3, H, W\), got \(2, 3, 4, 4\)"),
        ({"pixels": torch.rand(1, 4, 4, 4)}, ValueError, r"\(1, 1 or 3, H, W\), got \(1, 4, 4, 4\)"),
        ({"pixels": torch.rand(1, 3, 0, 4)}, ValueError, "empty"),
        ({"alpha": torch.rand(1, 1, 2, 4)}, ValueError, r"alpha .*\(1, 1, 4, 4\) as the photo, got \(1, 1, 2, 4\)"),
        ({"depth": 12}, ValueError, "depth must be one of 8, 16, got 12"),
    ],
)
def test_a_photo_of_another_kind_is_refused_and_not_written_as_something_else(wrong, kind, match):
    with pytest.raises(kind, match=match):
        Photo(**({"pixels": torch.rand(1, 3, 4, 4)} | wrong))


@pytest.mark.parametrize("name", ["pixels", "alpha"])
def test_what_is_not_finite_is_not_written_as_black(tmp_path, name):
    plain = {"pixels": torch.rand(1, 3, 4, 4), "alpha": torch.ones(1, 1, 4, 4)}
    photo = Photo(**plain | {name: torch.full_like(plain[name], float("nan"))})
    with pytest.raises(ValueError, match=rf"photo\.{name} must be finite"):
        write_photo(photo, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"dpi": (-1, 5)}, ValueError, "each of dpi must be greater than 0, got -1"),
        ({"dpi": (5, float("nan"))}, ValueError, "each of dpi must be a number > 0, got nan"),
        ({"dpi": (5, 1e9)}, ValueError, "each of dpi must be at most 65535"),
        ({"dpi": 300}, TypeError, r"dpi must be \(horizontal, vertical\) in dots per inch, got 300"),
        ({"exif": b"junk"}, ValueError, "exif must be EXIF data, .*, got b'junk'"),
        ({"exif": "Maker"}, TypeError, "exif must be EXIF data as bytes, got str"),
        ({"noise": -0.1}, ValueError, "noise must be at least 0, got -0.1"),
    ],
)
def test_metadata_that_cannot_be_are_refused(given, error, says):
    with pytest.raises(error, match=says):
        Photo(torch.rand(1, 3, 4, 4), **given)


def test_a_resolution_that_cannot_be_is_not_read(tmp_path):
    Image.fromarray(colors()).save(tmp_path / "a.png", dpi=(1e7, 1e7))
    assert read_photo(tmp_path / "a.png").dpi is None

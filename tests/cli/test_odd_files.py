"""Odd files through `solve` and `restore`: each a right answer, or one clear line and exit code 2; nothing lost."""

import errno
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import inverso.priors
from inverso.images import Photo, read_photo, write_photo
from inverso.priors import WrappedDenoiser


def pixels(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    ramp = np.linspace(0.1, 0.9, height * width * channels).reshape(height, width, channels)
    return (ramp * np.iinfo(dtype).max).astype(dtype)


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 20)) -> Image.Image:
    return Image.fromarray(pixels(size[1], size[0])).convert(mode)


def deep(path: Path, channels: int) -> None:
    write_photo(Photo(torch.rand(1, channels, 20, 24), depth=16), path)


def palette(path: Path) -> None:
    picture("P").save(path, transparency=0)


def with_profile(path: Path, profile: bytes) -> None:
    picture().save(path, icc_profile=profile)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(size=(20, 24)).save(path, exif=exif)


def cut(path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels(64, 64)).save(stream, "JPEG")
    path.write_bytes(stream.getvalue()[:700])


def several(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[picture("L"), picture()])


def large_tiff(path: Path) -> None:
    tifffile.imwrite(path, pixels(20, 24), photometric="rgb", bigtiff=True, metadata=None, software="Scanner")


def bent_tiff(path: Path) -> None:
    """Write a TIFF whose table of tags ends behind the file."""
    picture().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"II*") + 8] + b"\xff" * 30)


def linked(path: Path) -> None:
    picture().save(path.with_name("real.png"))
    path.symlink_to("real.png")


FINE = {
    "one pixel.png": lambda path: picture(size=(1, 1)).save(path),
    "row.png": lambda path: picture(size=(300, 1)).save(path),
    "column.png": lambda path: picture(size=(1, 300)).save(path),
    "prime.png": lambda path: picture(size=(31, 37)).save(path),
    "gray.png": lambda path: picture("L").save(path),
    "black and white.png": lambda path: picture("1").save(path),
    "gray with alpha.png": lambda path: picture("LA").save(path),
    "alpha.png": lambda path: picture("RGBA").save(path),
    "palette.png": palette,
    "palette.gif": lambda path: picture("P").save(path),
    "gray deep.png": lambda path: deep(path, 1),
    "deep.png": lambda path: deep(path, 3),
    "deep.tif": lambda path: deep(path, 3),
    "float.tif": lambda path: Image.fromarray(np.full((20, 24), 0.5, np.float32)).save(path),
    "cmyk.jpg": lambda path: picture("CMYK").save(path),
    "cmyk.tif": lambda path: picture("CMYK").save(path),
    "lab.tif": lambda path: picture("LAB").save(path),
    "ycbcr.jpg": lambda path: picture("YCbCr").save(path),
    "turned.jpg": turned,
    "broken profile.png": lambda path: with_profile(path, b"none"),
    "film.gif": several,
    "pages.tif": several,
    "large kind.tif": large_tiff,
    "webp.webp": lambda path: picture().save(path),
    "bitmap.bmp": lambda path: picture().save(path),
    "wrong suffix.png": lambda path: picture().save(path, "JPEG"),
    "linked.png": linked,
    "-dash.png": lambda path: picture().save(path),
    "name @ with, odd = letters é.png": lambda path: picture().save(path),
    "black.png": lambda path: Image.new("RGB", (24, 20)).save(path),
    "white.png": lambda path: Image.new("RGB", (24, 20), "white").save(path),
}
BROKEN = {
    "cut.jpg": cut,
    "empty.png": lambda path: path.write_bytes(b""),
    "text.png": lambda path: path.write_text("no picture"),
    "missing.png": lambda path: path.unlink(missing_ok=True),
    "loop.png": lambda path: path.symlink_to(path),
    "dangling.png": lambda path: path.symlink_to("nowhere.png"),
    "pipe.png": os.mkfifo,
    "bent.tif": bent_tiff,
    "raw.nef": lambda path: path.write_bytes(b"II*\0" + bytes(300)),
    "colors.tif": lambda path: tifffile.imwrite(path, np.zeros((20, 24, 3), np.float32), photometric="rgb"),
    "bright.tif": lambda path: Image.fromarray(np.full((20, 24), 7.5, np.float32)).save(path),
}
COMMANDS = {
    "restore": ("restore", "--noise", "0.05"),
    "solve": ("solve", "-A", "identity", "-m", "pinv"),
}


@pytest.fixture(autouse=True)
def _denoiser(monkeypatch):
    smooth = WrappedDenoiser(lambda x, _: 0.9 * x + 0.05, channels=3, sigma_range=(0.002, 1.0))
    load = inverso.priors.load
    monkeypatch.setattr(inverso.priors, "load", lambda name, **kind: smooth if name == "photos" else load(name, **kind))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FINE)
def test_what_can_be_read_is_answered(inverso, tmp_path, name, command):
    FINE[name](tmp_path / name)
    before = (tmp_path / name).read_bytes()
    words, options = COMMANDS[command][0], COMMANDS[command][1:]
    result = inverso(words, tmp_path / name, *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    source, answer = read_photo(tmp_path / name), read_photo(tmp_path / "out.png")
    assert answer.size == source.size
    assert (tmp_path / name).read_bytes() == before
    assert answer.is_gray == source.is_gray
    assert answer.depth == source.depth
    # solve computes with the 32 bits that it has read.
    notes = [note for note in source.notes if command == "restore" or "32-bit" not in note]
    assert all(note in result.stdout for note in notes)
    if command == "restore":
        assert (answer.alpha is None) == (source.alpha is None)
    elif source.alpha is not None:
        assert "its transparency was laid over white" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_one_line(inverso, tmp_path, name, command):
    BROKEN[name](tmp_path / name)
    words, options = COMMANDS[command][0], COMMANDS[command][1:]
    result = inverso(words, tmp_path / name, *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 2, result.output
    assert result.stderr.count("error: ") == result.stderr.strip().count("\n") + 1 == 1
    assert name in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_cannot_be_written_keeps_the_old_answer(inverso, tmp_path, monkeypatch, command, number):
    picture().save(tmp_path / "a.png")
    (tmp_path / "out.png").write_bytes(b"old")

    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["inverso.images.photo"], "encode", fail)
    words, options = COMMANDS[command][0], COMMANDS[command][1:]
    result = inverso(words, "a.png", *options, "-o", "out.png")
    assert result.exit_code == 2
    assert os.strerror(number) in result.stderr
    assert "out.png" in result.stderr
    assert ".tmp" not in result.stderr
    assert (tmp_path / "out.png").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.png"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_full_disk_is_one_line_in_every_format(inverso, tmp_path, monkeypatch, command, suffix):
    picture().save(tmp_path / "a.png")

    def fail(self, content):
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    words, options = COMMANDS[command][0], COMMANDS[command][1:]
    result = inverso(words, "a.png", *options, "-o", f"out{suffix}")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"error: out{suffix}: {os.strerror(errno.ENOSPC)}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files from anyone")
def test_a_folder_that_takes_no_files_is_refused_before_any_work(inverso, tmp_path):
    picture().save(tmp_path / "a.png")
    result = inverso("restore", "a.png", "-o", "/proc/out.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: /proc/out.png cannot be written: the folder /proc ")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_may_only_be_read_is_refused_before_any_work(inverso, tmp_path, monkeypatch, command):
    picture().save(tmp_path / "a.png")
    # Root, who runs tests in containers, may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    words, options = COMMANDS[command][0], COMMANDS[command][1:]
    result = inverso(words, "a.png", *options, "-o", "out.png")
    assert result.exit_code == 2
    assert "may only be read" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_names_of_old_disks_that_are_no_utf8_stop_no_folder(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    for name in ("a.png", os.fsdecode(b"Gr\xfc\xdfe.png")):
        picture().save(tmp_path / "album" / name)
    for told in ("2 done: out", "0 done; 2 were there already: out"):
        result = inverso("restore", "album", "--noise", "0.05", "--workers", 1, "-o", "out")
        assert result.exit_code == 0, result.output
        assert told in result.output
    assert os.fsencode(tmp_path / "out") + b"/Gr\xfc\xdfe.png" in {os.fsencode(p) for p in (tmp_path / "out").iterdir()}


def test_names_may_be_as_long_as_the_system_takes(inverso, tmp_path):
    longest = "x" * 251
    (tmp_path / "album").mkdir()
    picture().save(tmp_path / "album" / f"{longest}.jpg")
    assert inverso("restore", "album", "--noise", "0.05", "--workers", 1, "-o", "out").exit_code == 0
    assert (tmp_path / "out" / f"{longest}.png").exists()


def test_links_that_lead_nowhere_stop_no_folder(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    for name in ("a.png", "loop.png", "dangling.png"):
        picture().save(tmp_path / "album" / name)
    assert inverso("restore", "album", "--noise", "0.05", "--workers", 1, "-o", "out").exit_code == 0
    for name in ("loop.png", "dangling.png"):
        (tmp_path / "album" / name).unlink()
        BROKEN[name](tmp_path / "album" / name)
    result = inverso("restore", "album", "--noise", "0.05", "--workers", 1, "-o", "out")
    assert result.exit_code == 2
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in sorted(told)] == ["album/dangling.png", "album/loop.png"]
    assert "0 done, 2 failed; 1 were there already" in result.output


def test_an_empty_name_is_not_the_folder_one_is_in(inverso, tmp_path):
    picture().save(tmp_path / "a.png")
    result = inverso("restore", "", "-o", "out")
    assert result.exit_code == 2
    assert "an input has an empty name" in result.stderr
    assert not (tmp_path / "out").exists()


def test_masks_of_any_name(inverso, tmp_path):
    picture().save(tmp_path / "a.png")
    mask = Image.new("L", (24, 20))
    mask.paste(255, (3, 3, 9, 5))
    for name in ("m@2,x=1.png", "no suffix"):
        mask.save(tmp_path / name, "PNG")
        result = inverso("solve", "a.png", "--mask", name, "-m", "interpolation", "-o", "out.png")
        assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="resource is of Unix")
@pytest.mark.parametrize("command", COMMANDS)
def test_twelve_megapixels(inverso, tmp_path, command):
    Image.fromarray(pixels(3024, 4032)).save(tmp_path / "large.jpg", quality=90)
    words, options = COMMANDS[command][0], COMMANDS[command][1:]
    result = inverso(words, "large.jpg", *options, "-o", "out.jpg")
    assert result.exit_code == 0, result.output
    assert read_photo("out.jpg").size == (4032, 3024)

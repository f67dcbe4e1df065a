"""`inverso restore`: a photo in, a photo out, and one line about everything that was done."""

import json
import re

import pytest
import torch
from PIL import Image

from inverso.images import Photo, load_image, photo, read_photo, write_photo
from inverso.priors import WrappedDenoiser
from inverso.restorers import DamageDetector, save_detector


@pytest.fixture(autouse=True)
def _denoiser(monkeypatch):
    """Give a denoiser that smooths for the name `photos`."""

    def smooth(x, sigma):
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        return torch.nn.functional.avg_pool2d(padded, 3, stride=1)

    known = {"photos": WrappedDenoiser(smooth, channels=3, sigma_range=(0.002, 1.0))}
    import inverso.priors

    load = inverso.priors.load
    monkeypatch.setattr(inverso.priors, "load", lambda name: known[name] if name in known else load(name))


def test_a_good_photo_is_left_as_it_is(inverso, tmp_path):
    write_photo(Photo(photo("coffee", size=96)), tmp_path / "a.png")
    result = inverso("restore", "a.png", "-o", "b.png")
    assert result.exit_code == 0, result.output
    assert "as it was" in result.stdout
    assert "wrote b.png" in result.stdout
    assert torch.equal(load_image("b.png"), load_image("a.png"))


def test_a_mask_is_filled_and_all_else_kept(inverso, tmp_path):
    x = photo("cat", size=64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 30, 5:60] = 1
    write_photo(Photo(x.masked_fill(mask > 0, 1.0), exif=b""), tmp_path / "a.png")
    write_photo(Photo(mask), tmp_path / "m.png")
    report = json.loads(inverso("restore", "a.png", "--mask", "m.png", "-o", "b.png", "--json").stdout)
    assert report["filled"] == pytest.approx(55 / 64**2)
    kept = (mask == 0).expand_as(x)
    assert torch.equal(load_image("b.png")[kept], load_image("a.png")[kept])
    assert (load_image("b.png") - x)[~kept].abs().mean() < 0.1


def test_the_default_output_lies_beside_the_photo(inverso, tmp_path):
    write_photo(Photo(torch.rand(1, 1, 8, 8), depth=16), tmp_path / "a.tif")
    assert inverso("restore", "a.tif", "--noise", "0.05").exit_code == 0
    answer = read_photo("a-restored.tif")
    assert (answer.depth, answer.is_gray) == (16, True)


def test_a_format_that_cannot_be_written_becomes_png(inverso, tmp_path):
    Image.new("RGB", (16, 16), (90, 40, 10)).save(tmp_path / "a.ico")
    result = inverso("restore", "a.ico", "--noise", 0)
    assert "wrote a-restored.png" in result.stdout


def test_a_detector_finds_what_old_fills(inverso, tmp_path):
    write_photo(Photo(photo("cat", size=48)), tmp_path / "a.png")
    detector = DamageDetector(widths=(8, 8, 8))
    with torch.no_grad():
        detector.answer.weight.zero_()
        detector.answer.bias.fill_(-9)
    save_detector(detector, tmp_path / "d.safetensors")
    words = ("restore", "a.png", "--old", "--noise", 0, "--detector", "d.safetensors")
    report = json.loads(inverso(*words, "-o", "b.png", "--json").stdout)
    assert report["filled"] == 0
    assert "by a network" in " ".join(report["said"])
    (tmp_path / "many").mkdir()
    write_photo(Photo(photo("cat", size=48)), tmp_path / "many" / "a.png")
    result = inverso("restore", "many", *words[2:], "-o", "out")
    assert result.exit_code == 0, result.output
    assert torch.equal(load_image("out/a.png"), load_image("b.png"))
    assert "noise: what was taken off; filled, stained: shares of the photo" in result.stdout
    assert "were taken for damage" not in result.stdout, "nothing was filled"


@pytest.mark.slow
def test_a_folder_of_old_photos_tells_what_to_look_for(inverso, tmp_path):
    (tmp_path / "many").mkdir()
    scratched = torch.full((1, 3, 64, 64), 0.4)
    scratched[..., 8:56, 30] = 1
    write_photo(Photo(scratched), tmp_path / "many" / "a.png")
    result = inverso("restore", "many", "--old", "--noise", 0, "--detector", "shape", "--workers", 1, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "look whether small or thin things, bright or dark, were taken for damage" in result.stdout


def test_what_is_to_be_kept_is_kept_and_what_was_filled_is_written(inverso, tmp_path):
    x = torch.full((1, 1, 120, 120), 0.4)
    x[..., 20:100, 30] = x[..., 20:100, 80] = 1.0
    write_photo(Photo(x), tmp_path / "a.png")
    keep = torch.zeros_like(x)
    keep[..., 70:] = 1
    write_photo(Photo(keep), tmp_path / "keep.png")
    words = ("a.png", "--old", "--detector", "shape", "--noise", 0, "--keep", "keep.png", "--found", "found.png")
    result = inverso("restore", *words, "-o", "b.png")
    assert "wrote b.png and found.png" in result.stdout
    before, after, found = (load_image(name) for name in ("a.png", "b.png", "found.png"))
    assert torch.equal(after[..., 70:], before[..., 70:])
    assert bool((found[..., 20:100, 30] == 1).all())
    assert found[..., 70:].sum() == 0
    assert after[..., 25:95, 30].max() < 0.6
    # What was filled, given as a mask, is filled alike.
    inverso("restore", "a.png", "--mask", "found.png", "--noise", 0, "-o", "c.png")
    assert torch.equal(load_image("c.png"), after)


def test_nothing_found_is_a_black_picture(inverso, tmp_path):
    write_photo(Photo(torch.linspace(0, 1, 96).expand(1, 1, 96, 96)), tmp_path / "a.png")
    words = ("restore", "a.png", "--old", "--detector", "shape", "--found", "found.png", "-o", "b.png")
    assert inverso(*words).exit_code == 0
    assert load_image("found.png").sum() == 0


def test_a_folder_tells_what_was_found_and_what_was_left_out(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    frames = [Image.new("L", (16, 16), value) for value in (90, 99)]
    frames[0].save("album/film.gif", save_all=True, append_images=frames[1:])
    result = inverso("restore", "album", "--noise", 0, "--workers", 1, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "album/film.gif: of the 2 pictures in the file the first was read" in result.stdout
    assert result.stdout.split()[:6] == ["image", "seconds", "noise", "filled", "stained", "change"]
    assert "1 of 1, film.gif" in result.stderr


def test_answers_worse_than_their_photos_and_what_was_left_are_named(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    write_photo(Photo(photo("cat", size=32)), tmp_path / "album" / "sharp.png")
    words = ("restore", "album", "--noise", 0, "--workers", 1)
    blurred, plain = (inverso(*words, *more).stdout for more in (("--blur", 4, "-o", "blurred"), ("-o", "plain")))
    assert "album/sharp.png: a Gaussian of 4 pixels was not undone" in blurred
    assert "was not undone" not in plain
    enlarged = inverso(*words, "--blur", 4, "--scale", 2, "-o", "enlarged").stdout
    assert "album/sharp.png: in 1 of 1 windows the answer is likely worse than the photo" in enlarged


def test_a_folder_that_is_stopped_says_how_to_go_on(inverso, tmp_path, monkeypatch):
    (tmp_path / "album").mkdir()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("inverso.jobs.run_folder", stopped)
    result = inverso("restore", "album", "-o", "out")
    assert result.exit_code == 130
    assert result.stderr == "what is done is in out: the same command goes on from there\nerror: interrupted\n"
    again = inverso("restore", "album", "-o", "out", "--again")
    assert "the same command without --again goes on" in again.stderr


def test_failures_of_single_photos_speak_of_the_options(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    write_photo(Photo(photo("cat", size=24)), tmp_path / "album" / "cat.png")
    Image.new("1", (12_000, 9_000)).save(tmp_path / "album" / "huge.png")
    words = ("restore", "album", "--noise", 0, "--workers", 1, "-o", "out")
    assert re.search(r"error: album/huge.png.* --large\n", inverso(*words).stderr)
    report = json.loads(inverso(*words, "--json").stdout)
    [error] = [image["error"] for image in report["images"] if "error" in image]
    assert error.endswith("--large")


def test_what_failed_before_is_not_counted_as_done(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    write_photo(Photo(photo("cat", size=24)), tmp_path / "album" / "cat.png")
    (tmp_path / "album" / "broken.jpg").write_bytes(b"no picture")
    words = ("restore", "album", "--noise", 0, "--workers", 1, "-o", "out")
    first, second, third = inverso(*words), inverso(*words), inverso(*words, "--again")
    assert [each.exit_code for each in (first, second, third)] == [2, 2, 2]
    assert "1 done, 1 failed (--again tries them again): out" in first.stdout
    assert "0 done; 1 were there already, 1 had failed before (--again tries them again): out" in second.stdout
    assert "0 done, 1 failed; 1 were there already (--again" in third.stdout
    for each in (first, second, third):
        assert ["album/broken.jpg", "failed"] in [line.split() for line in each.stdout.splitlines()]
        assert "album/broken.jpg cannot be read as a picture" in each.stderr


def test_photos_of_one_name_keep_their_ending_and_a_line_says_so(inverso, tmp_path):
    (tmp_path / "album").mkdir()
    for name in ("scan.png", "scan.tif", "cat.png"):
        write_photo(Photo(photo("cat", size=24)), tmp_path / "album" / name)
    result = inverso("restore", "album", "--noise", 0, "--workers", 1, "-o", "out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["cat.png", "scan-png.png", "scan-tif.png"]
    said = "2 photos differ from another by the ending only: their results keep it, as in out/scan-png.png"
    assert said in result.stdout


def test_enlarging(inverso, tmp_path):
    write_photo(Photo(photo("cat", size=24)), tmp_path / "a.png")
    assert inverso("restore", "a.png", "--scale", 2, "-o", "b.jpg").exit_code == 0
    assert read_photo("b.jpg").size == (48, 48)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("none.png", "there is no file none.png"),
        ("album -o restored", "there is no file album"),
        ("text.png", "text.png cannot be read as a picture"),
        ("photo.png --mask small.png", "small.png has 8 x 8 pixels and the photo 24 x 24"),
        ("photo.png --mask black.png", "black.png marks nothing"),
        ("photo.png --noise much", "--noise must be auto or a number"),
        ("photo.png --noise -1", "noise must be at least 0"),
        ("photo.png --noise 25", "25 of 255 gray levels are 0.098"),
        ("photo.png --noise 0.7", "at most 0.5, where white is 1, got 0.7"),
        ("photo.png --keep small.png", "add --old"),
        ("photo.png --old --keep small.png", "small.png has 8 x 8 pixels and the photo 24 x 24"),
        ("photo.png --old --found photo.png -o out.png", "would be overwritten"),
        ("photo.png --old --found out.png -o out.png", "would be overwritten"),
        ("photo.png --found found.png", "--found found.png shows what --old or --mask fills: add one of them"),
        ("photo.png --face-prior faces-64", "--face-prior faces-64 is for the faces that --face restores: add --face"),
        ("photo.png --scale 9", "--scale must be 1 to 8, got 9"),
        ("photo.png --prior faces-64", "--prior must name a denoiser"),
        ("photo.png -o none/out.png", "the folder none does not exist"),
        ("photo.png -o photo.png", "would be overwritten"),
        ("photo.png --detector d.safetensors", "add --old"),
        ("photo.png --no-stains", "add --old"),
        ("photo.png --old --detector text.png", "text.png"),
        ("photo.png -o out.xyz", "suffix of a picture format"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(inverso, picture, tmp_path, words, message):
    (tmp_path / "text.png").write_text("no picture")
    write_photo(Photo(torch.ones(1, 1, 8, 8)), tmp_path / "small.png")
    write_photo(Photo(torch.zeros(1, 1, 24, 24)), tmp_path / "black.png")
    before = sorted(tmp_path.iterdir())
    result = inverso("restore", *words.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_absence_of_faces_is_one_line_and_an_error_only_where_nothing_else_is_to_be_done(inverso, tmp_path):
    write_photo(Photo(photo("cat", size=40)), tmp_path / "a.png")
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 18:22, 15:25] = 1
    write_photo(Photo(mask), tmp_path / "m.png")
    nothing = inverso("restore", "a.png", "--noise", "0", "--face", "-o", "b.png")
    assert nothing.exit_code == 2
    assert "no face" in nothing.stderr
    assert "--face-at" in nothing.stderr
    assert not (tmp_path / "b.png").exists()
    for words in (("--mask", "m.png"), ("--scale", "2"), ("--scale", "2", "--blur", "auto")):
        done = inverso("restore", "a.png", "--noise", "0", *words, "--face", "-o", "b.png", "--json")
        assert done.exit_code == 0, done.output
        said = json.loads(done.stdout)["said"]
        assert [line for line in said if "no face was found" in line], said
        (tmp_path / "b.png").unlink()
    folder = inverso("restore", "a.png", "m.png", "--noise", "0", "--face", "-o", "all")
    assert folder.exit_code == 0, folder.output
    assert torch.equal(load_image("all/a.png"), load_image("a.png"))


def test_faces_are_restored_where_told(inverso, prior, tmp_path):
    x = photo("cat", size=40)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 18:22, 15:25] = 1
    write_photo(Photo(x.masked_fill(mask > 0, 1.0)), tmp_path / "a.png")
    write_photo(Photo(mask), tmp_path / "m.png")
    words = ("restore", "a.png", "--mask", "m.png", "--face-prior", prior, "-o", "b.png")
    intact = inverso(*words, "--face-at", "6,6,8")
    assert intact.exit_code == 0, intact.output
    assert "row 6 is not damaged" in intact.stdout
    kept = (mask == 0).expand_as(x)
    assert torch.equal(load_image("b.png")[kept], load_image("a.png")[kept])
    wrong = inverso(*words, "--face-at", "6,6")
    assert wrong.exit_code == 2
    assert "X,Y,SIDE" in wrong.stderr


@pytest.mark.parametrize(("first", "second"), [("a.jpg", "b.jpeg"), ("a.webp", "b.webp"), ("a.png", "b.png")])
def test_the_file_of_a_photo_that_needs_nothing_is_copied(inverso, tmp_path, first, second):
    """A second compression would change it."""
    write_photo(Photo(photo("coffee", size=96)), tmp_path / first)
    assert inverso("restore", first, "-o", second).exit_code == 0
    assert (tmp_path / second).read_bytes() == (tmp_path / first).read_bytes()


def test_a_turned_photo_or_another_format_is_written_anew(inverso, tmp_path):
    write_photo(Photo(photo("coffee", size=96)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(tmp_path / "turned.png", exif=exif)
        picture.save(tmp_path / "named.jpg", format="PNG")
    for source, target in (("turned.png", "b.png"), ("named.jpg", "c.jpg")):
        assert inverso("restore", source, "-o", target).exit_code == 0
        assert (tmp_path / source).read_bytes() != (tmp_path / target).read_bytes()
    with Image.open(tmp_path / "b.png") as upright:
        assert upright.getexif().get(0x0112, 1) == 1
    with Image.open(tmp_path / "c.jpg") as told:
        assert told.format == "JPEG"

"""`inverso single`: a tiny prior is fitted on the command line, and every use of it does what the library does."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from inverso.cli.app import app
from inverso.images import Photo, write_photo
from inverso.images._decode import decode
from inverso.images.io import load_image, photo, save_image
from inverso.priors import SinGAN, load
from inverso.training import SinGANRecipe, fit

SIDES = (20, 24)
TINY = ("--min-size", "12", "--width", "4", "--steps", "2", "-q")


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A prior fitted to a photo of 24 x 20 pixels, for an instant."""
    folder = tmp_path_factory.mktemp("single")
    save_image(photo("coffee", size=24)[..., :20, :], folder / "photo.png")
    words = ["single", "fit", str(folder / "photo.png"), "-o", str(folder / "model.safetensors"), *TINY]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (folder / "output.txt").write_text(result.stdout)
    return folder / "model.safetensors"


@pytest.fixture
def prior(model) -> SinGAN:
    return load(model)


@pytest.fixture
def files(prior, tmp_path) -> dict[str, Path]:
    """An image of the photo's size, one twice as large, a mask for each."""
    save_image(prior.photo.flip(-1), tmp_path / "image.png")
    save_image(photo("cat", size=48)[..., :40, :], tmp_path / "large.png")
    mask = torch.zeros(1, *SIDES)
    mask[:, 5:9, 8:14] = 1
    save_image(mask, tmp_path / "mask.png")
    save_image(mask.repeat_interleave(2, 1).repeat_interleave(2, 2), tmp_path / "large-mask.png")
    return {path.stem: path for path in tmp_path.glob("*.png")}


def same(path: Path, expected: torch.Tensor) -> bool:
    found = load_image(path, channels=expected.shape[-3])
    return torch.equal((found * 255).round(), (expected.detach().clamp(0, 1) * 255).round())


def test_a_fit_writes_the_prior_says_the_seconds_and_leaves_nothing_else(model, prior):
    assert [path.name for path in sorted(model.parent.iterdir())] == ["model.safetensors", "output.txt", "photo.png"]
    lines = (model.parent / "output.txt").read_text().splitlines()
    assert lines[0].split() == ["scale", "pixels", "seconds", "noise", "reconstruction", "(dB)"]
    assert len(lines) == 1 + len(prior.sizes) + 2
    assert lines[-2].split()[0] == "all"
    assert lines[-1] == f"wrote {model}"
    assert prior.sizes[-1] == SIDES
    assert torch.equal(prior.photo, load_image(model.parent / "photo.png"))


def test_options_of_a_fit_change_the_recipe(inverso, picture, monkeypatch):
    asked = {}

    def record(recipe, image, *, out, run):
        asked.update(recipe=recipe, image=image, out=out, resume=run.resume, progress=run.progress)
        raise ValueError("enough")

    monkeypatch.setattr("inverso.training.fit", record)
    words = "--max-size 40 --min-size 12 --scale-factor 0.8 --width 8 --double-every 4 --steps 9,5 --concurrent 2"
    more = "--reconstruction 100 --no-batch-norm --seed 3 --run folder --no-resume -q"
    inverso("single", "fit", picture, "-o", "m.safetensors", *words.split(), *more.split())
    assert asked["recipe"] == SinGANRecipe(
        max_size=40,
        min_size=12,
        scale_factor=0.8,
        width=8,
        double_every=4,
        steps=(9, 5),
        concurrent=2,
        reconstruction=100.0,
        batch_norm=False,
        seed=3,
    )
    assert (asked["out"], asked["resume"], asked["progress"]) == (Path("folder"), False, False)
    save_image(photo("coffee", size=32), "larger.png")
    inverso("single", "fit", "larger.png", "-o", "m.safetensors")
    assert asked["recipe"] == SinGANRecipe()
    assert (asked["out"], asked["resume"], asked["progress"]) == (Path("m.fit"), True, True)


def test_a_photo_that_is_shrunk_is_said_to_be(inverso, picture, monkeypatch):
    def stop(*_, **__):
        raise ValueError("enough")

    monkeypatch.setattr("inverso.training.fit", stop)
    told = "its 24 x 24 pixels are shrunk to 20 on the longer side"
    words = ("single", "fit", picture, "-o", "m.safetensors", "--min-size", 12, "--max-size")
    assert [told in inverso(*words, size).stderr for size in (24, 20)] == [False, True]


def test_a_folder_that_was_named_is_kept(inverso, model):
    assert (
        inverso("single", "fit", model.parent / "photo.png", "-o", "m.safetensors", "--run", "run", *TINY).exit_code
        == 0
    )
    kept = {path.name for path in Path("run").iterdir()}
    assert {"recipe.json", "checkpoint.pt", "losses.csv"} <= kept
    again, before = load(Path("m.safetensors")).state_dict(), load(model).state_dict()
    assert all(torch.equal(again[name], value) for name, value in before.items())


def test_the_same_command_goes_on_where_it_was_stopped(inverso, model, monkeypatch):
    done = []

    def interrupted(recipe, image, *, out, run):
        def stop(row):
            done.append(row["step"])
            if len(done) == 2:
                raise KeyboardInterrupt

        return fit(recipe, image, out=out, run=replace(run, report=stop))

    words = ("single", "fit", model.parent / "photo.png", "-o", "m.safetensors", *TINY)
    with monkeypatch.context() as patch:
        patch.setattr("inverso.training.fit", interrupted)
        assert inverso(*words).exit_code == 130
    assert done == [1, 2]
    assert not Path("m.safetensors").exists()
    assert Path("m.fit", "checkpoint.pt").exists()
    kept = Path("m.fit", "losses.csv").read_text()
    result = inverso(*words)
    assert result.exit_code == 0
    # The table of all scales shows the seconds of those that the first run finished.
    seconds = [row.split(",")[3] for row in kept.splitlines()[1:]]
    assert [float(line.split()[4]) for line in result.stdout.splitlines()[1:3]] == pytest.approx(
        [float(value) for value in seconds], abs=0.06
    )
    again, unbroken = load(Path("m.safetensors")).state_dict(), load(model).state_dict()
    assert all(torch.equal(again[name], value) for name, value in unbroken.items())
    assert not Path("m.fit").exists()


def test_a_gray_photo_gives_a_gray_prior(inverso, tmp_path):
    save_image(photo("coffee", size=13)[:, :1], tmp_path / "gray.png")
    assert inverso("single", "fit", "gray.png", "-o", "gray.safetensors", *TINY).exit_code == 0
    assert load(tmp_path / "gray.safetensors").image_shape == (1, 13, 13)
    assert inverso("single", "paint", "gray.safetensors", "gray.png", "--colors", 3, "-o", "out.png").exit_code == 0
    with Image.open("out.png") as picture:
        assert picture.mode == "L"


def test_a_fit_needs_no_extra(inverso, picture, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    result = inverso("single", "fit", picture, "-o", "m.safetensors", *TINY)
    assert result.exit_code == 0, result.output


def test_sample_draws_one(inverso, model, prior):
    result = inverso("single", "sample", model, "-o", "one.png", "--size", "16x40", "--seed", 4)
    assert (result.exit_code, result.stdout) == (0, "wrote one.png\n")
    assert same(Path("one.png"), prior.sample(1, size=(16, 40), seed=4))


def test_sample_draws_a_sheet_and_a_folder(inverso, model, prior):
    assert inverso("single", "sample", model, "-n", 6, "-o", "sheet.png", "--columns", 3).exit_code == 0
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (3 * (24 + 2) + 2, 2 * (20 + 2) + 2)
    assert inverso("single", "sample", model, "-n", 11, "--start-scale", 2, "-o", "all").exit_code == 0
    assert sorted(path.name for path in Path("all").iterdir()) == [f"sample-{k:02}.png" for k in range(11)]
    expected = prior.sample(11, start_scale=2)
    assert all(same(Path(f"all/sample-{k:02}.png"), image[None]) for k, image in enumerate(expected))


def test_reconstruct_reports_the_psnr(inverso, model, prior):
    result = inverso("single", "reconstruct", model, "-o", "again.png")
    assert result.exit_code == 0
    assert result.stdout.startswith("psnr ")
    assert same(Path("again.png"), prior.reconstruct())
    assert inverso("single", "reconstruct", model, "--scale", 0, "-o", "coarse.png").exit_code == 0
    assert same(Path("coarse.png"), prior.reconstruct(0))


@pytest.mark.parametrize("verb", ["harmonize", "edit"])
def test_masks_of_white_and_black_say_what_is_drawn_anew(inverso, model, prior, files, verb):
    words = ["--start-scale", "1", "--dilate", "1", "--blend", "0.5", "--seed", "2"]
    result = inverso("single", verb, model, "image.png", "mask.png", "-o", "out.png", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    image, mask = load_image(files["image"]), load_image(files["mask"], channels=1)
    expected = getattr(prior, verb)(image, mask, start_scale=1, dilate=1, blend=0.5, seed=2)
    assert same(Path("out.png"), expected)
    assert inverso("single", verb, model, "image.png", "mask.png", "-o", "default.png").exit_code == 0
    assert same(Path("default.png"), getattr(prior, verb)(image, mask))


def test_transparent_parts_of_a_mask_are_not_painted(inverso, model, files):
    mask = load_image(files["mask"], channels=1)
    write_photo(Photo(torch.ones_like(mask), alpha=mask), "layer.png")
    for name in ("mask.png", "layer.png"):
        words = ("--dilate", 0, "--blend", 0, "-o", f"by-{name}")
        assert inverso("single", "edit", model, "image.png", name, *words).exit_code == 0
    assert torch.equal(load_image("by-mask.png"), load_image("by-layer.png"))


def test_larger_photos_keep_their_size_and_pixels(inverso, model, files):
    words = ("--dilate", 1, "--blend", 0)
    result = inverso("single", "edit", model, "large.png", "large-mask.png", "-o", "out.png", *words)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "large.png: what is drawn anew is enlarged from 24 x 20 pixels, the rest is kept"
    ]
    large, mask, answer = load_image("large.png"), load_image("large-mask.png", channels=1) > 0.5, load_image("out.png")
    assert answer.shape == large.shape
    # Two pixels of the large photo are one of the learned one.
    near = torch.nn.functional.max_pool2d(mask.float(), 5, stride=1, padding=2) > 0
    assert torch.equal(answer[~near.expand_as(answer)], large[~near.expand_as(large)])
    assert not torch.equal(answer, large)


def test_pictures_of_another_size_are_resized_and_this_is_said(inverso, model, files):
    result = inverso("single", "paint", model, "large.png", "-o", "out.png")
    assert result.exit_code == 0
    assert result.stderr == "resized large.png from 48 x 40 to 24 x 20 pixels, as the photo was learned\n"
    assert load_image("out.png").shape == (1, 3, *SIDES)
    result = inverso("single", "edit", model, "large.png", "mask.png", "-o", "out.png", "--dilate", 0, "--blend", 0)
    assert "resized mask.png from 24 x 20 to 48 x 40 pixels, as the image has" in result.stderr


def test_a_photo_fits_the_prior_that_it_was_shrunk_for(inverso, tmp_path):
    # 45 x 30 pixels become 20 x 14, not 20 x 13.3: more than two hundredths narrower.
    save_image(photo("coffee", size=45)[..., :30], tmp_path / "tall.png")
    assert inverso("single", "fit", "tall.png", "-o", "m.safetensors", "--max-size", 20, *TINY).exit_code == 0
    assert load("m.safetensors").sizes[-1] == (20, 14)
    mask = torch.zeros(1, 45, 30)
    mask[:, 10:20, 10:20] = 1
    save_image(mask, tmp_path / "tall-mask.png")
    result = inverso("single", "edit", "m.safetensors", "tall.png", "tall-mask.png", "-o", "out.png", "--dilate", 0)
    assert result.exit_code == 0, result.stderr
    assert load_image("out.png").shape == (1, 3, 45, 30)


def test_colors_and_transparency_that_are_left_out_are_told(inverso, tmp_path):
    gray, color = photo("camera", size=24), photo("coffee", size=24)
    save_image(gray, tmp_path / "gray.png")
    assert inverso("single", "fit", "gray.png", "-o", "m.safetensors", *TINY).exit_code == 0
    write_photo(Photo(color, alpha=torch.full((1, 1, 24, 24), 0.5)), tmp_path / "layer.png")
    result = inverso("single", "paint", "m.safetensors", "layer.png", "-o", "out.png")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == [
        "layer.png: its transparency was laid over white",
        "layer.png: its colors are left out, as the photo that was learned is gray",
    ]
    assert inverso("single", "paint", "m.safetensors", "gray.png", "-o", "out.png").stderr == ""


def test_a_picture_for_a_gray_prior_is_decoded_once(inverso, tmp_path, monkeypatch):
    save_image(photo("camera", size=24), tmp_path / "gray.png")
    save_image(photo("coffee", size=24), tmp_path / "color.png")
    assert inverso("single", "fit", "gray.png", "-o", "m.safetensors", *TINY).exit_code == 0
    decoded = []
    monkeypatch.setattr("inverso.images.io.decode", lambda path, **words: decoded.append(path) or decode(path, **words))
    assert inverso("single", "paint", "m.safetensors", "color.png", "-o", "out.png").exit_code == 0
    assert [Path(path).name for path in decoded] == ["color.png"]


def test_paint_with_the_colors_of_the_photo_or_its_own(inverso, model, prior, files):
    sketch = load_image(files["image"])
    for colors, expected in ((4, 4), (0, None)):
        words = ("--colors", colors, "--start-scale", 2, "--seed", 5)
        assert inverso("single", "paint", model, "image.png", "-o", "out.png", *words).exit_code == 0
        assert same(Path("out.png"), prior.paint_to_image(sketch, start_scale=2, colors=expected, seed=5))


def test_super_resolve_the_photo_or_another_picture(inverso, model, prior, files):
    assert inverso("single", "super-resolve", model, "--factor", 1.5, "-o", "out.png", "--seed", 1).exit_code == 0
    assert same(Path("out.png"), prior.super_resolve(1.5, seed=1))
    words = ("--factor", 1.5, "--back-projections", 0)
    assert inverso("single", "super-resolve", model, *words, "-o", "plain.png").exit_code == 0
    assert same(Path("plain.png"), prior.super_resolve(1.5, back_projections=0))
    assert (
        inverso("single", "super-resolve", model, "--factor", 2, "--image", "large.png", "-o", "out.png").exit_code == 0
    )
    assert load_image("out.png").shape == (1, 3, 80, 96)


def test_animate_writes_a_gif(inverso, model):
    result = inverso("single", "animate", model, "-o", "film.gif", "--frames", 5, "--fps", 20, "--start-scale", 1)
    assert (result.exit_code, result.stdout) == (0, "wrote film.gif\n")
    with Image.open("film.gif") as film:
        # Frames that differ by less than 256 colors can tell become one that is shown longer.
        assert (film.size, film.info["duration"] % 50) == ((24, 20), 0)


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "-o", "none/a.png"),
        ("reconstruct", "-o", "a.txt"),
        ("super-resolve", "--factor", "2", "-o", "none/a.png"),
        ("animate", "-o", "none/a.gif"),
    ],
    ids=lambda words: words[0],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_model_is_read(inverso, words):
    result = inverso("single", words[0], "no-model.safetensors", *words[1:])
    assert result.exit_code == 2
    assert "no-model" not in result.stderr


def test_no_command_shows_the_help(inverso):
    result = inverso("single")
    assert "super-resolve" in result.output
    assert "error:" not in result.output


BAD = {
    "no photo": ("fit none.png -o m.safetensors", "there is no file none.png"),
    "fit suffix": ("fit {image} -o m.pt", "m.pt must end in .safetensors"),
    "fit folder": ("fit {image} -o none/m.safetensors", "the folder none does not exist"),
    "fit over a folder": ("fit {image} -o {taken}", "taken.safetensors is a folder; name a file in it"),
    "fit run": ("fit {image} -o m.safetensors --run {mask}", "--run must be a folder, and"),
    "fit steps": ("fit {image} -o m.safetensors --steps many", "--steps takes one number or two"),
    "fit no steps": ("fit {image} -o m.safetensors --steps 5,0", "each of --steps must be an integer of at least 1"),
    "fit tiny": ("fit {image} -o m.safetensors -q", "--min-size 25"),
    "fit smaller": ("fit {image} -o m.safetensors --max-size 0", "error: --max-size must be an integer of at least 25"),
    "fit together": (
        "fit {image} -o m.safetensors --min-size 12 --concurrent 9",
        "--concurrent must be at most 4, the scales of this photo, got 9",
    ),
    "fit width": ("fit {image} -o m.safetensors --width 0", "--width must be an integer of at least 1, got 0"),
    "no model": ("sample none.safetensors -o a.png", "error: there is no file none.safetensors\n"),
    "a name": ("sample faces-64 -o a.png", "error: there is no file faces-64\n"),
    "other prior": ("sample {dcgan} -o a.png", "holds a DCGAN, not a prior of a single photo"),
    "size": (
        "sample {model} --size 100 -o a.png",
        "--size takes the height first and then the width, as in 100x300, got '100'",
    ),
    "side 0": ("sample {model} --size 0x9 -o a.png", "each side of --size must be an integer of at least 1, got 0"),
    "seed": ("sample {model} --seed 99999999999999999999 -o a.png", "--seed must fit in 64 bits"),
    "no samples": ("sample {model} -n 0 -o a.png", "--number must be an integer of at least 1, got 0"),
    "sample scale": ("sample {model} --start-scale 9 -o a.png", "--start-scale must lie between"),
    "sample folder": ("sample {model} -n 2 -o none/folder", "the folder none does not exist"),
    "sample suffix": ("sample {model} -o a.txt", "a.txt does not end in the suffix of a picture format"),
    "columns of files": ("sample {model} -n 2 --columns 2 -o {samples}", "--columns arranges the samples of a sheet"),
    "columns of fewer": ("sample {model} -n 4 --columns 9 -o a.png", "--columns must be at most 4, the --number of"),
    "no columns": ("sample {model} -n 2 --columns 0 -o a.png", "--columns must be an integer of at least 1, got 0"),
    "over the model": ("reconstruct {model} -o {model}", "model.safetensors is one of the inputs"),
    "paint over a folder": ("paint {model} {image} -o {drawn}", "drawn.png is a folder; name a file in it"),
    "film over a folder": ("animate {model} -o {film}", "film.gif is a folder; name a file in it"),
    "film folder": ("animate {model} -o none/a.gif", "the folder none does not exist"),
    "fps": ("animate {model} -o a.gif --fps 60", "--fps must be above 0 and at most 50, got 60"),
    "reconstruct scale": ("reconstruct {model} --scale 9 -o a.png", "--scale must lie between"),
    "no mask": ("harmonize {model} {image} -o a.png", "Missing argument 'MASK'"),
    "shape": ("edit {model} {square} {mask} -o a.png", "is of 16 x 16 pixels, and the photo of 24 x 20"),
    "mask shape": ("edit {model} {image} {square} -o a.png", "make it the same shape"),
    "empty mask": ("harmonize {model} {image} {black} -o a.png", "black.png marks nothing"),
    "coarsest": ("harmonize {model} {image} {mask} --start-scale 0 -o a.png", "--start-scale must lie between 1 and"),
    "large disk": ("edit {model} {image} {mask} --dilate 99 -o a.png", "covers the whole image: take a smaller dilate"),
    "one color": (
        "paint {model} {image} --colors 1 -o a.png",
        "--colors must be 0, which leaves the sketch its own, or",
    ),
    "colors below 0": ("paint {model} {image} --colors -1 -o a.png", "an integer of at least 2, got -1"),
    "factor": ("super-resolve {model} --factor 1 -o a.png", "--factor must be above 1"),
    "no factor": ("super-resolve {model} -o a.png", "Missing option '--factor'"),
    "film": ("animate {model} -o a.png", "a.png must end in .gif"),
    "alpha": ("animate {model} --alpha 2 -o a.gif", "--alpha must lie in [0, 1], got 2.0"),
}


@pytest.fixture(scope="session")
def names(model, tmp_path_factory) -> dict[str, Path]:
    from inverso.priors import DCGAN, save_prior

    folder = tmp_path_factory.mktemp("bad")
    with torch.random.fork_rng(devices=[]):
        save_prior(DCGAN(8, width=4, depth=1), folder / "dcgan.safetensors")
    save_image(torch.rand(3, *SIDES), folder / "image.png")
    save_image(torch.rand(3, 16, 16), folder / "square.png")
    save_image(torch.zeros(1, *SIDES), folder / "black.png")
    mask = torch.zeros(1, *SIDES)
    mask[:, 4, 4] = 1
    save_image(mask, folder / "mask.png")
    for name in ("taken.safetensors", "drawn.png", "film.gif", "samples"):
        (folder / name).mkdir()
    return {"model": model, **{path.stem: path for path in folder.iterdir()}}


@pytest.mark.parametrize(("command", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_2(inverso, names, tmp_path, command, message):
    result = inverso("single", *(word.format(**names) for word in command.split()))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []

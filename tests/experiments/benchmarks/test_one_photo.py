"""A prior for every photo: what is measured, what is drawn, and what a stop leaves."""

from __future__ import annotations

import csv
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import inverso.training
from inverso.experiments import Options, find, mean_interval
from inverso.images.io import load_image, photo, save_image
from inverso.metrics import diversity, sifid
from inverso.priors import SinGAN, load
from inverso.training import Run, SinGANRecipe, fit
from scripts import script

one_photo, uses = script("one_photo"), script("one_photo_uses")
measure_quality, reconstruction_psnr, run_one_photo = (
    getattr(one_photo, name) for name in ("measure_quality", "reconstruction_psnr", "run_one_photo")
)

RECIPE = SinGANRecipe(min_size=12, max_size=20, width=4, steps=(3, 2))
E10 = replace(find("e10"), recipe=RECIPE, samples=4)
OPTIONS = Options(n=2, seed=3, progress=False)
DETERMINISTIC = ("height", "width", "scales", "psnr", "sifid", "diversity")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo in color, and one without color in a subfolder whose name has a space."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more photos").mkdir()
    save_image(photo("coffee", size=24)[..., :20, :], folder / "coffee.png")
    save_image(photo("camera", size=24), folder / "more photos" / "camera.png")
    return folder


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an unbroken run."""
    out = tmp_path_factory.mktemp("finished")
    assert E10.run(photos, out, OPTIONS, command="a command") == out / "table.md"
    return out


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def section(text: str, title: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    body = text.split(f"## {title}\n", 1)[1].split("\n##", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")]


@pytest.mark.slow
def test_a_row_is_what_a_fit_alone_gives(photos: Path, finished: Path) -> None:
    first, second = rows_of(finished)
    assert (first["photo"], second["photo"]) == ("coffee.png", "more photos/camera.png")
    prior = fit(replace(RECIPE, seed=3), load_image(photos / "coffee.png"), run=Run(progress=False, device="cpu"))
    samples = prior.sample(4, seed=3)
    features = json.loads((finished / "environment.json").read_text())["settings"]["features"]
    expected = {
        "height": 17,
        "width": 20,
        "scales": len(prior.sizes),
        "psnr": reconstruction_psnr(prior),
        "sifid": sifid(samples, prior.photo, features=features).mean,
        "diversity": diversity(samples, prior.photo),
    }
    assert {name: float(first[name]) for name in expected} == pytest.approx(expected, rel=1e-5)
    assert float(first["fit_seconds"]) > 0
    assert float(first["seconds_per_100"]) > 0


@pytest.mark.slow
def test_priors_and_pictures_are_kept(finished: Path) -> None:
    prior = load(finished / "priors" / "coffee" / "last.safetensors")
    assert isinstance(prior, SinGAN)
    gray = load(finished / "priors" / "more photos" / "camera" / "last.safetensors")
    assert gray.image_shape == (1, 20, 20)
    for name in ("coffee.png", "more photos/camera.png"):
        with Image.open(finished / "pictures" / name) as sheet:
            assert sheet.width > 2 * sheet.height


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_ends_at_the_same_numbers(
    photos: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_at_the_second(prior: SinGAN, path: Path, *, seed: int) -> None:
        if path.name == "camera.png":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(one_photo, "save_uses", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            run_one_photo(E10, photos, tmp_path, OPTIONS)
    stopped = (tmp_path / "results.csv").read_bytes()
    assert stopped.count(b"\n") == 2, "a header and the first photo"
    scales = (tmp_path / "priors" / "more photos" / "camera" / "losses.csv").read_bytes()
    fitted: list[Path] = []

    def note(recipe: SinGANRecipe, image: torch.Tensor, *, out: Path, run: Run) -> SinGAN:
        fitted.append(out)
        return fit(recipe, image, out=out, run=run)

    monkeypatch.setattr(inverso.training, "fit", note)
    run_one_photo(E10, photos, tmp_path, OPTIONS)
    folder = tmp_path / "priors" / "more photos" / "camera"
    assert fitted == [folder]
    assert (folder / "losses.csv").read_bytes() == scales, "no scale was fitted again, or its seconds would differ"
    assert (tmp_path / "results.csv").read_bytes().startswith(stopped)
    for row, unbroken in zip(rows_of(tmp_path), rows_of(finished), strict=True):
        assert [row[name] for name in DETERMINISTIC] == [unbroken[name] for name in DETERMINISTIC]
    assert float(rows_of(tmp_path)[1]["fit_seconds"]) == pytest.approx(
        sum(float(line["seconds"]) for line in csv.DictReader(scales.decode().splitlines())), rel=1e-4
    )
    run_one_photo(E10, photos, tmp_path, OPTIONS)
    assert fitted == [folder]


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"size": 19}, r"max_size differ \(max_size: 20 there, 19 now\)"),
        ({"seed": 4}, r"seed differ \(seed: 3 there, 4 now\)"),
        ({"n": 1}, r"photos differ \(photos: 2 there, 1 now\)"),
    ],
)
def test_other_settings_are_refused(photos: Path, finished: Path, other: dict, complaint: str) -> None:
    before = (finished / "results.csv").read_bytes()
    with pytest.raises(ValueError, match=f"were made with other settings: {complaint}"):
        run_one_photo(E10, photos, finished, replace(OPTIONS, **other))
    assert (finished / "results.csv").read_bytes() == before


def test_another_number_of_samples_is_refused(photos: Path, finished: Path) -> None:
    with pytest.raises(ValueError, match="were made with other settings: samples differ"):
        run_one_photo(replace(E10, samples=5), photos, finished, OPTIONS)


def test_the_table_has_the_figures_of_the_csv(finished: Path) -> None:
    text = (finished / "table.md").read_text()
    assert text.startswith("# E10: A prior from one photo\n")
    assert "```sh\na command\n```" in text
    assert "longest side 20 pixels, 4 filters, 3 steps at the coarsest scale to 2 at the finest" in text
    features = json.loads((finished / "environment.json").read_text())["settings"]["features"]
    assert f"with {features} features" in text
    head, _, *lines, mean = section(text, "Priors")
    rows = rows_of(finished)
    assert head[:4] == ["photo", "pixels", "scales", "seconds to fit"]
    assert [line[0] for line in lines] == ["coffee.png", "more photos/camera.png"]
    links = re.findall(r"^!\[.*\]\((.*)\)$", text.split("## Pictures\n")[1], flags=re.MULTILINE)
    assert links == ["pictures/coffee.png", "pictures/more%20photos/camera.png"]
    for line, row in zip(lines, rows, strict=True):
        assert line[1:3] == [f"{float(row['height']):.0f} × {float(row['width']):.0f}", row["scales"]]
        assert line[5:] == [f"{float(row['psnr']):.2f}", f"{float(row['sifid']):.4f}", f"{float(row['diversity']):.3f}"]
    interval = mean_interval([float(row["psnr"]) for row in rows])
    assert mean[0] == "**mean**"
    assert mean[5] == f"{interval.mean:.2f} ± {interval.half_width:.2f}"


def test_the_table_has_the_seconds_of_every_scale(finished: Path) -> None:
    head, _, first, _, mean = section((finished / "table.md").read_text(), "Seconds per scale")
    with (finished / "priors" / "coffee" / "losses.csv").open(newline="") as stream:
        scales = list(csv.DictReader(stream))
    assert head[1:] == [f"scale {k}" for k in range(len(head) - 1)]
    expected = [f"{float(row['seconds']):.1f} ({row['height']} × {row['width']})" for row in scales]
    assert first[1 : len(scales) + 1] == expected
    assert len(mean) == len(head)


def test_the_table_is_written_without_the_priors_too(photos: Path, finished: Path, tmp_path: Path) -> None:
    for name in ("results.csv", "environment.json"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    text = E10.run(photos, tmp_path, OPTIONS).read_text()
    assert section(text, "Priors") == section((finished / "table.md").read_text(), "Priors")
    assert "Seconds per scale" not in text


@pytest.mark.slow
def test_fast_is_a_rehearsal_and_says_so(photos: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, n=1, fast=True)
    text = replace(E10, recipe=None).run(photos, tmp_path, options).read_text()
    assert "these numbers mean nothing" in text
    assert "±" not in section(text, "Priors")[-1][3], "one photo has no interval"
    settings = json.loads((tmp_path / "environment.json").read_text())["settings"]
    assert {name: settings[name] for name in one_photo.REHEARSAL} == json.loads(json.dumps(dict(one_photo.REHEARSAL)))


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (photo("coffee", size=11), r"c\.png: the photo is 11 x 11 pixels, and its short side is below min_size=12"),
        (photo("coffee", size=14), r"c\.png would be learned at 14 x 14 pixels, and single-image FID needs sides of"),
        (torch.full((1, 3, 20, 20), 0.5), r"c\.png is of one brightness all over"),
    ],
)
def test_photos_that_cannot_be_measured_are_found_before_any_work(photos, tmp_path, image, complaint) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    save_image(load_image(photos / "coffee.png"), folder / "a.png")
    save_image(image, folder / "c.png")
    with pytest.raises(ValueError, match=complaint):
        run_one_photo(E10, folder, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_single_scale_is_refused(photos: Path, tmp_path: Path) -> None:
    coarse = replace(E10, recipe=replace(RECIPE, min_size=17))
    with pytest.raises(ValueError, match=r"coffee\.png would be learned at 17 x 20 pixels, at a single scale"):
        run_one_photo(coarse, photos, tmp_path, OPTIONS)


def test_names_that_would_clash_and_folders_with_too_few(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 2 pictures, and n=3 needs 3"):
        run_one_photo(E10, photos, tmp_path, replace(OPTIONS, n=3))
    for suffix in ("jpg", "png"):
        save_image(load_image(photos / "coffee.png"), tmp_path / f"a.{suffix}")
    with pytest.raises(ValueError, match=r"the results of a\.jpg and a\.png would both be called a: rename one"):
        run_one_photo(E10, tmp_path, tmp_path / "out", OPTIONS)


def test_settings_are_checked(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="samples must be an integer of at least 2, got 1"):
        replace(E10, samples=1)
    with pytest.raises(ValueError, match="fits run on the first device of a kind, got 'cuda:1'"):
        run_one_photo(E10, photos, tmp_path, replace(OPTIONS, device="cuda:1"))


def test_seconds_are_those_of_the_clock() -> None:
    prior = SinGAN([(16, 20), (20, 25)], width=4).eval()
    prior.photo.uniform_(generator=torch.Generator().manual_seed(0))
    ticks = itertools.count(10, 7)
    quality = measure_quality(prior, prior.sample(30), features="random", clock=lambda: next(ticks))
    assert quality.seconds_per_100 == 7
    assert next(ticks) == 24, "the clock was read before and after"


def test_what_is_pasted_lies_inside_the_mask_alone() -> None:
    x, other = torch.rand(2, 1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    image, mask = uses.pasted(x, other)
    assert torch.equal(image[..., mask], other[..., mask])
    assert torch.equal(image[..., ~mask], x[..., ~mask])
    rows, columns = torch.nonzero(mask, as_tuple=True)
    assert (rows.float().mean(), columns.float().mean()) == (12, 15)


def test_a_sketch_is_the_mirrored_photo_in_flat_blocks() -> None:
    x = torch.rand(1, 1, 16, 32, generator=torch.Generator().manual_seed(0))
    sketch = uses.sketched(x)
    torch.testing.assert_close(sketch[0, 0, 2:4, 4:6], x[0, 0, 2:4, 26:28].mean().expand(2, 2))

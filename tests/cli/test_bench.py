"""`inverso bench`: from a folder of photos to a table."""

from pathlib import Path

import pytest
from typer.testing import Result

from inverso.experiments.files import own_experiments
from inverso.images.io import photo, save_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, name in enumerate(("astronaut", "cat", "coffee", "rocket", "camera", "astronaut", "cat")):
        save_image(photo(name, size=16).roll(k, -1), folder / f"{k}.png")
    return folder


def lines_of(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return Path("results/e1/table.md").read_text()


def test_e1_goes_from_nothing_to_table_and_plots(inverso, prior, photos) -> None:
    words = ("bench", "e1", "--data", photos, "--n", 2, "--prior", prior, "--fast", "--quiet", "--pictures", 1)
    result = inverso(*words, "--methods", "pinv,tv,csgm,ia+bp")
    text = lines_of(result)
    assert result.stdout.strip() == "wrote results/e1/table.md"
    assert "| measured | pinv | tv | csgm | ia+bp |" in text
    assert "| FFT 30 %, noise 7.1/255 | ia+bp against tv |" in text
    folder = Path("results/e1")
    assert (folder / "plots" / "bars-psnr.png").exists()
    assert (folder / "pictures" / "fft-30-noise-7.1-255.png").exists()
    rows = (folder / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + 6 * 2 * 4
    other = inverso(*words, "--methods", "pinv")
    assert other.exit_code == 2
    assert "made with other settings: methods, tuning photos differ" in other.stderr


def test_groups_from_labels_and_from_the_photos(inverso, prior, photos) -> None:
    words = ("bench", "e4", "--data", photos, "--n", 4, "--prior", prior, "--fast", "-q", "-m", "bicubic,csgm")
    assert inverso(*words, "--out", "own").exit_code == 0
    assert "| brightness=low | 2 |" in Path("own/table.md").read_text()
    Path("labels.csv").write_text("photo,kind\n0.png,person\n1.png,animal\n2.png,thing\n3.png,thing\n")
    rows = Path("own/results.csv").read_bytes()
    result = inverso(*words, "--out", "own", "--groups", "labels.csv")
    assert result.exit_code == 0, result.output
    text = Path("own/table.md").read_text()
    assert "| kind=thing | 2 |" in text
    assert "brightness" not in text
    assert Path("own/results.csv").read_bytes() == rows


@pytest.mark.slow
def test_e10_fits_a_prior_to_every_photo_and_goes_on(inverso, photos) -> None:
    words = ("bench", "e10", "--data", photos, "--n", 2, "--fast", "--quiet", "--device", "cpu")
    result = inverso(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == "wrote results/e10/table.md"
    folder = Path("results/e10")
    assert "| 1.png | 16 × 16 | 3 |" in (folder / "table.md").read_text()
    assert (folder / "pictures" / "0.png").exists()
    rows = (folder / "results.csv").read_bytes()
    assert inverso(*words).exit_code == 0
    assert (folder / "results.csv").read_bytes() == rows
    other = inverso(*words, "--seed", 1)
    assert other.exit_code == 2
    assert "made with other settings: seed differ" in other.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("e10", "-m", "pinv"), "e10 is not a table of cases and methods: leave out --methods"),
        (("e10", "--groups", "a.csv", "--restorer", "a"), "leave out --groups, --restorer"),
        (("e10", "--prior", "faces-64", "--batch", 5, "--pictures", 1), "leave out --prior, --batch, --pictures"),
        (("e1", "--size", 100), "e1 resizes photos to its prior's size: leave out --size"),
        (("e10", "--n", 1, "--size", 11), "0.png: max_size must be an integer of at least 25, got 11"),
        (("e10", "--n", 8), "--data {photos} holds 7 pictures, and --n 8 needs 8"),
        (
            ("e1", "--prior", "photos"),
            "its prior makes images of any size: take one of square images, for instance --prior f",
        ),
    ],
)
def test_options_of_other_experiments_are_refused(inverso, photos, words, complaint) -> None:
    result = inverso("bench", *words, "--data", photos)
    assert result.exit_code == 2
    assert complaint.format(photos=photos) in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_strangers_file_runs(inverso, prior, photos) -> None:
    Path("mine.py").write_text(
        "from inverso.experiments import Case, Experiment\n"
        "from inverso.operators import Bicubic\n"
        "MINE = Experiment('mine', 'Enlarging', 'Which?', '', (Case('x2', Bicubic(2)),), {'pinv': 'pinv'})\n"
    )
    result = inverso("bench", "mine.py:mine", "--data", photos, "--n", 2, "--prior", prior, "-q")
    assert result.exit_code == 0, result.output
    assert "# MINE: Enlarging" in Path("results/mine/table.md").read_text()
    listed = inverso("bench", "mine.py", "--list")
    assert "Enlarging" in listed.stdout


def test_list(inverso) -> None:
    result = inverso("bench", "--list")
    assert result.exit_code == 0, result.output
    first = [line.split()[0] for line in result.stdout.splitlines() if line and not line.startswith(" ")]
    assert first == ["name", *own_experiments()]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "EXPERIMENT is missing: inverso bench FILE.py:NAME --data DIR"),
        (("e1",), "--data is missing"),
        (("e1", "--data", "nowhere", "-m", "pinv"), "--data must be a folder of pictures, and nowhere is not a folder"),
        (("e1", "--data", "none", "-m", "pinv"), "--data must be a folder of pictures, and none holds none"),
        (
            ("e1", "--data", "photos", "--n", "1", "-m", "tv", "--tuning", "nowhere"),
            "--tuning must be a folder of pictures, and no",
        ),
        (
            ("e1", "--data", "photos", "--n", "1", "-m", "tv", "--tuning", "one"),
            "--tuning one holds 1 pictures, and settings are",
        ),
        (("e1", "--data", "photos", "--time-limit", "9"), "no effect of --time-limit: without --on all runs in one"),
        (("e1", "--data", "photos", "--workers", "2", "--gpus", "1"), "no effect of --workers, --gpus: without --on"),
        (("e99", "--data", "photos"), "there is no experiment 'e99'"),
        (("e1", "--data", "photos", "-m", "pinv,magic"), "has no method ['magic']"),
        (("e1", "--data", "photos", "--n", "4", "-m", "tv"), "--data photos holds 7 pictures, and --n 4 needs 8"),
        (("e1", "--data", "photos", "--n", "0"), "--n must be an integer of at least 1"),
        (
            ("e1", "--data", "photos", "--n", "1", "-m", "pinv", "--tuning", "nowhere"),
            "no method of 'e1' that runs has settings to choose: leave out --tuning",
        ),
        (("e1", "--data", "photos", "--n", "1", "-m", "pinv", "--out", "file"), "--out must be a folder, and file is"),
        (("e1", "--data", "photos", "--restorer", "a"), "'e1' uses no restorer, and a was given"),
        (("e6", "--data", "photos"), "'e6' needs a restorer, and none was given"),
        (("e6", "--data", "photos", "--restorer", "a=1", "--restorer", "a=2"), "--restorer 'a=2' is given twice"),
        (("e6", "--data", "photos", "--restorer", "a="), "--restorer 'a=' names no file: write LABEL=FILE"),
        (("e1", "--data", "photos", "--n", "1", "--groups", "no.csv"), "there is no file of labels no.csv"),
    ],
)
def test_bad_input_is_one_line(inverso, prior, photos, words, complaint) -> None:
    Path("file").touch()
    Path("none").mkdir()
    Path("one").mkdir()
    save_image(photo("cat", size=16), "one/cat.png")
    result = inverso("bench", *words, "--prior", prior)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1

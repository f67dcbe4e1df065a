"""Two photos that differ by their ending only: both get a result, and neither is written over the other's."""

from typing import NamedTuple

import pytest

from inverso.images import load_image
from inverso.jobs import Local, run_folder
from inverso.jobs._listing import Photo
from inverso.jobs._naming import named_apart
from jobs.faulty import Faulty


class Before(NamedTuple):
    """A name that an earlier run has given."""

    file: str
    status: str = "done"


def run(folder, out):
    return run_folder(folder, Faulty(), out, executor=Local(processes=0), progress=False)


def also_as(folder, name, *, of):
    """Write another photo's content under a name."""
    (folder / name).write_bytes((folder / of).read_bytes())


def darkened(out, name, source):
    """Return whether a result is that of a photo."""
    return bool((load_image(out / name) - load_image(source) / 2).abs().max() < 0.01)


def test_photos_of_one_name_keep_their_ending(photos, tmp_path):
    folder, out = photos("scan", "other", "sub/scan"), tmp_path / "out"
    also_as(folder, "scan.jpg", of="other.png")
    summary = run(folder, out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "other.png", "scan-jpg.png", "scan-png.png", "sub/scan.png",
    ]  # fmt: skip
    assert sorted(summary.apart) == ["scan-jpg", "scan-png"]
    assert darkened(out, "scan-png.png", folder / "scan.png")
    assert darkened(out, "scan-jpg.png", folder / "scan.jpg")
    again = run(folder, out)
    assert (again.before, again.done) == (4, 0)


def test_a_photo_that_is_added_leaves_the_others_names_as_they_are(photos, tmp_path):
    folder, out = photos("scan", "other"), tmp_path / "out"
    run(folder, out)
    also_as(folder, "scan.jpg", of="other.png")
    summary = run(folder, out)
    assert (summary.before, summary.done, summary.apart) == (2, 1, ("scan-jpg",))
    assert darkened(out, "scan.png", folder / "scan.png")
    assert darkened(out, "scan-jpg.png", folder / "scan.jpg")
    assert run(folder, out).before == 3


def test_a_photo_that_is_taken_away_leaves_the_others_names_as_they_are(photos, tmp_path):
    folder, out = photos("scan", "other"), tmp_path / "out"
    also_as(folder, "scan.jpg", of="other.png")
    run(folder, out)
    (folder / "scan.png").unlink()
    assert run(folder, out).before == 2
    assert not (out / "scan.png").exists()


def test_another_photo_in_its_place_does_not_replace_a_result(photos, tmp_path):
    folder, out = photos("scan", "other"), tmp_path / "out"
    run(folder, out)
    before = (out / "scan.png").read_bytes()
    also_as(folder, "scan.jpg", of="other.png")
    (folder / "scan.png").unlink()
    assert run(folder, out).apart == ("scan-jpg",)
    assert (out / "scan.png").read_bytes() == before


def test_what_failed_makes_room(photos, tmp_path):
    folder, out = photos("other"), tmp_path / "out"
    (folder / "scan.heic").write_bytes(b"no picture")
    assert run(folder, out).failed == 1
    also_as(folder, "scan.jpg", of="other.png")
    (folder / "scan.heic").unlink()
    assert run(folder, out).done == 1
    assert (out / "scan.png").exists()


def test_results_below_the_photos_are_told_apart_from_them(photos):
    folder = photos("scan", "other")
    also_as(folder, "scan.jpg", of="other.png")
    run(folder, folder / "out")
    summary = run(folder, folder / "out")
    assert (summary.before, summary.done) == (3, 0)


def test_names_of_a_table_are_not_changed():
    photos = [Photo("first", "a.jpg"), Photo("second", "a.png")]
    assert named_apart(photos, {"first": Before("first.png")}) == photos


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("x/a.jpg", "y/a.jpg"), "x/a.jpg and y/a.jpg would both be written as a:"),
        (("a.jpg", "a.png", "a-png.tif"), "a.png and a-png.tif would both be written as a-png:"),
    ],
)
def test_what_endings_do_not_tell_apart_is_refused(paths, said):
    photos = [Photo(path.rpartition("/")[2].rpartition(".")[0], path) for path in paths]
    with pytest.raises(ValueError, match=said):
        named_apart(photos, {})


def test_a_result_that_has_the_longer_name_is_not_replaced():
    photos = [Photo("a", "a.jpg"), Photo("a", "a.png")]
    with pytest.raises(ValueError, match=r"the result of a\.png would replace another photo's, a-png"):
        named_apart(photos, {"a-png": Before("a-png.tif")})


def test_a_name_that_looks_like_one_with_an_ending_is_that_of_its_own_photo():
    photos = [Photo("scan", "scan.jpg"), Photo("scan-jpg", "scan-jpg.jpg")]
    before = {"scan": Before("scan.jpg"), "scan-jpg": Before("scan-jpg.jpg")}
    assert named_apart(photos, before) == photos
    assert named_apart(photos[:1], before) == photos[:1]
    (apart,) = named_apart([Photo("scan-tif", "scan-tif.tif")], {"scan-tif": Before("scan.tif")})
    assert apart.name == "scan-tif-tif"

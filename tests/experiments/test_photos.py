"""Which photos are measured, which tune, and how they are grouped."""

from pathlib import Path

import pytest
import torch

from inverso.experiments.groups import read_groups
from inverso.experiments.photos import Photos, PhotoShape
from inverso.images.io import load_image, photo, save_image

SHAPE = PhotoShape(3, resized=16)


def test_the_first_are_measured_and_the_last_tune(data: Path) -> None:
    photos = Photos.read(data, 3, shape=SHAPE)
    assert photos.names == ("00.png", "01.png", "02.png")
    torch.testing.assert_close(photos.images[1], load_image(data / "01.png", size=16))
    # By name, a subfolder comes after the photos beside it.
    expected = [load_image(data / name, size=16) for name in ("08.png", "09.png", "10.png", "more/05.png")]
    torch.testing.assert_close(photos.tuning, tuple(expected))


def test_photos_take_the_shape_of_the_prior(data: Path) -> None:
    photos = Photos.read(data, 2, shape=PhotoShape(1, resized=8), tuning=0)
    assert [tuple(image.shape) for image in photos.images] == [(1, 1, 8, 8)] * 2
    assert photos.tuning == ()


def test_photos_are_cropped_from_the_middle_or_left_whole(tmp_path: Path) -> None:
    whole = photo("coffee", size=20)[..., :16, :]
    save_image(whole, tmp_path / "a.png")
    (cropped,) = Photos.read(tmp_path, 1, shape=PhotoShape(3, cropped=10), tuning=0).images
    torch.testing.assert_close(cropped, whole[..., 3:13, 5:15], atol=1 / 255, rtol=0)
    (native,) = Photos.read(tmp_path, 1, shape=PhotoShape(3), tuning=0).images
    torch.testing.assert_close(native, whole, atol=1 / 255, rtol=0)


def test_photos_smaller_than_the_crop_are_left_out(data: Path, tmp_path: Path) -> None:
    save_image(photo("coffee", size=20), tmp_path / "b.png")
    save_image(photo("coffee", size=16), tmp_path / "a.png")
    with pytest.warns(UserWarning, match="a.png left out: smaller than 18 pixels"):
        photos = Photos.read(tmp_path, 1, shape=PhotoShape(3, cropped=18), tuning=0)
    assert photos.names == ("b.png",)


def test_settings_can_be_chosen_on_photos_elsewhere(data: Path, tmp_path: Path) -> None:
    for k in range(4):
        save_image(photo("cat", size=16).roll(k, -1), tmp_path / f"{k}.png")
    photos = Photos.read(data, 11, shape=SHAPE, tune_on=tmp_path)
    assert len(photos.names) == 11
    torch.testing.assert_close(photos.tuning[0], load_image(tmp_path / "0.png", size=16))


def test_every_photo_has_a_digest_of_its_own(data: Path) -> None:
    digests = Photos.read(data, 3, shape=SHAPE).digests
    assert tuple(digests) == ("00.png", "01.png", "02.png")
    assert len(set(digests.values())) == 3
    assert Photos.read(data, 2, shape=SHAPE).digests == dict(list(digests.items())[:2])


def test_photos_refusals(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds 11 pictures, and n=8 needs 12: 8 to measure, and 4 others"):
        Photos.read(data, 8, shape=SHAPE)
    with pytest.raises(ValueError, match=r"holds 11 pictures, and n=12 needs 12: 12 to measure$"):
        Photos.read(data, 12, shape=SHAPE, tuning=0)
    with pytest.raises(ValueError, match=r"data must be a folder of pictures, and .*00\.png is not a folder"):
        Photos.read(data / "00.png", 1, shape=SHAPE)
    with pytest.raises(ValueError, match=r"tuning=.*more holds 1 pictures, and settings are chosen on 4"):
        Photos.read(data, 1, shape=SHAPE, tune_on=data / "more")
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as a picture"):
        Photos.read(tmp_path, 1, shape=SHAPE, tuning=0)


def test_groups_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('photo,hair,glasses\na.png,dark,yes\nb.png,light,\n"c,d.png",dark,no\nother.png,red,no\n')
    groups = read_groups(file, ["a.png", "b.png", "c,d.png"])
    assert groups == {
        "glasses=no": {"c,d.png"},
        "glasses=yes": {"a.png"},
        "hair=dark": {"a.png", "c,d.png"},
        "hair=light": {"b.png"},
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "must begin with the columns 'photo' and at least one attribute"),
        ("name,hair\na.png,dark\n", r"begins with \['name', 'hair'\]"),
        ("photo\na.png\n", "at least one attribute"),
        ("photo,hair\na.png\n", "line 2 of .*: it has 1 fields, not 2"),
        ("photo,hair\na.png,dark\na.png,light\n", "line 3 of .*: 'a.png' stands there twice"),
        ("photo,hair\nz.png,dark\n", "labels none of the photos that were measured, such as 'a.png'"),
    ],
)
def test_labels_that_are_refused(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(content)
    with pytest.raises(ValueError, match=complaint):
        read_groups(file, ["a.png"])


def test_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file of labels"):
        read_groups(tmp_path / "labels.csv", ["a.png"])

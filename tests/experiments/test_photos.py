"""Which photos are measured, which tune, and how they are grouped."""

from pathlib import Path

import pytest
import torch

from inverso.experiments.groups import read_groups, terciles
from inverso.experiments.photos import Photos
from inverso.images.io import load_image

SHAPE = (3, 16, 16)


def test_the_first_are_measured_and_the_last_tune(data: Path) -> None:
    photos = Photos.read(data, 3, image_shape=SHAPE)
    assert photos.names == ("00.png", "01.png", "02.png")
    torch.testing.assert_close(photos.images[1:2], load_image(data / "01.png", size=16))
    # By name, a subfolder comes after the photos beside it.
    expected = [load_image(data / name, size=16) for name in ("08.png", "09.png", "10.png", "more/05.png")]
    torch.testing.assert_close(photos.tuning, torch.cat(expected))


def test_photos_take_the_shape_of_the_prior(data: Path) -> None:
    photos = Photos.read(data, 2, image_shape=(1, 8, 8), tuning=0)
    assert photos.images.shape == (2, 1, 8, 8)
    assert photos.tuning.shape == (0, 1, 8, 8)


def test_every_photo_has_a_digest_of_its_own(data: Path) -> None:
    digests = Photos.read(data, 3, image_shape=SHAPE).digests
    assert tuple(digests) == ("00.png", "01.png", "02.png")
    assert len(set(digests.values())) == 3
    assert Photos.read(data, 2, image_shape=SHAPE).digests == dict(list(digests.items())[:2])


def test_photos_refusals(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds 11 pictures, and n=8 needs 12: 8 to measure, and 4 others"):
        Photos.read(data, 8, image_shape=SHAPE)
    with pytest.raises(ValueError, match=r"holds 11 pictures, and n=12 needs 12: 12 to measure$"):
        Photos.read(data, 12, image_shape=SHAPE, tuning=0)
    with pytest.raises(ValueError, match="the photos must be in a folder"):
        Photos.read(data / "00.png", 1, image_shape=SHAPE)
    with pytest.raises(ValueError, match="a prior of square images"):
        Photos.read(data, 1, image_shape=(3, 16, 8))
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as a picture"):
        Photos.read(tmp_path, 1, image_shape=SHAPE, tuning=0)


def test_terciles_divide_by_brightness_and_contrast() -> None:
    levels = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.6, 0.8])
    images = levels.reshape(6, 1, 1, 1) + torch.tensor([0.0, 0.1])[torch.arange(16) % 2] * torch.arange(6).reshape(
        6, 1, 1, 1
    )
    images = images.expand(6, 3, 16, 16).clone()
    images -= images.mean(dim=(1, 2, 3), keepdim=True) - levels.reshape(6, 1, 1, 1)
    groups = terciles(images, list("abcdef"))
    assert groups["brightness=low"] == {"b", "d"}
    assert groups["brightness=high"] == {"a", "f"}
    assert groups["contrast=low"] == {"a", "b"}
    assert groups["contrast=middle"] == {"c", "d"}
    assert len(groups) == 6


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

"""The progress line of a run over many photos."""

import itertools

import pytest

from inverso.jobs import _progress
from inverso.jobs._progress import ProgressLine, duration
from inverso.jobs.manifest import Record


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (2280, "38 min"), (6000, "1 h 40 min"), (180_000, "2 days 2 h")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_count_name_and_time_left(monkeypatch, capsys):
    # 60 seconds a photo: of 500 photos 10 were there, 2 are done now.
    monkeypatch.setattr(_progress.time, "monotonic", itertools.count(0, 60).__next__)
    with ProgressLine(500, 10, shown=True) as line:
        line.update([Record(name="a", path="album/a.jpg", status="done")])
        line.update([Record(name="b", path="album/photo.jpg", status="failed")])
    said = capsys.readouterr().err
    assert "10 of 500" in said
    assert "12 of 500, photo.jpg, 8 h 8 min left, 1 failed" in said


def test_the_last_photo_and_no_line_at_all(capsys):
    record = Record(name="a", path="a.jpg", status="done")
    with ProgressLine(1, 0, shown=False) as line:
        line.update([record])
    assert capsys.readouterr().err == ""
    with ProgressLine(1, 0, shown=True) as line:
        line.update([record])
    assert capsys.readouterr().err.rstrip().endswith("1 of 1, a.jpg")

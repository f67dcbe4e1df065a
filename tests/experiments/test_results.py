"""The files that survive a kill."""

import math
from pathlib import Path

import pytest

from inverso.experiments._results import Results, Row, code_of, record_run
from inverso.jobs._settings import read_json, write_json

COLUMNS = ("psnr", "bytes")
METHODS = ("a", "b")


def block(photo: str, case: str = "case, with a comma") -> list[Row]:
    return [Row(case, photo, method, 7, {"psnr": 20.5 + k, "bytes": math.nan}) for k, method in enumerate(METHODS)]


def opened(path: Path) -> Results:
    return Results.open(path, COLUMNS, methods=METHODS)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    first = opened(path)
    first.append(block("1.png") + block("2.png"))
    again = opened(path)
    assert [(r.case, r.photo, r.method, r.seed, r.values["psnr"]) for r in again.rows] == [
        ("case, with a comma", photo, method, 7, value)
        for photo in ("1.png", "2.png")
        for method, value in (("a", 20.5), ("b", 21.5))
    ]
    assert math.isnan(again.rows[0].values["bytes"])
    assert again.finished == {("case, with a comma", "1.png"), ("case, with a comma", "2.png")}
    assert again.values("case, with a comma", "b", "psnr") == {"1.png": 21.5, "2.png": 21.5}


def test_infinite_values_survive(tmp_path: Path) -> None:
    results = opened(tmp_path / "results.csv")
    results.append([Row("c", "p", m, 0, {"psnr": math.inf, "bytes": 0.0}) for m in METHODS])
    assert opened(results.path).rows[0].values["psnr"] == math.inf


def test_wherever_a_write_is_cut_off_whole_photos_remain(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    results = opened(path)
    results.append(block("1.png"))
    one = path.read_bytes()
    results.append(block("2.png"))
    two = path.read_bytes()
    for length in range(len(two) + 1):
        path.write_bytes(two[:length])
        again = opened(path)
        assert len(again.rows) == (4 if length == len(two) else 2 if length >= len(one) else 0)
        assert path.read_bytes() == (
            two if length == len(two) else one if length >= len(one) else one.splitlines(keepends=True)[0]
        )


def test_a_file_that_is_no_result_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("name,age\nx,3\n")
    with pytest.raises(ValueError, match=r"has the columns \['name', 'age'\], and this experiment writes"):
        opened(path)
    assert path.read_text() == "name,age\nx,3\n"
    path.write_text("case,photo,method,seed,psnr,bytes\nc,p,a,0,high,1\n")
    with pytest.raises(ValueError, match=r"line 2 of .* is not a row of results"):
        opened(path)


def test_other_settings_are_refused_and_the_same_ones_recorded(tmp_path: Path) -> None:
    record_run(tmp_path, {"n": 20, "seed": 0}, {"command": "first"})
    record_run(tmp_path, {"n": 20, "seed": 0}, {"command": "second"})
    with pytest.raises(ValueError, match=r"made with other settings: n differ \(n: 20 there, 30 now\)\. Give another"):
        record_run(tmp_path, {"n": 30, "seed": 0}, {"command": "third"})
    kept = read_json(tmp_path / "environment.json")
    assert kept == {"settings": {"n": 20, "seed": 0}, "runs": [{"command": "first"}, {"command": "second"}]}


def recorded(folder: Path, photos: dict[str, str]) -> None:
    record_run(folder, {"photos": photos, "seed": 0}, {"command": ""})


def test_photos_may_be_added_at_the_end(tmp_path: Path) -> None:
    recorded(tmp_path, {"1.png": "a", "2.png": "b"})
    recorded(tmp_path, {"1.png": "a", "2.png": "b", "3.png": "c"})
    assert list(read_json(tmp_path / "environment.json")["settings"]["photos"]) == ["1.png", "2.png", "3.png"]


@pytest.mark.parametrize(
    ("photos", "complaint"),
    [
        ({"1.png": "a"}, "photos: 2 there, 1 now"),
        ({"0.png": "z", "1.png": "a", "2.png": "b"}, "photos: 2 there, 3 now"),
        ({"1.png": "a", "2.png": "z"}, r"photos: 2\.png: 'b' there, 'z' now"),
        ({"1.png": "a", "3.png": "b"}, r"photos: 2\.png: 'b' there, None now"),
        ({"2.png": "b", "1.png": "a"}, "photos: in another order"),
    ],
)
def test_photos_that_would_change_their_places_are_refused(
    tmp_path: Path, photos: dict[str, str], complaint: str
) -> None:
    recorded(tmp_path, {"1.png": "a", "2.png": "b"})
    with pytest.raises(ValueError, match=complaint):
        recorded(tmp_path, photos)


def test_a_page_names_every_code_that_made_rows(tmp_path: Path) -> None:
    for source, left in (("aa", 9), ("bb", 4), ("bb", 2), ("cc", 0)):
        record_run(tmp_path, {}, {"inverso": "1.2", "source": source, "left": left})
    assert code_of(read_json(tmp_path / "environment.json")) == "inverso 1.2 (source aa, then bb)"


def test_broken_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="must hold a JSON object, and holds a list"):
        read_json(tmp_path / "a.json")
    write_json(tmp_path / "a.json", {"ä": 1})
    assert read_json(tmp_path / "a.json") == {"ä": 1}

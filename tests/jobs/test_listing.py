"""Which photos are meant, and what their answers are called."""

import csv

import fsspec
import pytest

from inverso.errors import InversoError
from inverso.jobs._listing import list_photos


def names(files):
    return [photo.name for photo in list_photos(files)]


def test_folders_are_searched_with_subfolders(photos):
    folder = photos("b", "a", "x/b")
    (folder / "notes.txt").write_text("")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "y.npz").write_bytes(b"")
    assert names(folder) == ["a", "b", "x/b", "y"]


def test_patterns_name_answers_below_their_fixed_part(photos):
    folder = photos("a", "x/b", "x/y/c")
    assert names(f"{folder}/**/*.png") == ["a", "x/b", "x/y/c"]
    assert names(f"{folder}/x/*.png") == ["b"]
    assert names([f"{folder}/a.png", f"{folder}/x/*.png"]) == ["a", "b"]


def test_a_file_with_a_patterns_letters_is_a_file(photos):
    folder = photos("a[1]")
    assert names(folder / "a[1].png") == ["a[1]"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_paths(photos, tmp_path, kind):
    folder = photos("a", "b")
    rows = [{"path": "photos/a.png", "name": "first"}, {"path": str(folder / "b.png"), "name": "sub/second"}]
    table = tmp_path / f"table.{kind}"
    if kind == "csv":
        with table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["path", "name"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    found = list_photos(table)
    assert [photo.name for photo in found] == ["first", "sub/second"]
    assert [photo.path for photo in found] == [str(tmp_path / "photos" / "a.png"), str(folder / "b.png")]


def test_tables_behind_urls():
    fsspec.filesystem("memory").pipe("/tables/t.csv", b"path\nphotos/a.png\ns3://bucket/b.png\n")
    found = list_photos("memory://tables/t.csv")
    assert [(photo.name, photo.path) for photo in found] == [
        ("a", "memory://tables/photos/a.png"),
        ("b", "s3://bucket/b.png"),
    ]


def test_tables_of_excel_begin_with_a_mark(tmp_path):
    (tmp_path / "t.csv").write_text("path,name\na.png,first\n", encoding="utf-8-sig")
    assert names(tmp_path / "t.csv") == ["first"]


def test_a_kind_of_url_whose_package_is_missing_is_one_line(monkeypatch):
    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(InversoError, match=r"^s3://bucket/\* needs a package that is not installed: Install s3fs"):
        list_photos("s3://bucket/*")


@pytest.mark.parametrize(
    ("text", "said"), [("file\na.png\n", "path"), ("path\n\n", None), ("path,name\na.png,../../x\n", "../../x")]
)
def test_tables_that_are_none_are_refused(tmp_path, text, said):
    table = tmp_path / "t.csv"
    table.write_text(text)
    if said is None:
        assert names(table) == []
        return
    with pytest.raises(ValueError, match=said):
        list_photos(table)


@pytest.mark.parametrize("given", ["empty", "empty/*.png"])
def test_nothing_to_do_is_an_error(tmp_path, given):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty"):
        list_photos(str(tmp_path / given))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        list_photos(tmp_path / "nowhere.png")


def test_the_same_file_twice_is_one(photos):
    folder = photos("a", "b")
    assert names([folder / "b.png", folder / "b.png"]) == ["b"]
    assert names([folder, folder]) == ["a", "b"]

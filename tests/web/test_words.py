"""What the page says and how visitors are kept apart."""

import html
import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inverso
from inverso.errors import InversoError
from inverso.jobs._desk import CancelledOrderError, Desk
from inverso.web._visits import BusyError, Visits
from inverso.web._watching import watched
from inverso.web._words import CHOICES, UNKNOWN, ended, lines, one_line, plain_name, status


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("/tmp/x/photo.png cannot\nbe read: /usr/lib/a.so"), "photo.png cannot be read: a.so"),
        (ValueError(r"C:\Users\me\photo.png is gone"), "photo.png is gone"),
        (ValueError("enlarged 1/2 as much"), "enlarged 1/2 as much"),
        (InversoError("not done after 5 seconds"), "not done after 5 seconds"),
        (CancelledOrderError("the order was cancelled"), "Cancelled."),
        (OSError(5, "Input/output error", "/tmp/secret"), UNKNOWN),
        (KeyError("/tmp/secret"), UNKNOWN),
    ],
)
def test_errors_are_one_line_without_paths(error, said):
    assert one_line(error) == said


@pytest.mark.parametrize(
    ("given", "name"),
    [("cat.png", "cat"), ("../../a b.jpg", "a b"), ("-rf.png", "rf"), (".png", "png"), ("<i>", "_i_"), ("", "photo")],
)
def test_names_are_plain(given, name):
    assert plain_name(given) == name


def test_options_of_the_command_line_are_named_as_on_the_page():
    library = Path(inverso.__file__).parent
    sources = [path.read_text() for path in library.rglob("*.py") if path.parent.name != "web"]
    for option, choice in CHOICES.items():
        # A line that was reworded would show its options on the page again.
        assert any(option in source for source in sources), option
        assert html.escape(choice) in lines([f"so: {option}"])
        assert choice in one_line(ValueError(f"so: {option}"))


@pytest.fixture
def write_painted():
    pytest.importorskip("gradio", reason="Gradio is not installed: the extra app has it")
    return importlib.import_module("inverso.web._restore_tab")._write_painted


@pytest.mark.parametrize(("rows", "marked"), [(0, False), (2, True)])
def test_strokes_are_written_as_a_mask(write_painted, tmp_path, rows, marked):
    layer = np.zeros((4, 6, 4), np.uint8)
    layer[:rows] = 255
    painted = {"layers": [Image.fromarray(layer)]}
    assert write_painted(painted, tmp_path / "mask.png", size=(12, 8)) is marked
    assert (tmp_path / "mask.png").exists() is marked


def test_paint_over_everything_is_told(write_painted, tmp_path):
    painted = {"layers": [Image.new("RGBA", (5, 5), "red")]}
    with pytest.raises(ValueError, match="covers the whole photo"):
        write_painted(painted, tmp_path / "mask.png", size=(5, 5))


def test_what_visitors_send_is_no_markup():
    assert "<b>" not in status("<b>", share=0.5)
    assert "<b>" not in lines(["<b>"])
    assert 'class="say error"' in ended(ValueError("bad"))
    assert 'class="say "' in ended(CancelledOrderError("the order was cancelled"))


class Hold:
    """An order that nobody carries out."""

    def carry_out(self, _device, _tell):
        return {}


def test_one_order_at_a_time_per_visitor_and_no_file_is_left(tmp_path, monkeypatch):
    with Desk(tmp_path / "orders") as desk, Visits(tmp_path / "visits") as visits:
        monkeypatch.setattr(desk, "start", lambda _order: Standing())
        first, second = visits.of("../../etc"), visits.of("b")
        assert first.folder.parent == second.folder.parent == tmp_path / "visits"
        first.begin(desk, Hold())
        with pytest.raises(BusyError, match="one thing at a time"):
            first.begin(desk, Hold())
        second.begin(desk, Hold())
        (second.new_folder("answer") / "photo.png").write_bytes(b"")
        old = second.new_folder("answer")
        assert [path.name for path in second.folder.iterdir()] == [old.name]
        visits.end("b")
        assert not second.folder.exists()
        assert second.running.cancelled
        visits.sweep(-1.0)
        assert first.folder.exists(), "who waits for an answer is still there"
        first.running.done = True
        visits.sweep(-1.0)
        assert not first.folder.exists()


class Standing:
    """Something that is being done until one says otherwise."""

    done = False
    cancelled = False

    def cancel(self):
        self.cancelled = True


class Telling:
    """An order that tells the given shares one by one, and has then ended."""

    def __init__(self, *shares):
        self.told_next = [{} if share is None else {"share": share} for share in shares]

    def told(self):
        return self.told_next.pop(0)

    def wait(self, _seconds):
        return not self.told_next

    def cancel(self):
        pass


def test_progress_does_not_go_back_to_the_beginning_when_an_order_ends(tmp_path):
    with Desk(tmp_path / "orders") as desk:
        said = list(watched(Telling(None, 0.5, None), desk, "Restoring"))
    assert said == [status("Restoring: beginning"), status("Restoring: 50%", share=0.5)]


@pytest.mark.parametrize(
    ("happened", "strength", "noise"),
    [
        (["NOISY"], 10.2, 0.04),
        (["NOISY"], 0, "auto"),
        (["BLURRED"], 10.2, "auto"),
        (["SMALL"], 10.2, 0.0),
        ([], 0, 0.0),
    ],
)
def test_noise_is_taken_off_where_it_is_told_and_estimated_in_a_blurred_photo(happened, strength, noise):
    tab = pytest.importorskip("inverso.web._restore_tab")
    assert tab._noise_to_remove([getattr(tab, name) for name in happened], strength) == noise

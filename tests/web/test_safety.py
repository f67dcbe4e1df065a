"""What strangers may send: broken, huge and wrong files, names of other files, too much at a time."""

import re

import pytest

from broken_files import broken, huge, picture, wrong
from inverso.errors import InversoError
from inverso.jobs._desk import Desk
from inverso.jobs._orders import Look
from inverso.web import Settings
from inverso.web._words import UNKNOWN, one_line

PATHS = re.compile(r"/tmp|/home|/usr|site-packages|Traceback|File \"")


def say(answer: dict) -> str:
    assert answer["success"], answer
    return answer["say"]


def test_two_hundred_broken_files_are_looked_at_and_the_desk_goes_on(tmp_path):
    read = 0
    with Desk(tmp_path, seconds=20) as desk:
        for name, content in broken(200):
            source = tmp_path / name
            source.write_bytes(content)
            try:
                desk.start(Look(source=source, preview=tmp_path / "preview.png", pixels=10_000)).result()
                read += 1
            except (ValueError, InversoError) as error:
                said = one_line(error)
                assert said != UNKNOWN
                assert not PATHS.search(said)
                assert "\n" not in said
        whole = tmp_path / "whole.png"
        whole.write_bytes(picture())
        look = desk.start(Look(source=whole, preview=tmp_path / "preview.png", pixels=10_000)).result()
        assert look["size"] == (24, 24)
    # Some are bent where it does not matter.
    assert 20 < read < 120


@pytest.mark.parametrize("name", ["text.jpg", "print.png", "huge.png", "drawing.png", "weights.png"])
def test_wrong_files_are_refused_on_one_line(caller, name):
    said = say(caller.bring(name, wrong()[name]))
    assert 'role="alert"' in said
    assert not PATHS.search(said)
    assert ("megapixels" if name == "huge.png" else "no photo") in said


def test_the_server_lives_after_that_and_answers(caller):
    for name, content in broken(25):
        assert caller.bring(f"{name}.png", content)["success"]
    assert "24 × 24 pixels" in say(caller.bring("whole.png", picture()))


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(caller):
    assert "0.3" in say(caller.bring("large.png", huge(1000, 1000)))


def test_a_file_of_too_many_bytes_is_refused(caller):
    answer = caller.http.post("/gradio_api/upload", files={"files": ("large.png", bytes(3_000_000))})
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/etc/hostname", "../../etc/hostname", "http://127.0.0.1:9/photo.png"])
def test_the_page_names_no_files(caller, path):
    answer = caller.call("photo", "upload", caller.file(path))
    assert not answer["success"]
    assert answer["error"] is None, "no trace is shown"
    assert caller.http.get(f"/gradio_api/file={path}").status_code in {403, 404}


def test_only_known_priors_and_no_files_in_operators(caller):
    def learn(spec: str = "mask:0.5", prior: str = "faces-64", method: str = "pinv") -> dict:
        return caller.call("learn-run", "click", "astronaut", 64, spec, 0.0, prior, method, 0)

    assert "names a file" in learn("mask:/etc/hostname.png")["learn-say"]
    assert not learn(prior="/etc/hostname")["success"]
    assert "unknown method" in learn(method="/etc/hostname")["learn-say"]
    assert "unknown operator" in learn("nothing")["learn-say"]


def test_other_sites_cannot_reach_the_page_by_a_name_of_theirs(caller):
    assert caller.http.get("/", headers={"host": "example.com"}).status_code == 400


def test_names_of_files_are_text(caller):
    said = say(caller.bring("<img src=x onerror=alert(1)>.png", picture()))
    assert "<img" not in said


def test_a_port_beyond_the_last_is_refused():
    with pytest.raises(ValueError, match="port must be at most 65535, got 65536"):
        Settings(port=65_536)

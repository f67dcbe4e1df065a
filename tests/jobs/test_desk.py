"""A desk: orders are carried out elsewhere, watched, cancelled, limited, and never take the desk with them."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from inverso.errors import InversoError
from inverso.jobs._desk import CancelledOrderError, Desk, FullDeskError
from jobs.orders import Crash, Double, Refuse, Sleep


def told(running) -> Mapping:
    for _ in range(600):
        if running.told():
            return running.told()
        time.sleep(0.1)
    pytest.fail("the order told nothing")


def test_orders_one_after_the_other_have_one_process_and_leave_nothing(tmp_path):
    with Desk(tmp_path) as desk:
        first, second = (desk.start(Double(number)).result() for number in (3, 4))
        with pytest.raises(ValueError, match="thank you"):
            desk.start(Refuse()).result()
    assert (first["double"], second["double"]) == (6, 8)
    assert first["pid"] == second["pid"] != os.getpid()
    assert not list(tmp_path.iterdir())


def test_an_order_is_watched_cancelled_and_the_next_one_is_carried_out(tmp_path):
    with Desk(tmp_path, most=2) as desk:
        running = desk.start(Sleep())
        assert told(running) == {"share": 0.25}
        waiting = desk.start(Double(2))
        assert desk.ahead_of(waiting) == 1
        with pytest.raises(FullDeskError, match="2 orders"):
            desk.start(Double(2))
        assert not running.wait(0.1)
        running.cancel()
        with pytest.raises(CancelledOrderError):
            running.result()
        assert waiting.result()["double"] == 4


def test_an_order_that_waits_is_taken_back(tmp_path):
    with Desk(tmp_path) as desk:
        desk.start(Sleep())
        waiting = desk.start(Double(1))
        waiting.cancel()
        with pytest.raises(CancelledOrderError):
            waiting.result()


@pytest.mark.slow
def test_time_and_crashes_cost_the_order_alone(tmp_path):
    with Desk(tmp_path, seconds=1.0) as desk:
        with pytest.raises(InversoError, match="time limit"):
            desk.start(Sleep()).result()
        with pytest.raises(InversoError, match="process died"):
            desk.start(Crash()).result()
        assert desk.start(Double(5)).result()["double"] == 10


def test_only_photos_are_read_by_a_desk(tmp_path):
    from broken_files import POSTSCRIPT
    from inverso.jobs._orders import Look

    file = tmp_path / "photo.png"
    file.write_bytes(POSTSCRIPT)
    with Desk(tmp_path) as desk, pytest.raises(ValueError, match="no photo"):
        desk.start(Look(source=file, preview=Path(tmp_path, "p.png"), pixels=100)).result()

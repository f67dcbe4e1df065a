"""Watch an order from the page until it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

from inverso.jobs._desk import Desk, Running
from inverso.web._words import status

POLL = 0.25


def watched(running: Running, desk: Desk, what: str) -> Iterator[str]:
    """Yield the progress of an order whenever it changes, and stop the order when nobody is listening.

    Args:
        running: The order.
        desk: Its desk.
        what: Description of the task, at the beginning of the line.
    """
    began, said = time.monotonic(), ""
    share: float | None = None
    try:
        while True:
            ended = running.wait(POLL if said else 0.0)
            if ended:
                return
            # An order that has just ended tells nothing more.
            share = running.told().get("share", share)
            line = _line(running, desk, what, time.monotonic() - began, share)
            if line != said:
                said = line
                yield line
    finally:
        running.cancel()


def _line(running: Running, desk: Desk, what: str, seconds: float, share: float | None) -> str:
    if share is None:
        before = max(0, desk.ahead_of(running) - desk.at_once + 1)
        return status(f"Waiting: {before} before you" if before else f"{what}: beginning")
    left = f", about {_minutes(seconds * (1 - share) / share)} left" if 0.05 < share < 1 and seconds > 5 else ""
    return status(f"{what}: {share:.0%}{left}", share=float(share))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{10 * max(1, round(seconds / 10))} seconds"

"""The visitors: for each a folder, a photo, and at most one order at a time."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inverso.errors import InversoError
from inverso.jobs._desk import Desk, Order, Running

MOST = 200
BUSY = "one thing at a time: wait until this is done, or cancel it"


class BusyError(InversoError):
    """A visitor requests more than one task at a time, or there are too many visitors."""


@dataclass
class Visit:
    """One visitor.

    Args:
        folder: Folder of all files of the visitor; its name cannot be guessed.
        name: The visitor's name of the photo, without the suffix.
        source: The photo, if there is one.
        seen: Result of the `Look` order.
        running: The running order.
        touched: Time of the last request.
    """

    folder: Path
    name: str = "photo"
    source: Path | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)
    running: Running | None = None
    touched: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def busy(self) -> bool:
        """Return whether an order is running."""
        return self.running is not None and not self.running.done

    def begin(self, desk: Desk, order: Order) -> Running:
        """Start an order.

        Raises:
            BusyError: An order is running already.
            FullDeskError: The queue is full.
        """
        with self.lock:
            if self.busy:
                raise BusyError(BUSY)
            self.running = desk.start(order)
            return self.running

    def cancel(self) -> None:
        """Stop the running order."""
        if self.running is not None:
            self.running.cancel()

    def new_folder(self, kind: str, *, kept: int = 0) -> Path:
        """Make a folder of a kind, such as for a result; earlier ones are deleted, but for so many of the last."""
        earlier = sorted(self.folder.glob(f"{kind}-*"), key=lambda old: old.stat().st_mtime_ns)
        for old in earlier[: len(earlier) - kept]:
            shutil.rmtree(old, ignore_errors=True)
        made = self.folder / f"{kind}-{secrets.token_hex(4)}"
        made.mkdir()
        return made


class Visits:
    """All visitors by their session.

    Args:
        folder: Parent of their folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._lock = threading.Lock()
        self._visits: dict[str, Visit] = {}

    def of(self, session: str | None) -> Visit:
        """Return the visit of a session; start a new one if there is none.

        Raises:
            BusyError: There are too many visitors.
        """
        with self._lock:
            visit = self._visits.get(session or "")
            if visit is None:
                if len(self._visits) >= MOST:
                    msg = "too many visitors at a time: try again later"
                    raise BusyError(msg)
                # What a visitor sends names no folder.
                folder = self.folder / secrets.token_hex(16)
                folder.mkdir()
                visit = self._visits[session or ""] = Visit(folder)
            visit.touched = time.monotonic()
            return visit

    def end(self, session: str | None) -> None:
        """Stop a visitor's order, and delete all files."""
        with self._lock:
            visit = self._visits.pop(session or "", None)
        if visit is not None:
            visit.cancel()
            shutil.rmtree(visit.folder, ignore_errors=True)

    def sweep(self, seconds: float) -> None:
        """End visits without requests for a given time."""
        before = time.monotonic() - seconds
        with self._lock:
            old = [session for session, visit in self._visits.items() if visit.touched < before and not visit.busy]
        for session in old:
            self.end(session)

    def __enter__(self) -> Visits:
        return self

    def __exit__(self, *_: object) -> None:
        for session in list(self._visits):
            self.end(session)

"""The server of the page: one folder for all temporary files, two desks, and cleanup at the end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inverso._checks import check_count, check_positive
from inverso._extras import need
from inverso._machine import free_memory
from inverso.errors import InversoError
from inverso.images._formats import only_photo_formats
from inverso.jobs._desk import Desk
from inverso.web._visits import Visits

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_LAST_PORT = 65535
PORTS = 100
KEPT = 3600.0
"""Seconds after which what nobody has touched is deleted."""
_SWEEP = 60.0
_LOOKING = 60.0
_DESKS = ("work", "looks")
_SHARE_OF_MEMORY = 0.8
_EDITOR_PIXELS = 8_000_000
_MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the server.

    Args:
        host: Address to listen on; by default accessible from this machine only.
        port: Port, or the next free one; 0 for any.
        device: Device of the computation.
        megapixels: Largest size of a photo and of its result, in megapixels.
        megabytes: Largest size of a file.
        time_limit: Time limit in seconds for one photo.
        at_once: Number of photos processed at a time; others wait.

    Raises:
        ValueError: A number is out of range.
        TypeError: A number has another type.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    device: str = "cpu"
    megapixels: float = 50.0
    megabytes: float = 100.0
    time_limit: float = 1800.0
    at_once: int = 1

    def __post_init__(self) -> None:
        if check_count(self.port, name="port", minimum=0) > _LAST_PORT:
            msg = f"port must be at most {_LAST_PORT}, got {self.port}"
            raise ValueError(msg)
        check_positive(self.megapixels, name="megapixels")
        check_positive(self.megabytes, name="megabytes")
        check_positive(self.time_limit, name="time_limit")
        check_count(self.at_once, name="at_once")

    @property
    def pixels(self) -> int:
        """Largest number of pixels of a photo."""
        return int(self.megapixels * _MILLION)

    @property
    def memory(self) -> int | None:
        """Memory limit in bytes for one photo: its share of the free memory; None if unknown."""
        free = free_memory()
        return None if free is None else int(_SHARE_OF_MEMORY * free / (self.at_once + 1))

    @property
    def threads(self) -> int:
        """Threads for one photo: all that OMP_NUM_THREADS or the cores allow."""
        import torch  # noqa: PLC0415

        return max(1, torch.get_num_threads() // self.at_once)

    @property
    def is_public(self) -> bool:
        """Whether other machines can access the page."""
        return self.host not in LOOPBACK


def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; uploads and results are then deleted.

    Args:
        settings: Settings of the server.
        ready: Called with the address when the page can be opened.

    Raises:
        MissingPackageError: Gradio is not installed.
        InversoError: No port is free.
    """
    with _temporary_folder() as folder, ExitStack() as rooms:
        # Gradio and its components read this when they are made.
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        gradio = need("gradio", what="inverso app")
        _protect()
        for name in _DESKS:
            (folder / name).mkdir()
        limits: dict[str, Any] = {"memory": settings.memory, "device": settings.device}
        work = rooms.enter_context(
            Desk(
                folder / "work",
                at_once=settings.at_once,
                seconds=settings.time_limit,
                threads=settings.threads,
                **limits,
            )
        )
        looks = rooms.enter_context(
            Desk(folder / "looks", at_once=1, most=32, seconds=_LOOKING, **limits | {"device": "cpu"})
        )
        visits = rooms.enter_context(Visits(folder / "visits"))
        work.prepare()
        looks.prepare()
        from inverso.web._page import build_page  # noqa: PLC0415

        page = build_page(settings, work=work, looks=looks, visits=visits)
        from starlette.middleware import Middleware  # noqa: PLC0415
        from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415

        from inverso.web._look import CSS, HEAD, theme  # noqa: PLC0415

        # A page of another site that has its name lead here would read what this one shows.
        names = ["*"] if settings.is_public else [*sorted(LOOPBACK - {"::1"}), "[::1]"]
        guard = Middleware(TrustedHostMiddleware, allowed_hosts=names)
        _, address, _ = page.launch(
            server_name=settings.host,
            server_port=_free_port(settings),
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            run_history=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=int(settings.megabytes * _MILLION),
            app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None, "openapi_url": None},
            theme=theme(gradio),
            css=CSS,
            head=HEAD,
        )
        rooms.callback(page.close, verbose=False)
        ended = threading.Event()
        rooms.enter_context(_sweeping(folder, visits, ended))
        ready(address.rstrip("/"))
        _wait_for_the_end(ended)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Yield the folder for temporary files; those of killed servers are removed first."""
    with TemporaryDirectory(prefix=f"inverso-app-{os.getpid()}-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        for left in folder.parent.glob("inverso-app-*-*"):
            owner = left.name.split("-")[2]
            if owner.isdigit() and not _lives(int(owner)):
                shutil.rmtree(left, ignore_errors=True)
        yield folder


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _protect() -> None:
    """Restrict this process to reading photos, and of no more pixels than the page itself draws."""
    from PIL import Image  # noqa: PLC0415

    only_photo_formats()
    # Pillow warns from here on, and refuses twice as many.
    Image.MAX_IMAGE_PIXELS = _EDITOR_PIXELS


def _free_port(settings: Settings) -> int:
    """Return the port, or the next free one."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    wanted = range(settings.port, min(settings.port + PORTS, _LAST_PORT + 1)) if settings.port else range(1)
    for port in wanted:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((settings.host, port))
                return int(probe.getsockname()[1])
    msg = f"no port from {settings.port} to {wanted[-1]} is free on {settings.host}; choose another"
    raise InversoError(msg)


@contextmanager
def _sweeping(folder: Path, visits: Visits, ended: threading.Event) -> Iterator[None]:
    """Delete, once a minute, files unused for an hour: uploads that became no photo, visits that ended."""

    def sweep() -> None:
        while not ended.wait(_SWEEP):
            visits.sweep(KEPT)
            _delete_old(folder, visits.folder, time.time() - KEPT)

    thread = threading.Thread(target=sweep, daemon=True, name="inverso-sweep")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _delete_old(folder: Path, kept: Path, before: float) -> None:
    for each in folder.iterdir():
        with suppress(OSError):
            if each != kept and each.name not in _DESKS and each.stat().st_mtime < before:
                shutil.rmtree(each) if each.is_dir() else each.unlink()


def _wait_for_the_end(ended: threading.Event) -> None:
    def end(*_: object) -> None:
        ended.set()

    before = signal.signal(signal.SIGTERM, end)
    try:
        while not ended.wait(1.0):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)

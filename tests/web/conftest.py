"""The page, served as a user would serve it."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inverso.images.io import photo, save_image

STARTED = """
import signal
from inverso.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""`python -m inverso`, to which Ctrl-C means something in a shell's background too, where it is ignored otherwise."""
UNEXPECTED = "this should not have happened"


@dataclass
class Served:
    """A page that is served.

    Args:
        address: Where.
        folder: Where its temporary files are.
        process: Of the server.
    """

    address: str
    folder: Path
    process: subprocess.Popen
    log: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def files(self) -> list[str]:
        """List the files of visitors, as far as they are no uploads on their way."""
        return [path.name for path in self.folder.glob("inverso-app-*/visits/**/*") if path.is_file()]

    def end(self) -> str:
        """Stop it as Ctrl-C does, and give what it wrote to standard error."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        self.reader.join(timeout=10)
        for pipe in (self.process.stdout, self.process.stderr):
            pipe.close()
        return "".join(self.log)


def serve(folder: Path, *options: object) -> Served:
    """Run `inverso app` on a free port, and wait for the address."""
    words = [sys.executable, "-c", STARTED, "app", "--port", "0", *map(str, options)]
    environment = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline()
    found = re.match(r"http://127\.0\.0\.1:\d+", line)
    if found is None:
        process.kill()
        pytest.fail(f"no address was printed, but {line!r} and {process.communicate()[1]!r}")
    return Served(found[0], folder, process)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Serve the page, once for all tests that leave it running."""
    pytest.importorskip("gradio", reason="Gradio is not installed: the extra app has it")
    # Sockets in deep folders have names that are too long.
    with tempfile.TemporaryDirectory(prefix="app") as folder:
        started = serve(Path(folder), "--megapixels", 0.3, "--megabytes", 2)
        yield started
        said = started.end()
    assert UNEXPECTED not in said, said


@pytest.fixture
def serve_page() -> Iterator[Callable[..., Served]]:
    """Serve the page with options of one's own."""
    with tempfile.TemporaryDirectory(prefix="app") as folder:
        started: list[Served] = []

        def start(*options: object) -> Served:
            started.append(serve(Path(folder), *options))
            return started[-1]

        yield start
        said = "".join(each.end() for each in started)
    assert UNEXPECTED not in said, said


class Caller:
    """Calls the page's functions as its scripts do, and as nobody should.

    Args:
        served: The page.
        session: What the visitor is called.
    """

    def __init__(self, served: Served, session: str):
        import httpx

        self.http = httpx.Client(base_url=served.address, timeout=60)
        self.session = session
        config = self.http.get("/config").json()
        self.names = {each["id"]: each["props"].get("elem_id") for each in config["components"]}
        self.functions = {
            (self.names.get(target), event): each
            for each in config["dependencies"]
            for target, event in each["targets"]
        }

    def upload(self, name: str, content: bytes) -> str:
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return answer.json()[0]

    @staticmethod
    def file(path: str) -> dict:
        """Name a file as Gradio's scripts do."""
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def call(self, element: str, event: str, *data: object) -> dict:
        """Call what listens to an event, and give what it sends to each element last."""
        function = self.functions[element, event]
        body = {"data": data, "fn_index": function["id"], "session_hash": self.session}
        self.http.post("/gradio_api/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                told = json.loads(line.removeprefix("data:") or "{}")
                if told.get("msg") == "process_completed":
                    values = told["output"].get("data") or []
                    return {self.names[n]: value for n, value in zip(function["outputs"], values, strict=False)} | {
                        "error": told["output"].get("error"),
                        "success": told["success"],
                    }
        pytest.fail("the page gave no answer")

    def bring(self, name: str, content: bytes) -> dict:
        return self.call("photo", "upload", self.file(self.upload(name, content)))


@pytest.fixture
def caller(served) -> Iterator[Caller]:
    """A visitor without a browser."""
    made = Caller(served, "visitor")
    yield made
    made.http.close()


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """A photo of 64 x 48 pixels."""
    path = tmp_path / "my cat.png"
    save_image(photo("cat", size=64)[..., 8:56, :], path)
    return path

"""The page, served as a user would serve it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from inverso.images.io import photo, save_image


@dataclass(frozen=True)
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

    def files(self) -> list[Path]:
        """List all temporary files of visitors."""
        return [path for path in self.folder.rglob("*") if path.is_file()]


def serve(folder: Path, *options: object) -> Served:
    """Run `inverso app` on a free port, and wait for the address."""
    words = [sys.executable, "-m", "inverso", "app", "--port", "0", *map(str, options)]
    environment = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline()
    found = re.match(r"http://127\.0\.0\.1:\d+", line)
    if found is None:
        process.kill()
        pytest.fail(f"no address was printed, but {line!r} and {process.communicate()[1]!r}")
    return Served(found[0], folder, process)


def end(served: Served) -> str:
    """Stop a server as Ctrl-C does, and give what it wrote to standard error."""
    served.process.send_signal(signal.SIGINT)
    return served.process.communicate(timeout=30)[1]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the page once for all tests that leave it as it is."""
    pytest.importorskip("gradio", reason="Gradio is not installed: the extra app has it")
    # Unix sockets in deep folders have names that are too long.
    with tempfile.TemporaryDirectory(prefix="app") as folder:
        started = serve(Path(folder), "--megapixels", 0.3, "--megabytes", 2)
        yield started
        said = end(started)
    assert not said, f"the server complained: {said}"


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """A photo of 64 x 48 pixels."""
    path = tmp_path / "my cat.png"
    save_image(photo("cat", size=64)[..., 8:56, :], path)
    return path


@pytest.fixture
def size_of():
    """Read width and height of a picture."""

    def read(path: Path) -> tuple[int, int]:
        with Image.open(path) as picture:
            return picture.size

    return read

"""A tiny denoiser as a page, and the page in a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from inverso.browser import Page, find_runtime, write_page
from inverso.errors import InversoError
from inverso.priors.denoisers._ffdnet import FFDNet

try:
    # Before any test moves torch.hub's folder.
    RUNTIME, REASON = find_runtime(fetch=False), ""
except InversoError as error:
    RUNTIME, REASON = None, str(error)


@pytest.fixture(scope="session")
def runtime() -> Path:
    """Give the folder of ONNX Runtime Web, or skip."""
    if RUNTIME is None:
        pytest.skip(REASON)
    return RUNTIME


@pytest.fixture(scope="session")
def denoiser() -> FFDNet:
    """Make a tiny denoiser that looks no further than the margin of a window, and stays near the photo."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = FFDNet(width=13, depth=3).eval()
        # Its first filters hand a cell's pixels on, the last ones give them back with a little of everything else.
        for layer in (0, 2, 4):
            weight = network.model[layer].weight
            weight.mul_(0.03)
            for channel in range(12):
                weight[channel, channel, 1, 1] += 1
    return network


@pytest.fixture(scope="session")
def sent(written: Page, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack what the page is sent as its layout says, in Python; give a graph for ONNX Runtime."""
    folder, content = tmp_path_factory.mktemp("sent"), (written.folder / "weights.bin").read_bytes()
    layout = json.loads((written.folder / "model.json").read_text())["weights"]
    floats = np.zeros(layout["floats"], np.float32)
    for part in layout["parts"]:
        count, groups = part["count"], -(-part["count"] // layout["group"])
        bits = np.unpackbits(
            np.frombuffer(content, np.uint8, -(-part["bits"] * count // 8), part["codes"]), bitorder="little"
        )
        codes = bits[: part["bits"] * count].reshape(count, -1) @ (1 << np.arange(part["bits"]))
        ends = np.frombuffer(content, np.float16, 2 * groups, part["ranges"]).astype(np.float64).reshape(-1, 2)
        low, high = ends.repeat(layout["group"], axis=0)[:count].T
        floats[part["at"] : part["at"] + count] = low + codes / (2 ** part["bits"] - 1) * (high - low)
    floats.tofile(folder / "weights.bin")
    (folder / "model.onnx").write_bytes((written.folder / "model.onnx").read_bytes())
    return folder / "model.onnx"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def written(runtime: Path, denoiser: FFDNet, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Write the page of the tiny denoiser."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    return write_page(denoiser, tmp_path_factory.mktemp("site"), name="tiny", bits=8, runtime=runtime, webgpu=False)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder as `python -m http.server` does; give its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def served(written: Page) -> Iterator[str]:
    """Serve the page of the tiny denoiser."""
    with serving(written.folder) as address:
        yield address


@pytest.fixture
def serve() -> Callable[[Path], AbstractContextManager[str]]:
    """Serve any folder."""
    return serving

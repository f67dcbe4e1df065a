"""What the page in a browser costs: bytes, seconds and differences, beside PyTorch and ONNX Runtime.

    python benchmarks/browser.py [--repeats 3] [--sizes 64,512] [NAME:BITS ...]

Needs `pip install -e '.[dev]'`, a chromium, and ONNX Runtime Web, which `inverso.browser.find_runtime` finds or gets.
Everything computes in one thread, and times are the processor's, so that others on the machine hardly count.
Differences are those of the browser's answer to PyTorch's in float32, of 255; decibels are for a photo with noise of 25
of 255.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright
from torch import Tensor, nn

from inverso import priors, restorers
from inverso.browser import Page, write_page
from inverso.compression.onnx import to_onnx
from inverso.images.io import photo
from inverso.priors import Denoiser, LatentPrior

CASES = (
    *(f"photos:{bits}" for bits in (32, 16, 8, 6, 4)),
    *(f"{name}:{bits}" for name in ("restorer/faces-64", "faces-64", "faces-64-style") for bits in (32, 8, 4)),
)
SIGMA = 25 / 255
LOAD = """async (inputs) => {
    const { Client } = await import('./client.js');
    const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    self.client = new Client();
    self.inputs = inputs.map(({ values, shape }) => ({ values: floats(values), shape }));
    return (await self.client.load({ engine: 'wasm' })).threads;
}"""
RUN = """async (repeats) => {
    for (let k = 0; k < repeats; k += 1) self.answer = await self.client.run(...self.inputs);
}"""
ANSWER = """() => {
    const { answer } = self;
    self.client.close();
    let text = '';
    const bytes = new Uint8Array(answer.values.buffer, answer.values.byteOffset, answer.values.byteLength);
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { shape: answer.shape, values: btoa(text) };
}"""


class Quiet(SimpleHTTPRequestHandler):
    """A server that does not talk."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def network_of(name: str) -> nn.Module:
    """Load a prior, or `restorer/NAME`."""
    kind, _, rest = name.rpartition("/")
    network: nn.Module = restorers.load(rest) if kind else priors.load(rest)
    return network


def inputs_of(network: nn.Module, side: int) -> tuple[Tensor, ...]:
    """Give what the network takes: a noisy photo and its noise, a face with a white box, or a latent."""
    if isinstance(network, LatentPrior):
        return (network.sample_latent(1, seed=0),)
    if isinstance(network, Denoiser):
        clean = photo("astronaut", size=None)[..., :side, :side] if side > 64 else photo("cat", size=64)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        return clean + SIGMA * noise, torch.tensor([SIGMA])
    face = photo("astronaut", size=side)
    face[..., side // 3 : side // 2, side // 4 : side // 2] = 1
    return (face,)


def least(repeats: int, work: Any) -> tuple[float, Any]:  # noqa: ANN401 - any function of nothing
    """Give the least seconds of the processor of some repeats, and the answer."""
    times, answer = [], None
    for _ in range(repeats):
        began = time.process_time()
        answer = work()
        times.append(time.process_time() - began)
    return min(times), answer


def by_onnx_runtime(path: Path, inputs: tuple[Tensor, ...], repeats: int) -> float:
    """Time ONNX Runtime with one thread on the float network."""
    import onnxruntime  # noqa: PLC0415

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    feeds = {end.name: values.numpy() for end, values in zip(session.get_inputs(), inputs, strict=True)}
    return least(repeats, lambda: session.run(None, feeds))[0]


def in_browser(tab: Tab, inputs: tuple[Tensor, ...], repeats: int) -> tuple[float, Tensor]:
    """Run the network in the page; give the processor's seconds of the whole browser for one run, and the answer."""
    texts = [base64.b64encode(values.numpy().tobytes()).decode() for values in inputs]
    threads = tab.evaluate(LOAD, [{"values": t, "shape": list(v.shape)} for t, v in zip(texts, inputs, strict=True)])
    if threads != 1:
        msg = f"the page computes in {threads} threads"
        raise RuntimeError(msg)
    tab.evaluate(RUN, 1)
    began = processor_seconds(tab)
    tab.evaluate(RUN, repeats)
    seconds = (processor_seconds(tab) - began) / repeats
    found: dict[str, Any] = tab.evaluate(ANSWER)
    values = np.frombuffer(base64.b64decode(found["values"]), np.float32)
    return seconds, torch.from_numpy(values.copy()).reshape(found["shape"])


def processor_seconds(tab: Tab) -> float:
    """Ask the browser what its processes have used."""
    browser = tab.context.browser
    if browser is None:
        return 0.0
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(process["cpuTime"] for process in processes))


def psnr(answer: Tensor, clean: Tensor) -> float:
    """Give the peak signal-to-noise ratio in decibels."""
    return float(-10 * (answer - clean).square().mean().log10())


def measure(tab: Tab, page: Page, network: nn.Module, whole: Path, sizes: list[int], repeats: int) -> dict[str, Any]:
    """Measure one page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page.folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab.goto(f"http://127.0.0.1:{server.server_port}/icon.svg")
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        row: dict[str, Any] = {"sent": page.sent, "runtime": page.runtime}
        for side in sizes if isinstance(network, Denoiser) else [64]:
            inputs = inputs_of(network, side)
            with torch.no_grad():
                seconds, expected = least(repeats, lambda: network(*inputs))  # noqa: B023 - called at once
            in_page, answer = in_browser(tab, inputs, repeats)
            entry = {"pytorch": seconds, "onnx": by_onnx_runtime(whole, inputs, repeats), "browser": in_page}
            entry["difference"] = 255 * float((answer - expected).abs().max())
            if isinstance(network, Denoiser):
                clean = photo("astronaut", size=None)[..., :side, :side] if side > 64 else photo("cat", size=64)
                entry |= {"psnr": psnr(answer, clean), "psnr of pytorch": psnr(expected, clean)}
            row[str(side)] = entry
        server.shutdown()
    return row


def main() -> None:
    """Measure all cases and print them as JSON, one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="NAME:BITS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", default="64,512")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chromium = next(path for name in ("chromium", "google-chrome") if (path := shutil.which(name)))
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # Without its service worker the page is not isolated, and computes in one thread.
        tab = browser.new_context(service_workers="block").new_page()
        tab.set_default_timeout(600_000)
        for case in options.cases:
            name, _, bits = case.rpartition(":")
            network, whole = network_of(name), Path(folder, f"{name.replace('/', '-')}.onnx")
            if not whole.exists():
                to_onnx(network, whole)
            page = write_page(network, Path(folder, "page"), name=name, bits=int(bits), webgpu=False)
            sizes = [int(size) for size in options.sizes.split(",")]
            row = {"case": case, **measure(tab, page, network, whole, sizes, options.repeats)}
            print(json.dumps(row), flush=True)
        browser.close()


if __name__ == "__main__":
    main()

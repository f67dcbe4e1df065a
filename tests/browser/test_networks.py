"""Pages of the networks that come with inverso, and of other kinds than denoisers, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from inverso import priors, restorers
from inverso.browser import write_page
from inverso.images.io import photo, save_image
from inverso.priors import VAE, Denoiser, LatentPrior
from inverso.restorers import MobileRestorer

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
READY = "body[data-ready=yes]"
RUN = """async (inputs) => {
    const { Client } = await import('./client.js');
    const client = new Client();
    await client.load();
    const given = inputs.map(({ values, shape }) => ({ values: Float32Array.from(values), shape }));
    const { values, shape } = await client.run(...given);
    client.close();
    return { values: Array.from(values), shape };
}"""


def run(tab: Tab, *inputs: Tensor) -> Tensor:
    given = [{"values": values.flatten().tolist(), "shape": list(values.shape)} for values in inputs]
    answer: dict[str, Any] = tab.evaluate(RUN, given)
    return torch.tensor(answer["values"]).reshape(answer["shape"])


def inputs_of(network: nn.Module) -> tuple[Tensor, ...]:
    if isinstance(network, LatentPrior):
        return (network.sample_latent(2, seed=3),)
    if isinstance(network, Denoiser):
        cat = photo("cat", size=96)
        noise = torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
        return cat + 0.1 * noise, torch.tensor([0.1])
    face = photo("astronaut", size=64)
    face[..., 20:36, 10:40] = 1
    return (face,)


@pytest.mark.parametrize(
    ("name", "bits", "allowed", "megabytes"),
    [
        ("photos", 32, 1e-4, 13),
        ("photos", 8, 2 / 255, 5),
        ("photos", 4, 0.12, 2.5),
        ("faces-64", 8, 2 / 255, 5),
        ("faces-64-style", 16, 2 / 255, 3.5),
        ("restorer faces-64", 32, 1e-4, 17),
        ("restorer faces-64", 8, 2 / 255, 5),
    ],
)
def test_answers_are_those_of_pytorch(
    page: Tab, runtime: Path, tmp_path: Path, serve: Any, name: str, bits: int, allowed: float, megabytes: float
) -> None:
    network = restorers.load("faces-64") if name.startswith("restorer") else priors.load(name)
    written = write_page(network, tmp_path / "site", name=name, bits=bits, runtime=runtime, webgpu=False)
    assert written.sent < megabytes * 1e6
    inputs = inputs_of(network)
    with serve(written.folder) as address, torch.no_grad():
        page.goto(address)
        page.wait_for_selector(READY)
        assert float((run(page, *inputs) - network(*inputs)).abs().max()) <= allowed


def test_a_restorer_of_one_size_says_what_it_cut_out(page: Tab, runtime: Path, tmp_path: Path, serve: Any) -> None:
    network = MobileRestorer(width=4, blocks=1).eval()
    network.trained_size = 16
    written = write_page(network, tmp_path / "site", name="tiny", runtime=runtime, webgpu=False)
    save_image(photo("cat", size=None), tmp_path / "cat.png")
    with serve(written.folder) as address:
        page.goto(address)
        page.wait_for_selector(READY)
        page.set_input_files("#file", tmp_path / "cat.png")
        page.wait_for_selector("#framing:visible")
        assert "451 × 300 pixels: a square was cut out and brought to 16 × 16" in page.text_content("#status")
        pixels = "c => Array.from(c.getContext('2d').getImageData(0, 0, 16, 16).data)"
        before = page.eval_on_selector("#before", pixels)
        page.focus("#across")
        page.keyboard.press("Home")
        assert page.eval_on_selector("#before", pixels) != before
        page.click("#go")
        page.wait_for_selector("#save:visible")
        assert page.eval_on_selector("#after", "c => [c.width, c.height]") == [16, 16]


def test_a_generator_draws_another_picture_each_time(page: Tab, runtime: Path, tmp_path: Path, serve: Any) -> None:
    written = write_page(VAE(5, hidden=16), tmp_path / "site", name="tiny", bits=16, runtime=runtime, webgpu=False)
    with serve(written.folder) as address:
        page.goto(address)
        page.wait_for_selector(READY)
        assert not page.is_visible("#choose")
        drawn = set()
        for _ in range(2):
            page.click("#go")
            page.wait_for_function("document.getElementById('status').textContent.startsWith('Done')")
            drawn.add(page.eval_on_selector("#before", "c => c.toDataURL()"))
        assert len(drawn) == 2


@pytest.mark.parametrize(("name", "bits"), [("photos", 8), ("faces-64-style", 16)])
def test_as_many_bits_as_the_network_needs(name: str, bits: int, runtime: Path, tmp_path: Path) -> None:
    page = write_page(priors.load(name), tmp_path / "site", name=name, runtime=runtime, webgpu=False)
    assert page.bits == bits
    assert page.difference <= 2 / 255

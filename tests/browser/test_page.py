"""The page in a real browser: it computes what the network computes, on photos of any size, and sends nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from inverso.browser import Page
from inverso.compression.onnx import run_onnx
from inverso.images.io import photo
from inverso.images.tiling import in_tiles
from inverso.priors.denoisers._ffdnet import FFDNet

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

pytestmark = pytest.mark.browser
READY = "body[data-ready=yes]"


def as_png(image: Tensor) -> bytes:
    stream = io.BytesIO()
    pixels = (255 * image[0].clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def noisy_cat(height: int, width: int, *, sigma: float = 0.1) -> Tensor:
    cat = photo("cat", size=None)[..., :height, :width]
    noisy = cat + sigma * torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
    # What a PNG holds.
    return (255 * noisy.clamp(0, 1)).round() / 255


def upload(tab: Tab, image: Tensor) -> None:
    tab.set_input_files("#file", {"name": "cat.png", "mimeType": "image/png", "buffer": as_png(image)})
    tab.wait_for_selector("#stage:visible")


def set_range(tab: Tab, name: str, value: float) -> None:
    tab.eval_on_selector(f"#{name}", "(r, v) => { r.value = v; r.dispatchEvent(new Event('input')); }", str(value))


def downloaded(tab: Tab) -> Tensor:
    with tab.expect_download() as download:
        tab.click("#save")
    assert download.value.suggested_filename == "cat-restored.png"
    pixels = np.array(Image.open(download.value.path()).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def ready(page: Tab, served: str) -> Tab:
    page.goto(served)
    page.wait_for_selector(READY)
    return page


@pytest.fixture
def scripts(page: Tab, served: str) -> Tab:
    """A tab that may import the page's scripts, and runs nothing of the page itself."""
    page.goto(served + "style.css")
    return page


def test_it_starts_checked_and_isolated_and_tells_what_it_is(ready: Tab, written: Page) -> None:
    facts = json.loads((written.folder / "model.json").read_text())
    assert (facts["kind"], facts["bits"], facts["channels"], facts["size"]) == ("denoiser", 8, 3, None)
    # Headers of the service worker isolate the page, which lets the runtime use threads.
    assert ready.evaluate("crossOriginIsolated")
    told = ready.text_content("#facts")
    assert "works without a network from now on" in told
    assert "8 bits each" in told
    assert ready.title() == "tiny · inverso"
    unlabelled = ready.evaluate(
        """[...document.querySelectorAll('input, button, canvas[tabindex="0"], progress')].filter(
            (e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).map((e) => e.id)"""
    )
    assert unlabelled == []


@pytest.mark.slow
def test_numbers_in_and_out_are_those_of_the_network(ready: Tab, denoiser: FFDNet, written: Page, sent: Path) -> None:
    x, sigma = torch.rand(2, 3, 13, 20, generator=torch.Generator().manual_seed(1)), torch.tensor([0.05, 0.4])
    answer = ready.evaluate(
        """async ([x, shape, sigma]) => {
            const { Client } = await import('./client.js');
            const client = new Client();
            const { difference, engine } = await client.load();
            const { values } = await client.run(
                { values: Float32Array.from(x), shape }, { values: Float32Array.from(sigma), shape: [2] });
            client.close();
            return { values: Array.from(values), difference, engine };
        }""",
        [x.flatten().tolist(), list(x.shape), sigma.tolist()],
    )
    assert answer["engine"] == "wasm"
    assert answer["difference"] < 1e-5
    found = torch.tensor(answer["values"]).reshape(x.shape)
    torch.testing.assert_close(found, run_onnx(sent, x, sigma), rtol=0, atol=1e-5)
    with torch.no_grad():
        whole = denoiser(x, sigma)
    # Eight bits move this network, most of whose weights are small beside a few, further than a trained one.
    assert 1e-4 < float((found - whole).abs().max()) < 4 * written.difference


@pytest.mark.slow
def test_photos_of_any_size_are_denoised_as_by_onnx_runtime(ready: Tab, sent: Path) -> None:
    covered = "c => Math.round(parseFloat(c.style.clipPath.split(' ')[1]))"
    for height, width in ((61, 50), (300, 451)):
        noisy = noisy_cat(height, width)
        upload(ready, noisy)
        # It guesses the noise that is there.
        assert abs(int(ready.input_value("#sigma")) - 25) <= 5
        set_range(ready, "sigma", 30)
        ready.click("#go")
        ready.wait_for_selector("#save:visible")
        # Half of the photo is covered by its answer, and all of it with the slider at its start, by keys alone.
        assert ready.evaluate("document.activeElement.id") == "split"
        assert ready.eval_on_selector("#before", covered) == 50
        ready.keyboard.press("Home")
        assert ready.eval_on_selector("#before", covered) == 100
        expected = in_tiles(
            lambda x: run_onnx(sent, x, torch.tensor([30 / 255])), noisy, side=384, margin=32, multiple=2
        ).clamp(0, 1)
        assert float((downloaded(ready) - expected).abs().max()) <= 0.51 / 255
        ready.click("#again")
        assert not ready.is_visible("#comparing")


def test_what_is_painted_is_filled_and_all_else_stays_to_the_bit(ready: Tab) -> None:
    image = photo("cat", size=None)[..., 60:156, 100:228]
    image = (255 * image).round() / 255
    upload(ready, image)
    ready.check("input[value=fill]")
    ready.click("#go")
    assert "Paint over" in ready.text_content("#status")
    set_range(ready, "brush", 12)
    box = ready.locator("#paint").bounding_box()
    ready.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    ready.mouse.down()
    ready.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=4)
    ready.mouse.up()
    # And a dot by the keyboard.
    ready.focus("#paint")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", " "):
        ready.keyboard.press(key)
    painted = ready.evaluate(
        """() => { const c = document.getElementById('paint');
            const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
            return Array.from({ length: c.width * c.height }, (_, i) => Number(data[4 * i + 3] > 0)); }"""
    )
    where = torch.tensor(painted, dtype=torch.bool).reshape(96, 128)
    assert 300 < int(where.sum()) < 1500
    set_range(ready, "passes", 4)
    ready.click("#go")
    ready.wait_for_selector("#save:visible")
    filled = downloaded(ready)
    assert torch.equal(filled[..., ~where], image[..., ~where])
    assert float((filled - image)[..., where].abs().max()) > 0.01
    # A tiny network without training fills with what is around, not with black or with the paint.
    assert float((filled - image)[..., where].square().mean().sqrt()) < 0.3


def test_unknown_pixels_go_on_by_a_share_of_their_last_step(scripts: Tab) -> None:
    """By hand for a denoiser that halves every distance to white, at noise levels of 0.5, 0.14, 0.04 and 0.01."""
    filled = scripts.evaluate(
        """async () => {
        const { fill } = await import('./fill.js');
        const data = new Uint8ClampedArray(4 * 40 * 40).fill(51);
        const unknown = new Uint8Array(40 * 40);
        unknown[20 * 40 + 20] = 1;
        const picture = { data, width: 40, height: 40 };
        const denoise = async ({ values, shape }) => ({ values: values.map((v) => 1 - (1 - v) / 2), shape });
        await fill(picture, unknown, { passes: 4, denoise, channels: 3, step: async () => {} });
        return [data[4 * (20 * 40 + 20)], data[4 * (20 * 40 + 21)]];
    }"""
    )
    second, third = 1 - 0.8 / 4, 1 - 0.8 / 8
    fourth = 1 - (1 - (third + 0.7 * (third - second))) / 2
    assert filled == [pytest.approx(255 * fourth, abs=0.51), 51]


def test_unknown_pixels_deep_in_a_hole_do_not_go_on(scripts: Tab) -> None:
    """Of 13 x 13 pixels around the middle none is known, of those around the border of the picture a part."""
    weights = scripts.evaluate(
        """async () => {
        const { momentum } = await import('./fill.js');
        const unknown = new Uint8Array(20 * 20);
        for (let r = 4; r < 17; r += 1) for (let c = 4; c < 17; c += 1) unknown[r * 20 + c] = 1;
        const weights = momentum(unknown, 20, 20);
        return [weights[10 * 20 + 10], weights[10 * 20 + 11], weights[0]];
    }"""
    )
    assert weights == [0, pytest.approx(0.7 * 13 / 169 / 0.1), pytest.approx(0.7)]


def test_turning_and_unpacking_are_right(scripts: Tab) -> None:
    assert (
        scripts.evaluate(
            """async () => {
            const { turned, falling, areaOf, pieces, pullPush } = await import('./fill.js');
            const { fromHalf, unpackCodes } = await import('./weights.js');
            const picture = { values: Float32Array.from({ length: 24 }, (_, i) => i), shape: [1, 2, 3, 4] };
            const seen = new Set();
            for (let way = 0; way < 8; way += 1) {
                const there = turned(picture, way);
                seen.add(there.values.join());
                const back = turned(there, way, true);
                if (back.values.join() !== picture.values.join() || back.shape.join() !== '1,2,3,4') return way;
            }
            if (seen.size !== 8) return 'ways';
            const halves = [0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000].map(fromHalf);
            if (halves.join() !== [1, -2, 2 ** -24, 65504, -0].join()) return halves.join();
            const out = new Float32Array(3);
            const ranges = new DataView(Uint16Array.of(0x0000, 0x4200).buffer);
            unpackCodes(Uint8Array.of(57), ranges, { count: 3, bits: 2, group: 4 }, out, 0);
            if (out.join() !== '1,2,3') return out.join();
            if (falling(1, 0.01, 3).map((s) => s.toFixed(3)).join() !== '1.000,0.100,0.010') return 'levels';
            const unknown = new Uint8Array(30); unknown[13] = 1;
            if (areaOf(unknown, 6, [0, 0, 5, 6]).join() !== '2,1,3,2') return 'area';
            const far = new Uint8Array(300 * 200); far[50 * 200 + 10] = 1; far[250 * 200 + 190] = 1;
            const [first, last] = pieces(far, 300, 200);
            if (first.window.join() !== '26,0,75,35' || last.window.join() !== '226,166,275,200') return 'windows';
            const flat = new Float32Array(30).fill(0.25); flat[13] = 9;
            pullPush(flat, unknown, 5, 6, 1);
            return Math.abs(flat[13] - 0.25) < 1e-6 ? 'right' : flat[13];
        }"""
        )
        == "right"
    )


@pytest.mark.slow
def test_it_can_be_stopped_and_refuses_what_is_no_picture(ready: Tab) -> None:
    ready.set_input_files("#file", {"name": "page.png", "mimeType": "image/png", "buffer": b"<html>"})
    ready.wait_for_selector("#status.failed")
    assert "page.png is no picture" in ready.text_content("#status")
    upload(ready, torch.rand(1, 3, 1000, 1300, generator=torch.Generator().manual_seed(0)))
    ready.check("input[value=fill]")
    box = ready.locator("#paint").bounding_box()
    ready.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    count = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter(Boolean).length"
    painted = ready.eval_on_selector("#paint", count)
    ready.check("input[value=denoise]")
    ready.click("#go")
    ready.click("#stop")
    ready.wait_for_selector("#go:visible")
    assert "Cancelled" in ready.text_content("#status")
    assert not ready.is_visible("#save")
    # What was painted is still there after that.
    assert ready.eval_on_selector("#paint", count) == painted > 0


@pytest.mark.slow
def test_it_works_offline_after_the_first_visit_in_the_window_of_a_phone(ready: Tab) -> None:
    ready.set_viewport_size({"width": 360, "height": 740})
    ready.context.set_offline(True)
    ready.reload()
    ready.wait_for_selector(READY)
    upload(ready, noisy_cat(40, 56))
    ready.click("#go")
    ready.wait_for_selector("#save:visible")
    assert ready.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    small = ready.evaluate(
        """[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.offsetHeight < 44).length"""
    )
    assert small == 0


def test_every_address_in_the_page_is_its_own(written: Page) -> None:
    for path in (*written.folder.glob("*.js"), written.folder / "index.html", written.folder / "style.css"):
        assert "http://" not in path.read_text().replace("http://www.w3.org", ""), path.name
        assert "https://" not in path.read_text(), path.name


def test_other_networks_are_refused(tmp_path: Path, runtime: Path) -> None:
    from inverso.browser import write_page
    from inverso.priors import WrappedDenoiser

    with pytest.raises(TypeError, match="got Linear"):
        write_page(torch.nn.Linear(2, 2), tmp_path / "site", name="x", runtime=runtime)
    one_size = WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0, 1), image_shape=(3, 8, 8))
    with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
        write_page(one_size, tmp_path / "site", name="x", runtime=runtime)
    assert not (tmp_path / "site").exists()

"""The page in a real browser."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from inverso.degradations import OldPhoto
from inverso.images import photo, save_image

pytestmark = pytest.mark.browser


MOVED = """() => {
  const clip = document.querySelectorAll("#compare img")[1].style.clipPath;
  return Math.abs(parseFloat(clip.split(" ").at(-1)) - 55) < 2;
}"""
"""Whether the border between before and after has come to 55 % of the box, in which the picture may have margins."""


@pytest.fixture
def restoring(page, served):
    """The page, opened."""
    return opened(page, served)


def opened(page, served):
    page.goto(served.address)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    return page


def bring(page, path: Path) -> None:
    said = page.inner_text("#say")
    page.set_input_files("#photo input[type=file]", str(path))
    page.wait_for_function("said => document.querySelector('#say').innerText != said", arg=said)
    page.wait_for_selector("#restore:not([disabled])")


def paint(page) -> None:
    """Draw a stroke over the middle of the photo, as soon as the editor takes one."""
    canvas = page.locator("#editor canvas").first
    canvas.wait_for()
    for _ in range(20):
        box = canvas.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x - 30, y - 30)
        page.mouse.down()
        page.mouse.move(x + 10, y + 10, steps=5)
        page.mouse.up()
        page.mouse.move(x, box["y"] + 1)
        page.wait_for_timeout(300)
        red, green, blue = np.moveaxis(
            np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"), int), -1, 0
        )
        if ((red > 220) & (green < 90) & (blue > 110)).sum() > 100:
            return
        page.wait_for_timeout(500)
    pytest.fail("the editor takes no stroke")


def restore(page, *, minutes: int = 2) -> None:
    page.click("#restore")
    page.wait_for_selector("#compare img", timeout=60_000 * minutes)


def downloaded(page, folder: Path, button: str = "#download") -> Path:
    with page.expect_download() as download:
        page.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_stroke_is_filled_all_else_stays_and_the_command_does_the_same(restoring, cat, tmp_path, monkeypatch):
    bring(restoring, cat)
    paint(restoring)
    restore(restoring)
    answer = downloaded(restoring, tmp_path)
    mask = downloaded(restoring, tmp_path, "#download-mask")
    assert answer.name == "my cat-restored.png"
    painted = pixels(mask)[..., 0] > 0
    assert 0.005 < painted.mean() < 0.5
    changed = (pixels(answer) != pixels(cat)).any(-1)
    assert not changed[~painted].any()
    assert changed[painted].any()
    assert "filled in" in restoring.inner_text("#said")

    command = restoring.input_value("#command textarea")
    assert command == "inverso restore 'my cat.png' --mask 'my cat-mask.png' -o 'my cat-restored.png'"
    by_page = pixels(answer)
    answer.unlink()
    run(command, monkeypatch, tmp_path)
    # Several threads may round otherwise than one.
    assert np.abs(pixels(answer) - by_page).max() <= 1


def run(command: str, monkeypatch, folder: Path) -> None:
    """Run a command line that the page shows."""
    import shlex

    from inverso.cli.app import app

    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, shlex.split(command)[1:], prog_name="inverso")
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_the_command_has_noise_of_1_and_the_slider_gray_levels_of_255(restoring, cat):
    bring(restoring, cat)
    restoring.fill("#strength input[type=number]", "20")
    restoring.keyboard.press("Tab")
    restore(restoring)
    command = restoring.input_value("#command textarea")
    assert command == "inverso restore 'my cat.png' --noise 0.0784 -o 'my cat-restored.png'", "20 / 255"


@pytest.mark.slow
def test_a_line_says_that_the_photo_is_read_before_the_server_answers(restoring, cat):
    restoring.route("**/queue/join*", lambda _route: None)
    restoring.set_input_files("#photo input[type=file]", str(cat))
    restoring.wait_for_function("document.querySelector('#say')?.innerText.includes('Reading the photo ...')")
    assert restoring.is_disabled("#restore")


@pytest.mark.slow
def test_a_file_that_cannot_be_read_leaves_the_photo_before_it(restoring, cat, tmp_path):
    bring(restoring, cat)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    restoring.set_input_files("#photo input[type=file]", str(broken))
    restoring.wait_for_function("document.querySelector('#say').innerText.includes('no photo')")
    assert restoring.is_enabled("#restore")
    restore(restoring)
    assert restoring.input_value("#command textarea").endswith("-o 'my cat-restored.png'")


@pytest.mark.slow
def test_an_example_is_an_old_print(restoring):
    restoring.get_by_role("button", name="Try: old print").click()
    restoring.wait_for_selector("#restore:not([disabled])")
    assert "astronaut-print: 512 × 512 pixels" in restoring.inner_text("#say")
    assert restoring.is_checked("label:has-text('It is an old print') input")
    assert not restoring.is_checked("label:has-text('It is noisy') input")


@pytest.mark.slow
def test_by_keys_alone(restoring, cat, tmp_path):
    press = restoring.keyboard.press
    with restoring.expect_file_chooser() as chooser:
        tab_to(restoring, "#photo button")
        press("Enter")
    chooser.value.set_files(str(cat))
    restoring.wait_for_selector("#restore:not([disabled])")
    tab_to(restoring, "#happened input")
    press("Space")
    assert not restoring.is_checked("#happened input >> nth=0")
    tab_to(restoring, "#restore")
    press("Enter")
    restoring.wait_for_selector("#compare img")
    assert "as it was" in restoring.inner_text("#said")
    after = restoring.locator("#compare img").nth(1)
    assert "50%" in after.get_attribute("style")
    tab_to(restoring, "#position input[type=range]")
    for _ in range(5):
        press("ArrowRight")
    restoring.wait_for_function(MOVED)
    tab_to(restoring, "#download")
    with restoring.expect_download() as download:
        press("Enter")
    assert download.value.suggested_filename == "my cat-restored.png"


def tab_to(page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
    pytest.fail(f"Tab never comes to {selector}")


@pytest.mark.slow
def test_stains_of_an_old_print_are_taken_off_unless_they_are_to_stay(restoring, tmp_path):
    stained = tmp_path / "stained.png"
    aged = OldPhoto.only(toning=1.0, fading=0.5, stains=0.8)(photo("astronaut", size=256), seed=0)
    save_image(aged.y, stained)
    bring(restoring, stained)
    choice = restoring.get_by_label("Take brown stains off")
    assert not choice.is_visible()
    restoring.get_by_label("It is noisy").uncheck()
    restoring.get_by_label("It is an old print").check()
    choice.uncheck()
    restore(restoring)
    assert "stain" not in restoring.inner_text("#said")
    assert "--old --no-stains" in restoring.input_value("#command textarea")
    choice.check()
    restoring.click("#restore")
    restoring.wait_for_function("document.querySelector('#said')?.innerText.includes('stain')")
    assert "--no-stains" not in restoring.input_value("#command textarea")


@pytest.mark.slow
def test_cancel_stops_the_work_and_the_next_photo_is_restored(restoring, cat, tmp_path):
    large = tmp_path / "large.png"
    Image.open(cat).resize((620, 460)).save(large)
    bring(restoring, large)
    restoring.get_by_label("It is blurred").check()
    restoring.fill("#blur input[type=number]", "1")
    restoring.click("#restore")
    restoring.click("#cancel:not([disabled])")
    restoring.wait_for_selector("#restore:not([disabled])")
    assert restoring.inner_text("#say") == "Cancelled."
    assert not restoring.is_visible("#compare")
    bring(restoring, cat)
    restore(restoring)


@pytest.mark.slow
def test_each_stage_is_shown_as_it_comes(restoring):
    restoring.get_by_role("tab", name="Learn").click()
    restoring.fill("#learn-spec textarea", "mask:0.5")
    restoring.get_by_label("Method").fill("zero-filled+bp")
    restoring.keyboard.press("Enter")
    restoring.click("#learn-run")
    restoring.wait_for_function("""() => document.querySelector("#learn-say").innerText.startsWith("Done")""")
    restoring.locator("#learn-pictures .caption-label").nth(4).wait_for()
    names = restoring.locator("#learn-pictures .caption-label").all_inner_texts()
    assert [name.partition(",")[0] for name in names] == ["x", "y", "pinv", "zero-filled", "bp"]
    assert restoring.input_value("#learn-command textarea") == (
        "inverso solve astronaut.png --simulate -A mask:0.5 --prior faces-64 -m zero-filled+bp -o astronaut-solved.png"
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_and_contrasts(page, served, cat, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    bring(opened(page, served), cat)
    restore(page)
    for tab in ("Restore", "Learn"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        found = axe.run(page)
        assert not found.response["violations"], found.generate_report()


@pytest.mark.slow
def test_a_window_as_narrow_as_a_phone(page, served, cat):
    page.set_viewport_size({"width": 360, "height": 740})
    bring(opened(page, served), cat)
    paint(page)
    restore(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing sticks out"
    page.get_by_role("tab", name="Learn").click()
    page.fill("#learn-spec textarea", "bicubic:4")
    page.click("#learn-run")
    page.wait_for_function("""() => document.querySelector("#learn-say").innerText.startsWith("Done")""")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing sticks out"
    page.get_by_role("tab", name="Restore").click()
    assert page.locator("#restore").bounding_box() is None or page.locator("#restore").bounding_box()["height"] >= 44


@pytest.mark.slow
def test_what_a_visitor_brought_is_deleted_when_the_page_is_left(page, served, cat):
    before = len(served.files())
    bring(opened(page, served), cat)
    assert len(served.files()) > before
    page.goto("about:blank")
    for _ in range(50):
        if len(served.files()) <= before:
            return
        page.wait_for_timeout(200)
    pytest.fail(f"files are left: {served.files()}")


@pytest.mark.slow
def test_a_photo_of_twelve_megapixels(page, serve_page, tmp_path):
    large = tmp_path / "large.jpg"
    with Image.fromarray(photographed("cat")) as picture:
        exif = picture.getexif()
        exif[0x010F] = "Maker"
        picture.resize((4000, 3000)).save(large, exif=exif, quality=90)
    bring(opened(page, serve_page()), large)
    paint(page)
    page.get_by_label("It is noisy").uncheck()
    # Without a graphics card the browser itself takes most of the processor.
    restore(page, minutes=30)
    answer = downloaded(page, tmp_path)
    assert answer.suffix == ".jpg"
    with Image.open(answer) as restored:
        assert restored.size == (4000, 3000)
        assert restored.getexif()[0x010F] == "Maker"


def photographed(name: str) -> np.ndarray:
    from inverso.images.io import photo

    return (photo(name, size=None)[0] * 255).round().byte().permute(1, 2, 0).numpy()

"""The page in a real browser."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser


@pytest.fixture
def restoring(page, served):
    """The page, opened."""
    page.goto(served.address)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    return page


def bring(page, path: Path) -> None:
    page.set_input_files("#photo input[type=file]", str(path))
    page.wait_for_selector("#restore:not([disabled])")
    page.wait_for_selector("#editor canvas")


def paint(page) -> None:
    """Draw a stroke over the middle of the photo."""
    page.wait_for_timeout(700)
    box = page.locator("#editor canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 30, y - 30)
    page.mouse.down()
    page.mouse.move(x + 10, y + 10, steps=5)
    page.mouse.up()
    page.wait_for_timeout(300)


def restore(page) -> None:
    page.click("#restore")
    page.wait_for_selector("#compare img")


def downloaded(page, button: str = "#download") -> Path:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).rename(Path(download.value.path()).with_name(download.value.suggested_filename))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_stroke_is_filled_and_all_else_stays(restoring, cat):
    bring(restoring, cat)
    paint(restoring)
    restore(restoring)
    answer, mask = downloaded(restoring), downloaded(restoring, "#download-mask")
    assert answer.name == "my cat-restored.png"
    assert mask.name == "my cat-mask.png"
    painted = pixels(mask)[..., 0] > 0
    assert 0.005 < painted.mean() < 0.5
    changed = (pixels(answer) != pixels(cat)).any(-1)
    assert not changed[~painted].any()
    assert changed[painted].any()
    assert "filled in" in restoring.inner_text("#said")
    assert restoring.input_value("#command textarea") == (
        "inverso restore 'my cat.png' --mask 'my cat-mask.png' -o 'my cat-restored.png'"
    )


def test_the_slider_of_before_and_after_moves_by_keys(restoring, cat):
    bring(restoring, cat)
    restore(restoring)
    after = restoring.locator("#compare img").nth(1)
    assert "50%" in after.get_attribute("style")
    restoring.locator("#position input[type=range]").focus()
    for _ in range(5):
        restoring.keyboard.press("ArrowRight")
    restoring.wait_for_function("""() => document.querySelectorAll("#compare img")[1].style.clipPath.includes("55%")""")

"""Draw the picture of the page to restore a photo: `python docs/draw_app.py`; it needs chromium."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

from inverso.degradations import OldPhoto
from inverso.images import photo, save_image

if TYPE_CHECKING:
    from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from chromium import OPTIONS, find_chromium

PICTURE = Path(__file__).parent / "images" / "app.png"
SIZE = {"width": 1240, "height": 900}
BETWEEN = 0.42


def scratch(folder: Path) -> tuple[Path, Path]:
    """Write a scratched photo, and a picture of where the scratches are."""
    old = OldPhoto.only(scratches=0.9)(photo("coffee", size=None), seed=4)
    files = folder / "coffee.png", folder / "scratches.png"
    for image, file in zip((old.y, (~old.known).float()), files, strict=True):
        save_image(image, file)
    return files


def draw(page: Page, address: str, scratched: Path, mask: Path) -> Image.Image:
    """Restore a scratched photo, and move the border between before and after into it."""
    page.goto(address)
    page.set_input_files("#photo input[type=file]", str(scratched))
    page.wait_for_selector("#restore:not([disabled])")
    page.get_by_role("button", name="I have a mask as a picture").click()
    page.set_input_files("#mask input[type=file]", str(mask))
    page.wait_for_timeout(2000)
    page.click("#restore")
    page.wait_for_selector("#compare img")
    page.locator("#position input[type=range]").fill(str(round(100 * BETWEEN)))
    page.wait_for_timeout(2000)
    return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


def main() -> None:
    """Serve the page, and draw it in a browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    command = [sys.executable, "-m", "inverso", "app", "--port", "7899"]
    with (
        TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as driver,
    ):
        try:
            assert server.stdout is not None
            address = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
            browser = driver.chromium.launch(executable_path=find_chromium(), args=list(OPTIONS))
            page = browser.new_context(viewport=SIZE).new_page()
            page.set_default_timeout(180_000)
            draw(page, address, *scratch(Path(folder))).quantize(128).save(PICTURE, optimize=True)
            browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()

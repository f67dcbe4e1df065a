"""Photos of 16 x 16 pixels, as many as a test asks for."""

from pathlib import Path

import pytest

from inverso.images import photo, save_image


@pytest.fixture
def photos(tmp_path):
    """Make photos of given names, all different, in a folder."""

    def make(*names: str) -> Path:
        folder = tmp_path / "photos"
        picture = photo("coffee", size=64)
        for k, name in enumerate(names):
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            top, left = k % 48, k // 48 % 48
            save_image(picture[..., top : top + 16, left : left + 16], path)
        return folder

    return make

"""Brown stains: taken off a print of one color, whatever is seen through them; nothing else is taken for one."""

import pytest
import torch

from inverso.degradations import OldPhoto
from inverso.images import Photo, photo
from inverso.images.photo import luminance
from inverso.metrics import psnr
from inverso.priors import WrappedDenoiser
from inverso.repair import Repair, repair
from inverso.repair._stains import find_stains

SEPIA = torch.tensor([1.0, 0.86, 0.68])[:, None, None]
GRAY = torch.ones(3, 1, 1)
TEA = torch.tensor([0.25, 0.55, 1.1])[:, None, None]
BLUE = torch.tensor([1.1, 0.55, 0.25])[:, None, None]
PINK = torch.tensor([0.05, 0.6, 0.5])[:, None, None]


def printed(name: str = "cat", size: int = 192, tint: torch.Tensor = GRAY) -> torch.Tensor:
    return (0.1 + 0.8 * luminance(photo(name, size=size))) * tint


def disk(size: int, *, row: float = 0.4, column: float = 0.6, radius: float = 0.2) -> torch.Tensor:
    """The depth of a round stain with a dark rim and a soft edge."""
    place = (torch.arange(size) + 0.5) / size
    reach = torch.hypot(place[:, None] - row, place - column) / radius
    inside = ((1 - reach) * radius * size / 4 + 0.5).clamp(0, 1)
    return inside * (0.4 + 0.5 * torch.exp(-(((reach - 0.9) / 0.08) ** 2)))


def stained(x: torch.Tensor, color: torch.Tensor = TEA, **where: float) -> torch.Tensor:
    """What Beer and Lambert say: every channel is multiplied by the exponential of its loss."""
    return x * torch.exp(-disk(x.shape[-1], **where) * color)


@pytest.mark.parametrize("tint", [GRAY, SEPIA], ids=["gray", "sepia"])
@pytest.mark.parametrize("name", ["cat", "astronaut", "coffee"])
def test_a_stain_of_known_color_is_taken_off(name, tint):
    x = printed(name, tint=tint)
    y = stained(x)
    found = find_stains(y)
    assert found.number == 1
    assert found.share == pytest.approx(float((disk(192) > 0.1).float().mean()), rel=0.2)
    assert float(psnr(found.undo(y), x)) > float(psnr(y, x)) + 8


def test_what_red_lost_is_found_from_its_edges():
    y = stained(printed())
    loss = find_stains(y).loss
    inner = disk(192, radius=0.14) > 0.3
    red, green = ((loss[0, k] / disk(192))[inner].median().item() for k in range(2))
    assert red == pytest.approx(0.25, abs=0.1)
    assert green == pytest.approx(0.55, abs=0.1)


def test_what_was_stained_has_the_color_of_what_is_about_it():
    """A part of the print, as a mount or what was behind a passe-partout, is paler than the rest."""
    x = printed(size=256, tint=SEPIA)
    x[..., 80:180, 150:250] *= torch.tensor([1.0, 1.05, 1.1])[:, None, None]
    y = stained(x, row=0.5, column=0.78, radius=0.08)
    inside = disk(256, row=0.5, column=0.78, radius=0.06) > 0
    red, green, blue = ((find_stains(y).undo(y) / x)[0, :, inside].log().mean(dim=1)).tolist()
    assert abs(red - blue) < 0.03
    assert abs(red - green) < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_stains_of_an_old_photo_are_taken_off(seed):
    aged, bare = (OldPhoto.only(toning=1.0, fading=0.7, texture=0.4, stains=depth) for depth in (0.8, 0.0))
    x = photo("astronaut", size=256)
    noise = 0.01 * torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(seed))
    y, clean = ((kind(x, seed=seed).y + noise).clamp(0, 1) for kind in (aged, bare))
    assert float(psnr(find_stains(y).undo(y), clean)) > float(psnr(y, clean)) + 8
    assert find_stains(clean).number == 0


def test_unstained_pixels_keep_their_values():
    y = stained(printed(), radius=0.1)
    answer = find_stains(y).undo(y)
    far = disk(192, radius=0.16) == 0
    assert torch.equal(answer[..., far], y[..., far])


@pytest.mark.slow
def test_large_photos_are_searched_on_a_coarser_grid():
    x = torch.nn.functional.interpolate(printed(size=384), scale_factor=4.0, mode="bilinear").clamp(0, 1)
    y = stained(x)
    found = find_stains(y)
    assert found.loss.shape[-1] == 768
    assert float(psnr(found.undo(y), x)) > float(psnr(y, x)) + 8


def test_it_need_not_be_square():
    y = stained(printed(size=256))[..., 30:220, :]
    assert find_stains(y).undo(y).shape == y.shape
    assert find_stains(y).number == 1


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket"])
def test_what_is_brown_on_a_photo_in_color_is_no_stain(name):
    x = photo(name, size=None)
    found = find_stains(x)
    assert found.number == 0
    assert found.undo(x) is x


@pytest.mark.parametrize("color", [BLUE, PINK], ids=["blue", "pink"])
def test_another_color_is_no_stain(color):
    assert find_stains(stained(printed(), color)).number == 0


def test_a_brown_thing_on_a_gray_photo_is_no_stain():
    x = printed("camera")
    x[..., 60:110, 60:110] = 0.8 * torch.exp(-TEA) * (0.6 + 0.4 * torch.linspace(0, 1, 50))
    assert find_stains(x).number == 0


def toned(gray: torch.Tensor, *colors: tuple[int, int, int]) -> torch.Tensor:
    """Map gray to colors, linearly between black, middle and white, as photo editors do."""
    black, middle, white = (torch.tensor(color)[:, None, None] / 255 for color in colors)
    return torch.where(gray < 0.5, torch.lerp(black, middle, 2 * gray), torch.lerp(middle, white, 2 * gray - 1))


@pytest.mark.parametrize("name", ["camera", "astronaut", "cat", "rocket"])
@pytest.mark.parametrize(
    "colors",
    [
        ((16, 9, 5), (120, 82, 52), (232, 208, 168)),
        ((26, 15, 8), (138, 102, 66), (245, 230, 200)),
        ((50, 22, 8), (176, 112, 52), (250, 222, 160)),
    ],
    ids=["dark", "middle", "strong"],
)
def test_dark_parts_of_a_sepia_print_are_no_stains(name, colors):
    assert find_stains(toned(luminance(photo(name, size=256)), *colors)).number == 0


def test_a_face_in_color_on_a_gray_photo_is_no_stain():
    x = luminance(photo("camera", size=256)).expand(1, 3, 256, 256).clone()
    x[..., 40:140, 100:200] = photo("astronaut", size=100)
    assert find_stains(x).number == 0


def test_writing_in_dark_brown_ink_is_no_stain():
    x = printed("camera", size=256)
    for column in range(20, 230, 12):
        x[..., 200:230, column : column + 3] = 0.27 * torch.exp(-TEA)
    assert find_stains(x).number == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 300), (40, 40)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_and_tiny_pictures_have_none(size, value):
    x = torch.full((1, 3, *size), value)
    assert find_stains(x).number == 0
    assert find_stains(x[:, :1]).number == 0
    assert find_stains(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))).number == 0


def test_repair_takes_them_off_old_photos_alone_and_says_so():
    denoiser = WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0.01, 0.5))
    x = luminance(photo("astronaut", size=192)) * SEPIA
    y = stained(x)

    def run(**settings):
        return repair(Photo(y), Repair(noise=0.0, **settings), denoiser=denoiser)

    old, kept, new = run(old=True), run(old=True, stains=False), run()
    assert "1 brown stain" in " ".join(old.said)
    assert float(psnr(old.photo.pixels, x)) > float(psnr(y, x)) + 5
    assert "stain" not in " ".join(kept.said + new.said)
    assert new.change == 0

"""The blur of a lens is told from the photo, and is undone as far as it is there."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from inverso.images import Photo, photo
from inverso.metrics import psnr
from inverso.operators import Blur, GaussianBlur
from inverso.repair import Repair, repair
from inverso.repair._blur import LensBlur, disk_kernel, estimate_blur, overshoot
from inverso.repair._border import content_of
from inverso.repair._enlarged import grid_strength
from repair.toys import smoothing

NAMES = ("astronaut", "camera", "cat", "coffee")
SIDE = 160
FLOOR = 0.002
"""Noise of rounding to 8 bits, and a little more."""


def seen_through(x: torch.Tensor, blur: LensBlur) -> torch.Tensor:
    """Blur an image as a lens does, to whose picture the scene beyond the frame contributes."""
    if blur.disk:
        return Blur(disk_kernel(blur.size), padding="valid")(x).clamp(0, 1)
    return GaussianBlur(2 * math.ceil(4 * blur.size) + 1, blur.size, padding="valid")(x).clamp(0, 1)


@pytest.mark.parametrize("name", [*NAMES, "rocket"])
def test_a_sharp_photo_is_told_to_be_sharp(name):
    assert estimate_blur(photo(name, size=SIDE), noise=FLOOR).likely.sharp


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sigma", [1.5, 2.5])
def test_the_width_of_a_gaussian_is_told_to_a_sixth(name, sigma):
    y = seen_through(photo(name, size=SIDE), LensBlur(sigma))
    seen = estimate_blur(y, noise=FLOOR)
    assert seen.likely.width == pytest.approx(sigma, rel=1 / 6)
    assert seen.safe.disk or seen.safe == seen.likely


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("radius", [3.0, 5.0])
def test_a_lens_out_of_focus_is_told_with_its_radius(name, radius):
    seen = estimate_blur(seen_through(photo(name, size=SIDE), LensBlur(radius, disk=True)), noise=FLOOR)
    assert seen.likely.disk
    assert seen.likely.size == pytest.approx(radius, rel=0.06)


@pytest.mark.parametrize(("gain", "offset", "quarters"), [(0.3, 0.1, 0), (0.6, 0.4, 1), (1.0, 0.0, 2), (0.8, 0.2, 3)])
def test_light_and_rotation_do_not_matter(gain, offset, quarters):
    y = seen_through(photo("coffee", size=SIDE), LensBlur(2.0))
    changed = torch.rot90(gain * y + offset, quarters, (-2, -1))
    expected = estimate_blur(y, noise=FLOOR)
    assert estimate_blur(changed, noise=gain * FLOOR) == expected


def test_nothing_is_told_of_a_small_photo_of_noise_and_of_one_color():
    draw = torch.Generator().manual_seed(0)
    assert estimate_blur(photo("cat", size=60), noise=FLOOR) is None
    assert estimate_blur(0.5 + 0.1 * torch.randn(1, 1, 128, 128, generator=draw), noise=0.1) is None
    assert estimate_blur(torch.full((1, 3, 128, 128), 0.5), noise=FLOOR) is None


@pytest.mark.parametrize("radius", [1.0, 2.5, 6.0])
def test_the_kernel_of_a_disk_has_its_area_and_its_width(radius):
    kernel = disk_kernel(radius)
    assert float(kernel.sum()) == pytest.approx(1)
    assert torch.equal(kernel, kernel.T)
    assert torch.equal(kernel, kernel.flip(0))
    center = kernel.shape[0] // 2
    assert float(kernel[center, center]) == pytest.approx(min(1, 1 / (math.pi * radius**2)), rel=0.02)
    offsets = torch.arange(len(kernel), dtype=torch.float64) - center
    # The square of a pixel has a variance of 1/12 of its own.
    variance = float((kernel.sum(dim=0) * offsets.square()).sum()) - 1 / 12
    assert variance == pytest.approx(LensBlur(radius, disk=True).width ** 2, abs=0.12)


@pytest.mark.parametrize("radius", [0.001, 0.5])
def test_a_disk_within_one_pixel_blurs_nothing(radius):
    kernel = disk_kernel(radius)
    assert kernel.shape == (3, 3)
    assert float(kernel[1, 1]) == 1


def test_what_is_sharpened_too_much_has_more_power_than_a_photo():
    x = photo("coffee", size=160)
    blur = LensBlur(1.5)
    y = GaussianBlur(13, blur.size)(x)
    right, wrong = (GaussianBlur(13, sigma).pinv(y, ridge=1e-4) for sigma in (1.5, 2.2))
    assert overshoot(right, y, blur, noise=FLOOR) < 0.08 < overshoot(wrong, y, blur, noise=FLOOR)
    assert overshoot(y[..., :32, :32], y[..., :32, :32], blur, noise=FLOOR) is None


@pytest.mark.parametrize("blur", [LensBlur(1.8), LensBlur(3.0, disk=True)], ids=["gaussian", "disk"])
def test_auto_undoes_the_blur_that_is_there(blur):
    scene = photo("coffee", size=160)
    y = seen_through(scene, blur)
    margin = (scene.shape[-1] - y.shape[-1]) // 2
    x = scene[..., margin:-margin, margin:-margin]
    answer = repair(Photo(y), Repair(blur="auto", noise=0.0), denoiser=smoothing())
    assert psnr(answer.photo.pixels, x) > psnr(y, x) + 1
    told = " ".join(answer.said)
    assert ("disk" in told) == blur.disk
    assert "undone" in told


@pytest.mark.parametrize("size", [48, 128])
def test_auto_leaves_a_photo_that_is_sharp_or_too_small_to_tell(size):
    x = photo("cat", size=size)
    answer = repair(Photo(x), Repair(blur="auto", noise=0.0), denoiser=smoothing())
    assert torch.equal(answer.photo.pixels, x)
    assert any("not sharpened" in line for line in answer.said)


def test_a_blur_that_the_photo_has_not_is_left_and_told():
    x = photo("cat", size=128)
    answer = repair(Photo(x), Repair(blur=1.5, noise=0.0), denoiser=smoothing())
    assert torch.equal(answer.photo.pixels, x)
    assert "looks sharp" in answer.said[0]
    assert "1.5" in answer.said[0]
    assert any("was not undone" in line for line in answer.said)
    assert answer.said[-1] == "the photo is as it was"


def test_a_blur_far_above_the_photos_is_left_without_a_trial():
    x = photo("cat", size=128)
    answer = repair(Photo(x), Repair(blur=5.0, noise=0.0), denoiser=smoothing())
    assert torch.equal(answer.photo.pixels, x)
    assert any("was not undone, since the photo shows far less" in line for line in answer.said)


def test_another_kind_of_blur_than_the_photo_shows_is_told_of():
    y = seen_through(photo("coffee", size=SIDE), LensBlur(3.0, disk=True))
    answer = repair(Photo(y), Repair(blur=1.5, noise=0.0), denoiser=smoothing())
    assert answer.said[0].startswith("the photo looks blurred by a disk of radius")
    assert "another blur" in answer.said[0]


def test_sixteen_bits_are_told_as_eight():
    y = seen_through(photo("camera", size=SIDE), LensBlur(2.0))
    assert estimate_blur(y, noise=1e-5) == estimate_blur(y, noise=0.001)


def test_a_blur_that_is_told_from_the_photo_is_undone_before_it_is_enlarged():
    y = seen_through(photo("coffee", size=96), LensBlur(1.5))
    told: list[float] = []
    both = repair(
        Photo(y),
        Repair(blur="auto", scale=2, noise=0.0),
        denoiser=smoothing(),
        progress=lambda done, total: told.append(done / total),
    )
    sharp = repair(Photo(y), Repair(blur="auto", noise=0.0), denoiser=smoothing())
    large = repair(sharp.photo, Repair(scale=2, noise=0.0), denoiser=smoothing())
    assert torch.equal(both.photo.pixels, large.photo.pixels)
    assert both.said == (*sharp.said, *large.said)
    assert told == sorted(told)
    assert told[-1] == 1


def enlarged(name: str, times: float, size: int = 192) -> torch.Tensor:
    return interpolate(photo(name, size=round(size / times)), size=(size, size), mode="bilinear")


@pytest.mark.parametrize("times", [2, 3])
def test_a_photo_that_was_enlarged_is_left_and_told(times):
    y = enlarged("camera", times)
    answer = repair(Photo(y), Repair(blur=0.45 * times, noise=0.0), denoiser=smoothing())
    assert torch.equal(answer.photo.pixels, y)
    assert any("looks enlarged" in line and "was not undone" in line for line in answer.said)


@pytest.mark.parametrize("name", ["camera", "coffee"])
@pytest.mark.parametrize("times", [1.5, 2, 3, 4])
def test_sharpening_brings_out_the_grid_of_an_enlargement_and_none_of_a_blurred_scene(name, times):
    blur = GaussianBlur(13, 0.45 * times)
    scene = photo(name, size=192)
    grid, none = (grid_strength(blur.pinv(y, ridge=0.003)) for y in (enlarged(name, times), blur(scene)))
    assert none < 6
    assert grid > 10


def test_a_small_photo_and_one_of_one_color_have_no_grid():
    assert grid_strength(photo("cat", size=60)) == 0
    assert grid_strength(enlarged("cat", 3, size=60)) == 0
    assert grid_strength(torch.full((1, 3, 128, 128), 0.5)) == 0


def test_a_disk_has_a_radius():
    for wrong, said in (({"disk": True}, "got blur=0"), ({"disk": True, "blur": "auto"}, "got blur=auto")):
        with pytest.raises(ValueError, match=said):
            Repair(**wrong)


@pytest.mark.parametrize(("name", "blur"), [("coffee", "auto"), ("cat", 1.5)], ids=["undone", "left"])
def test_progress_begins_with_the_trial_never_goes_back_and_ends_at_the_whole(name, blur):
    y = seen_through(photo(name, size=128), LensBlur(1.8)) if blur == "auto" else photo(name, size=128)
    told = []
    repair(
        Photo(y),
        Repair(blur=blur, noise=0.0),
        denoiser=smoothing(),
        progress=lambda done, total: told.append((done, total)),
    )
    shares = [done / total for done, total in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert any(0 < done < 1 for done, _ in told)


@pytest.mark.parametrize("scratched", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_border_of_a_scan_hides_no_blur_and_stays_as_it_is(scratched):
    scan = torch.full((1, 3, 190, 200), 0.97)
    scan[..., 20:170, 30:180] = seen_through(photo("coffee", size=166), LensBlur(1.8))[..., :150, :150]
    mask = torch.zeros(1, 1, 190, 200, dtype=torch.bool)
    mask[..., 100:103] = scratched
    scan = scan.masked_fill(mask, 0.0)
    answer = repair(Photo(scan), Repair(blur="auto", noise=0.0), denoiser=smoothing(), mask=mask)
    assert any("undone" in line for line in answer.said), answer.said
    assert any("border" in line for line in answer.said), answer.said
    outside = torch.ones(1, 1, 190, 200, dtype=torch.bool)
    outside[..., 20:170, 30:180] = False
    kept = (outside & ~mask).expand_as(scan)
    assert torch.equal(answer.photo.pixels[kept], scan[kept])
    assert float((answer.photo.pixels - scan)[..., 25:165, 35:95].abs().max()) > 0.05


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_border_is_of_one_color_up_to_its_noise(noise):
    draw = torch.Generator().manual_seed(0)
    scan = torch.full((1, 3, 120, 130), 0.1)
    scan[..., 9:111, :125] = photo("cat", size=128)[..., :102, :125]
    scan = scan + noise * torch.randn(scan.shape, generator=draw)
    rows, columns = content_of(scan, noise=noise)
    assert (rows, columns) == (slice(11, 109), slice(0, 123))


def test_a_photo_without_a_border_and_one_of_one_color_are_whole():
    whole = slice(0, 96), slice(0, 96)
    assert content_of(photo("cat", size=96), noise=0.0) == whole
    assert content_of(torch.full((1, 1, 96, 96), 0.2), noise=0.0) == whole


def test_scratches_hide_no_blur_and_are_filled():
    x = seen_through(photo("coffee", size=160), LensBlur(2.0))
    side = x.shape[-1]
    mask = torch.zeros(1, 1, side, side, dtype=torch.bool)
    mask[..., 30:33, :] = mask[..., :, 90:92] = mask[..., 110:112, 20:] = True
    scratched = x.masked_fill(mask, 1.0)
    answer = repair(Photo(scratched), Repair(blur="auto", noise=0.0), denoiser=smoothing(), mask=mask)
    assert any("undone" in line for line in answer.said), answer.said
    assert float((answer.photo.pixels - scratched)[mask.expand_as(x)].abs().mean()) > 0.1
    assert estimate_blur(scratched, noise=FLOOR).likely.sharp


@pytest.mark.parametrize(("size", "disk"), [(0.001, False), (0.2, False), (0.5, True)])
def test_a_blur_within_a_pixel_is_none_and_the_photo_stays(size, disk):
    x = photo("cat", size=64)
    told = LensBlur(size, disk=disk)
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 255
    blurred = Blur(disk_kernel(size))(point) if disk else GaussianBlur(2 * told.reach + 1, size)(point)
    torch.testing.assert_close(blurred, point, rtol=0, atol=0.01)
    answer = repair(Photo(x), Repair(blur=size, disk=disk), denoiser=smoothing())
    assert answer.change == 0
    assert f"{told} lies within its pixel, so that there is no blur to undo" in answer.said


def test_stars_at_the_top_of_a_night_are_no_border():
    night = torch.full((1, 3, 128, 128), 0.02)
    night[..., 40:, :] = photo("cat", size=128)[..., 40:, :]
    for row in range(2, 40, 9):
        night[..., row : row + 3, 3 * row : 3 * row + 3] = 0.9
    rows, _ = content_of(night, noise=0.0)
    assert rows.start <= 4

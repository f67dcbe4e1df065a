"""Repair of a photo: what is wrong is undone, what is right keeps its values, and what was done is said."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from inverso.degradations import OldPhoto
from inverso.images import Photo, photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, GaussianBlur
from inverso.repair import Repair, repair
from inverso.repair._defects import detect_defects, find_defects
from inverso.repair._fading import find_fading
from inverso.repair._noise import estimate_noise
from inverso.restorers import DamageDetector
from inverso.restorers._filling import fill_in
from repair.toys import smoothing


@pytest.fixture(scope="module")
def cat() -> torch.Tensor:
    return photo("cat", size=128)


def noisy(x: torch.Tensor, level: float) -> torch.Tensor:
    return (x + level * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket", "camera"])
def test_good_photos_come_back_bit_by_bit(name):
    x = photo(name, size=160)
    answer = repair(Photo(x), denoiser=smoothing())
    assert torch.equal(answer.photo.pixels, x)
    assert answer.change == 0
    assert "as it was" in answer.said[-1]


@pytest.mark.parametrize("level", [0.03, 0.06, 0.12])
def test_noise_is_found_and_taken_off(cat, level):
    y = noisy(cat, level)
    answer = repair(Photo(y), denoiser=smoothing())
    assert answer.noise == pytest.approx(level, rel=0.2)
    assert psnr(answer.photo.pixels, cat) > psnr(y, cat) + 1


def test_noise_told_is_taken_off_and_zero_is_not(cat):
    assert repair(Photo(cat), Repair(noise=0.05), denoiser=smoothing()).noise == 0.05
    assert torch.equal(
        repair(Photo(noisy(cat, 0.1)), Repair(noise=0), denoiser=smoothing()).photo.pixels, noisy(cat, 0.1)
    )


@pytest.mark.parametrize("kind", ["1", "P", "palette"])
def test_dither_is_not_taken_for_noise(cat, kind):
    if kind == "palette":
        draw = torch.Generator().manual_seed(0)
        palette = 0.5 + 0.05 * torch.randn(3, 100, generator=draw)
        pixels = palette[:, torch.randint(100, (64, 64), generator=draw)][None]
    else:
        picture = Image.fromarray((cat[0].permute(1, 2, 0) * 255).round().byte().numpy()).convert(kind)
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    assert estimate_noise(pixels).level > 0.014
    answer = repair(Photo(pixels), denoiser=smoothing())
    assert answer.change == 0
    assert "so few colors" in " ".join(answer.said)


def test_only_what_is_marked_changes(cat):
    mask = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    mask[..., 60:63, 10:100] = True
    y = cat.masked_fill(mask, 1.0)
    answer = repair(Photo(y), denoiser=smoothing(), mask=mask)
    marked = mask.expand_as(cat)
    assert torch.equal(answer.photo.pixels[~marked], cat[~marked])
    assert (answer.photo.pixels - cat)[marked].square().mean() < 0.2 * (y - cat)[marked].square().mean()
    assert answer.filled == pytest.approx(270 / 128**2)
    assert "off by" in " ".join(answer.said), "tried on intact places"


def test_a_mask_the_wrong_way_round_is_told_in_a_line(cat):
    scratch = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    scratch[..., 40:44, :] = True
    told = [repair(Photo(cat), Repair(noise=0), denoiser=smoothing(), mask=mask).said for mask in (scratch, ~scratch)]
    assert ["not the other way round" in said[0] for said in told] == [False, True]
    assert "marks 97 % of the photo" in told[1][0]


def test_eight_bit_values_are_refused_and_not_called_free_of_noise(cat):
    with pytest.raises(ValueError, match=r"photo\.pixels must hold values in .* divide by 255"):
        repair(Photo(255 * cat), denoiser=smoothing())


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"photo": "cat.png"}, r"photo must be .*Photo, got the string 'cat\.png': read_photo\(path\)"),
        ({"photo": torch.rand(1, 3, 8, 8)}, r"photo must be .*Photo, got Tensor: Photo\(pixels\)"),
        ({"settings": {"old": True}}, r"settings must be .*Repair.*, got dict"),
        ({"denoiser": "photos"}, r"denoiser must be .*load\('photos'\), got the string 'photos'"),
        ({"denoiser": torch.nn.Identity()}, r"denoiser must be a Denoiser, .* got Identity"),
        ({"detector": "photos-repair"}, r"detector must be .*load_detector\(\).*, got the string"),
        ({"faces": "faces-64"}, r"faces must be .*Faces, .*got the string"),
        ({"mask": [[True]]}, r"mask must be a torch\.Tensor \(1, 1, 128, 128\) .* got list"),
    ],
)
def test_an_argument_of_another_kind_is_named(cat, wrong, match):
    given = {"photo": Photo(cat), "denoiser": smoothing()} | wrong
    with pytest.raises(TypeError, match=match):
        repair(given.pop("photo"), given.pop("settings", None), **given)


@pytest.mark.parametrize("value", [0.1, float("nan"), 255])
@pytest.mark.parametrize("name", ["mask", "keep"])
def test_a_soft_mask_is_refused_and_not_taken_for_a_full_one(cat, name, value):
    soft = torch.zeros(1, 1, 128, 128)
    soft[..., 3, 4:7] = value
    with pytest.raises(ValueError, match=rf"{name} must hold zeros and ones only, found {value}"):
        repair(Photo(cat), denoiser=smoothing(), **{name: soft})


def test_a_mask_of_numbers_is_one_of_truths(cat):
    mask = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    mask[..., 60:62, 20:80] = True
    for numbers in (mask.float(), mask.byte()):
        one, other = (repair(Photo(cat), denoiser=smoothing(), mask=each).photo.pixels for each in (mask, numbers))
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_photo_that_asks_for_a_gradient_is_repaired_without_a_warning(cat):
    answer = repair(Photo(cat.clone().requires_grad_()), Repair(noise=0.05), denoiser=smoothing())
    assert not answer.photo.pixels.requires_grad


def test_more_noise_than_a_photo_can_have_is_a_pattern():
    checkered = (
        torch.stack(torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")).sum(dim=0)[None, None] % 2
    )
    shaded = checkered * torch.linspace(0.8, 1, 96)
    for pattern in (checkered.float(), shaded, shaded.expand(1, 3, 96, 96)):
        answer = repair(Photo(pattern), denoiser=smoothing())
        assert answer.change == 0
        assert "left unless told" in answer.said[0]


def test_an_answer_that_is_likely_worse_is_told_in_a_line(cat):
    cat = cat[..., 32:96, 32:96]
    noise = torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
    answer = repair(
        Photo((cat + 0.1 * noise).clamp(0, 1)),
        Repair(scale=2, blur=1.0, noise=0.0, method="pinv"),
        denoiser=smoothing(),
    )
    assert any("likely worse than the photo" in line and "1 of 1" in line for line in answer.said)
    assert any("not to be trusted" in line for line in answer.said)
    assert not any("likely, not certain" in line for line in answer.said)


def test_progress_goes_on_within_a_window_and_ends_at_the_whole(cat):
    mask = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    mask[..., 60:63, 10:100] = True
    told = []
    repair(Photo(cat), denoiser=smoothing(), mask=mask, progress=lambda done, total: told.append((done, total)))
    shares = [done / total for done, total in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert any(done % 1 for done, _ in told)


def test_windows_make_no_seams(cat):
    y = noisy(cat, 0.05)
    whole, parts = (repair(Photo(y), Repair(side=side), denoiser=smoothing()).photo.pixels for side in (448, 272))
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=0)


def test_large_holes_are_seen_whole():
    flat = torch.linspace(0.3, 0.7, 300).expand(1, 3, 200, 300).contiguous()
    mask = torch.zeros(1, 1, 200, 300, dtype=torch.bool)
    mask[..., 20:180, 60:240] = True
    answer = repair(Photo(flat.masked_fill(mask, 1.0)), Repair(side=150), denoiser=smoothing(), mask=mask)
    assert (answer.photo.pixels - flat).abs().max() < 0.2


def ramp(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.linspace(0.2, 0.5, height)[:, None], torch.linspace(0.0, 0.3, width)
    return (rows + columns).expand(1, 3, height, width).contiguous()


@pytest.mark.parametrize(("height", "width"), [(401, 333), (333, 700)])
def test_large_holes_are_filled_from_coarse_to_fine_and_only_they_change(height, width):
    smooth = ramp(height, width)
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[..., 150:251, 120:221] = True
    answer = repair(Photo(smooth.masked_fill(mask, 1.0)), denoiser=smoothing(), mask=mask)
    marked = mask.expand_as(smooth)
    assert torch.equal(answer.photo.pixels[~marked], smooth[~marked])
    assert (answer.photo.pixels - smooth).abs().max() < 0.04
    assert any("half the resolution" in line for line in answer.said)
    assert any("large holes" in line for line in answer.said)


@pytest.mark.slow
def test_a_large_hole_elsewhere_does_not_change_how_a_scratch_is_filled():
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 3, 40, 80, generator=generator)
    y = torch.nn.functional.interpolate(rough, size=(800, 1600), mode="bicubic").clamp(0, 1)
    scratch, hole = (torch.zeros(1, 1, 800, 1600, dtype=torch.bool) for _ in range(2))
    scratch[..., 100:103, 100:400] = True
    hole[..., 500:600, 1300:1400] = True
    alone, both = (
        repair(Photo(y), Repair(noise=0.0), denoiser=smoothing(), mask=mask).photo.pixels
        for mask in (scratch, scratch | hole)
    )
    torch.testing.assert_close(both[..., 100:103, 100:400], alone[..., 100:103, 100:400], atol=2e-4, rtol=0)


def test_a_noisy_photo_with_damage_is_denoised_where_it_is_intact_and_filled_where_it_is_not(cat):
    y = noisy(cat, 0.08)
    mask = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    mask[..., 60:64, 10:100] = True
    denoiser = smoothing()
    answer = repair(Photo(y.masked_fill(mask, 1.0)), Repair(noise=0.08), denoiser=denoiser, mask=mask).photo.pixels
    expected = denoiser(fill_in(y.masked_fill(mask, 1.0), ~mask), 0.08).clamp(0, 1)
    marked = mask.expand_as(y)
    assert torch.equal(answer[~marked], expected[~marked])
    assert psnr(answer[..., 60:64, 10:100], cat[..., 60:64, 10:100]) > 18


@pytest.mark.slow
def test_large_holes_by_a_method_without_passes_are_seen_in_one_window():
    smooth = ramp(200, 300)
    mask = torch.zeros(1, 1, 200, 300, dtype=torch.bool)
    mask[..., 60:140, 60:240] = True
    settings = Repair(method="interpolation")
    answer = repair(Photo(smooth.masked_fill(mask, 1.0)), settings, denoiser=smoothing(), mask=mask)
    torch.testing.assert_close(answer.photo.pixels, smooth, atol=1e-3, rtol=0)


def test_small_photos_are_enlarged_and_blurred_ones_sharpened(cat):
    small = Bicubic(2)(cat).clamp(0, 1)
    answer = repair(Photo(small), Repair(scale=2), denoiser=smoothing())
    assert answer.photo.size == (128, 128)
    assert answer.change is None
    nearest = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert psnr(answer.photo.pixels, cat) > psnr(nearest, cat)
    # What lay beyond the frame was blurred into it.
    scene = GaussianBlur(11, 1.5, padding="valid")
    blurred, seen = scene(cat).clamp(0, 1), scene.frame(cat)
    sharp = repair(Photo(blurred), Repair(blur=1.5), denoiser=smoothing()).photo.pixels
    assert sharp.shape == blurred.shape
    assert psnr(sharp, seen) > psnr(blurred, seen)
    for edge in (slice(3), slice(-3, None)):
        assert (sharp - seen)[..., edge].square().mean() < (blurred - seen)[..., edge].square().mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_stays_gray_and_transparency_is_kept(cat, channels):
    gray = Photo(noisy(cat[:, :1], 0.08), alpha=torch.rand(1, 1, 128, 128), depth=16)
    answer = repair(gray, denoiser=smoothing(channels)).photo
    assert answer.is_gray
    assert answer.depth == 16
    assert torch.equal(answer.alpha, gray.alpha)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 40), (17, 16)])
def test_tiny_photos_are_answered(size):
    plain = torch.full((1, 3, *size), 0.25)
    noise = 0.1 * torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    for settings in (Repair(noise=0.1), Repair(), Repair(old=True)):
        answer = repair(Photo(plain), settings, denoiser=smoothing()).photo.pixels
        torch.testing.assert_close(answer, plain, atol=1e-3, rtol=0)
        y = (plain + noise).clamp(0, 1)
        answer = repair(Photo(y), settings, denoiser=smoothing()).photo.pixels
        assert (answer - y).abs().max() <= 0.5


def test_old_prints(cat):
    faded = 0.3 + 0.4 * cat
    cracked = faded.clone()
    cracked[..., 20:110, 40] = 0.95
    answer = repair(Photo(cracked), Repair(old=True), denoiser=smoothing())
    assert psnr(answer.photo.pixels, cat) > psnr(cracked, cat) + 1
    words = " ".join(answer.said)
    assert "crack" in words
    assert "faded" in words


def test_lines_are_found_by_shape():
    y = torch.full((1, 1, 120, 120), 0.5)
    y[..., 10:100, 30] = 0.9
    y[..., 60, 50:110] = 0.1
    y[..., 80:110, 70:100] = 0.9
    found = find_defects(y)
    assert found.lines == 2
    assert not bool(found.mask[..., 90:100, 80:90].any()), "a square is no line"
    assert find_defects(torch.rand(1, 1, 60, 60)).share == 0, "texture is no damage"


def test_what_is_to_be_kept_is_kept_at_any_scale(cat):
    keep = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    keep[..., :64, :] = True
    sepia = (0.1 + 0.8 * cat.mean(dim=1, keepdim=True)) * torch.tensor([1.0, 0.86, 0.68])[:, None, None]
    stained = sepia.clone()
    for rows in (slice(20, 44), slice(84, 108)):
        stained[..., rows, 40:64] *= torch.tensor([0.85, 0.65, 0.4])[:, None, None]
    settings = Repair(old=True, noise=0.0)
    answer = repair(Photo(stained), settings, denoiser=smoothing(), keep=keep).photo.pixels
    assert torch.equal(answer[..., 20:44, 40:64], stained[..., 20:44, 40:64])
    assert (answer - sepia)[..., 86:106, 42:62].abs().mean() < 0.5 * (stained - sepia)[..., 86:106, 42:62].abs().mean()
    enlarged = repair(Photo(stained), Repair(old=True, noise=0.0, scale=2), denoiser=smoothing(), keep=keep)
    assert enlarged.photo.size == (256, 256)


def test_a_clean_photo_of_which_all_is_kept_is_as_it_was():
    ramp = Photo(torch.linspace(0, 1, 64).expand(1, 1, 64, 64).contiguous())
    answer = repair(ramp, Repair(old=True, noise=0.0), denoiser=smoothing(), keep=torch.ones(1, 1, 64, 64))
    assert answer.change == 0
    assert "as it was" in answer.said[-1]


def test_settings_are_plain_numbers():
    settings = Repair(scale=np.int64(2), noise=np.float32(0.25), blur=np.float64(1))
    assert json.loads(json.dumps(asdict(settings)))["noise"] == 0.25


def test_fading_that_is_none_stays():
    assert not find_fading(torch.linspace(0, 1, 100).reshape(1, 1, 10, 10)).there
    assert not find_fading(torch.full((1, 1, 10, 10), 0.5)).there
    sepia = torch.stack([0.5 + 0.2 * torch.rand(40, 40)] * 3)[None] * torch.tensor([1, 0.9, 0.8])[:, None, None]
    spread = find_fading(sepia).undo(sepia)
    assert bool((spread[:, 0] >= spread[:, 2]).all()), "sepia stays sepia"


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket"])
def test_a_good_photo_has_not_faded(name):
    x = photo(name, size=128)
    for image in (x, 0.5 * x, x.mean(dim=1, keepdim=True)):
        assert find_fading(image).undo(image) is image


def test_undoing_fading_brings_a_print_closer_to_the_photo(cat):
    gains = []
    for seed, x in enumerate((cat, photo("coffee", size=128), photo("rocket", size=128))):
        faded = OldPhoto().print_alone()(x, seed=seed).y
        gains.append(float(psnr(find_fading(faded).undo(faded), x) - psnr(faded, x)))
    assert sum(gains) / 3 > 0.5
    assert min(gains) > -1.5


def test_black_that_became_gray_and_white_that_did_come_back():
    gains = []
    for name in ("astronaut", "cat", "coffee"):
        x = photo(name, size=128)
        for black, white in ((0.3, 0.8), (0.2, 0.7), (0.4, 0.9)):
            faded = black + (white - black) * x
            undone = find_fading(faded).undo(faded)
            gains.append(float(psnr(undone, x) - psnr(faded, x)))
    assert min(gains) > 1
    assert sum(gains) / len(gains) > 5


def dyed(x: torch.Tensor) -> torch.Tensor:
    """Fade the channels apart, as the dyes of a print do: black becomes brown, white orange."""
    black, white = (torch.tensor(part)[:, None, None] for part in ((0.3, 0.15, 0.1), (0.95, 0.8, 0.6)))
    return black + (white - black) * x


def test_colors_that_faded_apart_come_back_when_asked(cat):
    gains = []
    for x in (cat, photo("coffee", size=128), photo("rocket", size=128)):
        faded = dyed(x)
        before, tones, colors = (
            float(psnr(image, x))
            for image in (faded, find_fading(faded).undo(faded), find_fading(faded, color=True).undo(faded))
        )
        gains.append(colors - max(before, tones))
    assert min(gains) > 0
    assert sum(gains) / 3 > 4


def test_sepia_goes_when_asked_and_gray_stays_gray(cat):
    print_ = OldPhoto.only(toning=1.0, tone="sepia")(cat, seed=0).y
    undone = find_fading(print_, color=True).undo(print_)
    assert colorfulness(print_) > 0.1
    assert colorfulness(undone) < 1e-4
    gray = (0.3 + 0.4 * cat.mean(dim=1, keepdim=True)).expand(-1, 3, -1, -1)
    undone = find_fading(gray, color=True).undo(gray)
    torch.testing.assert_close(undone, find_fading(gray).undo(gray))
    assert "gray" in find_fading(print_, color=True).told()


def test_toning_need_not_be_linear(cat):
    gray = cat.mean(dim=1, keepdim=True)
    print_ = torch.cat([gray**0.7, gray**0.9, gray**1.3], dim=1)
    for y in (print_, 0.3 + 0.4 * print_):
        found = find_fading(y, color=True)
        assert found.toned
        assert colorfulness(y) > 0.05
        assert colorfulness(found.undo(y)) == 0


@pytest.mark.parametrize("name", ["rocket", "coffee", "astronaut", "cat"])
def test_a_dark_photo_has_not_faded_and_a_pale_one_keeps_its_colors(name):
    x = photo(name, size=128)
    assert not find_fading(0.15 * x, color=True).there
    pale = 0.48 + 0.2 * x
    undone = find_fading(pale, color=True).undo(pale)
    assert colorfulness(undone) > 1.5 * colorfulness(pale)
    assert psnr(undone, x) > psnr(pale, x)


def test_what_was_no_color_is_not_called_one(cat):
    gray = cat.mean(dim=1, keepdim=True)
    answer = repair(Photo(gray), Repair(color=True, noise=0.0), denoiser=smoothing())
    assert answer.change == 0
    assert "as it was" in answer.said[-1]
    assert "one color" not in find_fading(0.3 + 0.4 * gray.expand(-1, 3, -1, -1), color=True).told()


def colorfulness(x: torch.Tensor) -> float:
    """Compute the mean difference of the channels."""
    return float((x.amax(dim=1) - x.amin(dim=1)).mean())


def test_repair_undoes_colors_alone(cat):
    faded = dyed(cat)
    answer = repair(Photo(faded), Repair(color=True, noise=0.0), denoiser=smoothing())
    torch.testing.assert_close(answer.photo.pixels, find_fading(faded, color=True).undo(faded))
    assert "colors" in " ".join(answer.said)
    assert repair(Photo(cat.clone()), Repair(noise=0.0), denoiser=smoothing()).change == 0


def test_holes_are_filled_by_what_is_around():
    ramp = torch.linspace(0, 1, 50).expand(1, 1, 40, 50)
    known = torch.ones(1, 1, 40, 50, dtype=torch.bool)
    known[..., 10:30, 20:30] = False
    filled = fill_in(ramp * known, known)
    assert torch.equal(filled[known], ramp[known])
    assert (filled - ramp).abs().max() < 0.15


def test_bad_input_is_refused(cat):
    with pytest.raises(ValueError, match=r"\(1, 1, 128, 128\).*\(1, 1, 64, 64\)"):
        repair(Photo(cat), denoiser=smoothing(), mask=torch.ones(1, 1, 64, 64))
    with pytest.raises(ValueError, match="whole photo"):
        repair(Photo(cat), denoiser=smoothing(), mask=torch.ones(1, 1, 128, 128))
    for wrong in ({"scale": 9}, {"scale": 0}, {"blur": -1.0}, {"noise": -0.1}):
        with pytest.raises(ValueError, match=str(*wrong)):
            Repair(**wrong)
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\)"):
        estimate_noise(torch.rand(2, 3, 8, 8))


class Finding(DamageDetector):
    """What a perfect detector would say of white lines."""

    def probability(self, images, *, tile=768):  # noqa: ARG002
        return (images > 0.95).all(dim=1, keepdim=True).float()


def test_what_is_likely_damaged_is_followed_from_where_it_is_surely():
    class Known(DamageDetector):
        def probability(self, y):
            answer = torch.zeros_like(y[:, :1])
            answer[..., 10, 5:30], answer[..., 10, 15] = 0.5, 0.95
            answer[..., 30, 5:30] = 0.8
            return answer

    found = detect_defects(torch.zeros(1, 3, 40, 40), Known(widths=(8, 8, 8))).mask
    assert found[..., 10, 5:30].all(), "the faint ends of a scratch"
    assert not found[..., 30, :].any(), "nothing there is sure"


def test_a_detector_takes_the_place_of_the_shape(cat):
    y = 0.8 * cat
    y[..., 10:110, 60] = 1.0
    y[..., 20:22, 100:102] = 1.0
    found = detect_defects(y, Finding(widths=(8, 8, 8)))
    assert (found.lines, found.specks) == (1, 1)
    # One pixel around is taken for damaged, too.
    assert bool(found.mask[..., 50, 59:62].all())
    assert not bool(found.mask[..., 50, 70])
    answer = repair(Photo(y), Repair(old=True, noise=0), denoiser=smoothing(), detector=Finding(widths=(8, 8, 8)))
    assert answer.filled == pytest.approx(found.share)
    filled = answer.photo.pixels[..., 10:110, :]
    assert float((filled[..., 60] - filled[..., [57, 63]].mean(dim=-1)).mean()) < 0.05
    assert "by a network" in " ".join(answer.said)


def test_colors_that_faded_apart_are_told_where_one_map_spreads_the_tones(cat):
    factors, offsets = (torch.tensor(numbers)[:, None, None] for numbers in ((0.6, 0.45, 0.3), (0.35, 0.25, 0.3)))
    apart, even = find_fading(factors * cat + offsets), find_fading(0.5 * cat + 0.25)
    assert (apart.there, apart.apart) == (True, True)
    assert "--color" in apart.told()
    assert (even.there, even.apart) == (True, False)
    assert "--color" not in even.told()
    sepia = (0.2 + 0.5 * cat.mean(dim=1, keepdim=True)) * torch.tensor([1.0, 0.86, 0.68])[:, None, None]
    assert not find_fading(sepia).apart


def test_what_coarse_compression_hides_is_told():
    flat = torch.full((1, 3, 96, 96), 0.5)
    said = [repair(Photo(flat, noise=level), denoiser=smoothing()).said[0] for level in (0.002, 0.1)]
    assert "--noise" not in said[0]
    assert "error of about 26, hides noise" in said[1]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"method": "nope"}, ValueError), ({"old": "yes"}, TypeError), ({"color": 1}, TypeError)],
)
def test_settings_that_mean_nothing_are_refused_when_they_are_made(wrong, error):
    [(name, value)] = wrong.items()
    with pytest.raises(error, match=str(value) if name == "method" else f"{name} must be True or False, got {value!r}"):
        Repair(**wrong)


@pytest.mark.parametrize(("height", "width"), [(3, 50), (50, 1), (2, 2)])
def test_of_a_photo_too_small_to_tell_its_noise_that_is_said(height, width):
    small = Photo(torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)))
    done = repair(small, denoiser=smoothing())
    assert done.said[0] == (
        f"{width} x {height} pixels are too few to tell the noise: --noise LEVEL takes off what you see"
    )
    assert done.change == 0


def test_the_least_noise_is_told_by_its_digits():
    answer = repair(Photo(torch.full((1, 1, 16, 16), 0.5)), Repair(noise=0.0001), denoiser=smoothing(1))
    assert answer.said[0].startswith("noise of 0.0001, 0.026 of 255 gray levels")

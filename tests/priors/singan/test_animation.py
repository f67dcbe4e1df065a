"""Animation: the walk by hand, the frames it makes, and the GIF they become."""

import math

import pytest
import torch
from PIL import Image

from inverso.priors.singan.animation import _walk, animate, save_animation
from priors.singan.tiny import SIDES, SIZES, tiny


def test_the_walk_by_hand():
    """Two anchors; every number is computed from the noise that the seed gives."""
    anchors = (torch.tensor([1.0]), torch.tensor([0.0, -2.0]))
    alpha, beta = 0.25, 0.5
    generator = torch.Generator().manual_seed(11)
    noise = [torch.cat([torch.randn(1, generator=generator), torch.randn(2, generator=generator)]) for _ in range(2)]
    star = torch.cat(anchors)
    first = 0.25 * star + 0.75 * (star + 0.5 * noise[0])
    second = 0.25 * star + 0.75 * (first + 0.5 * (first - star) + 0.5 * noise[1])
    steps = _walk(anchors, alpha=alpha, beta=beta, seed=11)
    for expected in (star, first, second):
        torch.testing.assert_close(torch.cat(next(steps)), expected)


def test_without_noise_and_pull_the_walk_stays():
    steps = _walk([torch.ones(3)], alpha=0.0, beta=1.0)
    assert all(torch.equal(next(steps)[0], torch.ones(3)) for _ in range(5))


def test_a_full_pull_keeps_the_walk_where_it_began():
    steps = _walk([torch.arange(4.0)], alpha=1.0, beta=0.3)
    assert all(torch.equal(next(steps)[0], torch.arange(4.0)) for _ in range(5))


def test_the_walk_keeps_its_distance_as_computed():
    """With phi1 = (1 - a)(1 + b), phi2 = -(1 - a) b, sigma = (1 - a)(1 - b) it is autoregressive of order two."""
    alpha, beta = 0.1, 0.9
    phi1, phi2, sigma = (1 - alpha) * (1 + beta), -(1 - alpha) * beta, (1 - alpha) * (1 - beta)
    variance = (1 - phi2) * sigma**2 / ((1 + phi2) * ((1 - phi2) ** 2 - phi1**2))
    steps = _walk([torch.zeros(20_000)], alpha=alpha, beta=beta)
    positions = [next(steps)[0] for _ in range(120)]
    torch.testing.assert_close(positions[-1].var(), torch.tensor(variance), rtol=0.05, atol=0)


def test_the_first_frame_is_the_reconstruction_and_more_frames_go_on():
    prior = tiny()
    film = animate(prior, 12, seed=2)
    assert film.shape == (12, 3, *SIDES)
    torch.testing.assert_close(film[:1], prior.reconstruct())
    torch.testing.assert_close(animate(prior, 5, seed=2), film[:5])
    assert not torch.allclose(animate(prior, 5, seed=3), film[:5], atol=1e-3)


def test_scales_below_the_start_stand_still():
    prior = tiny()
    film = animate(prior, 9, start_scale=2, seed=4)
    maps = prior.maps(prior.fixed_latent())
    steps = _walk(maps[2:], seed=4)
    for frame in film:
        torch.testing.assert_close(frame[None], prior.grow([*maps[:2], *next(steps)]))
    assert torch.equal(film, animate(prior, 9, start_scale=-2, seed=4))


def test_by_default_every_scale_moves():
    prior = tiny()
    assert torch.equal(animate(prior, 3), animate(prior, 3, start_scale=0))
    assert animate(tiny(sizes=SIZES[-1:]), 3).shape == (3, 3, *SIDES)


def test_frames_carry_no_gradient_and_the_global_random_state_rests():
    state = torch.random.get_rng_state()
    assert not animate(tiny().requires_grad_(), 2).requires_grad
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"frames": 0}, ValueError, "frames must be an integer of at least 1, got 0"),
        ({"frames": 2.5}, TypeError, "frames must be an integer"),
        ({"alpha": 1.1}, ValueError, r"alpha must lie in \[0, 1\], got 1.1"),
        ({"alpha": None}, TypeError, r"alpha must be a number in \[0, 1\]"),
        ({"beta": -0.1}, ValueError, r"beta must lie in \[0, 1\], got -0.1"),
        ({"beta": math.nan}, ValueError, r"beta must be a number in \[0, 1\], got nan"),
        ({"start_scale": 4}, ValueError, "start_scale must lie between -4 and 3"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        animate(tiny(), **settings)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_holds_the_frames(tmp_path, channels):
    frames = torch.zeros(4, channels, 6, 9)
    for k in range(4):
        frames[k, :, :, 2 * k : 2 * k + 2] = 1
    path = tmp_path / "film.gif"
    save_animation(frames, path, fps=12.5)
    with Image.open(path) as film:
        assert (film.n_frames, film.size) == (4, (9, 6))
        assert film.info["loop"] == 0
        for k in range(4):
            film.seek(k)
            assert film.info["duration"] == 80
            pixels = torch.tensor(list(film.convert("L").tobytes())).reshape(6, 9)
            assert torch.equal(pixels, (frames[k, 0] * 255).long())
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.gif"]


@pytest.mark.parametrize(
    ("frames", "name", "fps", "error", "message"),
    [
        (torch.rand(3, 8, 8), "a.gif", 10, ValueError, r"frames must have shape \(frames, C, H, W\).*got \(3, 8, 8\)"),
        (torch.rand(2, 2, 8, 8), "a.gif", 10, ValueError, "with 1 or 3 channels"),
        (torch.full((1, 1, 2, 2), math.nan), "a.gif", 10, ValueError, "frames must be finite"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), "a.gif", 10, TypeError, "divide 8-bit pixels by 255"),
        (torch.rand(2, 3, 8, 8), "a.png", 10, ValueError, r"a\.png must end in \.gif"),
        (torch.rand(2, 3, 8, 8), "none/a.gif", 10, FileNotFoundError, "the folder .*none does not exist"),
        (torch.rand(2, 3, 8, 8), "a.gif", 0, ValueError, "fps must be above 0 and at most 50, got 0"),
        (torch.rand(2, 3, 8, 8), "a.gif", 51, ValueError, "fps must be above 0 and at most 50, got 51"),
        (torch.rand(2, 3, 8, 8), "a.gif", "10", TypeError, "fps must be a number above 0"),
    ],
)
def test_bad_films_are_refused(tmp_path, frames, name, fps, error, message):
    with pytest.raises(error, match=message):
        save_animation(frames, tmp_path / name, fps=fps)
    assert list(tmp_path.iterdir()) == []

"""Enlarging: sizes, steps, and generators that add nothing give repeated bicubic enlargement."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso import _machine
from inverso.errors import InversoError
from inverso.priors.singan._enlarging import step_sizes, super_resolve
from inverso.priors.singan._resize import resize
from priors.singan.tiny import SIZES, tiny


@pytest.mark.parametrize(
    ("factor", "size"), [(2, (48, 60)), (1.5, (36, 45)), (4, (96, 120)), (1.01, (24, 30)), (3.3, (79, 99))]
)
def test_the_answer_has_the_size_asked_for(factor, size):
    assert super_resolve(tiny(), factor).shape == (1, 3, *size)
    silent = tiny(gain=0.0)
    colors = super_resolve(silent, factor).mean(dim=(2, 3))
    torch.testing.assert_close(colors, silent.photo.mean(dim=(2, 3)), atol=0.02, rtol=0)


def test_more_pixels_than_fit_into_the_memory_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(_machine, "free_memory", lambda: 10_000_000)
    assert super_resolve(tiny(), 2).shape == (1, 3, 48, 60)
    with pytest.raises(InversoError, match="3000 x 2400 pixels"):
        super_resolve(tiny(), 100)


@given(
    height=st.integers(11, 300),
    width=st.integers(11, 300),
    factor=st.floats(1.001, 16),
    ratio=st.floats(0.5, 0.95),
)
def test_steps_are_about_those_between_scales(height, width, factor, ratio):
    sizes = step_sizes((height, width), factor, ratio)
    assert sizes[-1] == (round(height * factor), round(width * factor))
    assert sizes == sorted(sizes)
    # The number of steps is rounded, so that one step is off by half of one at most, in logarithms.
    step = math.log(factor) / len(sizes)
    assert step <= -math.log(ratio) * 1.5 + 1e-9
    assert len(sizes) == 1 or step >= -math.log(ratio) * 0.66


def test_four_times_in_the_steps_of_singan_are_six():
    assert len(step_sizes((100, 100), 4, 2 ** (-1 / 3))) == 6


def test_generators_that_add_nothing_enlarge_bicubically():
    silent = tiny(gain=0.0)
    expected = silent.photo
    for size in step_sizes((24, 30), 2.5, 0.75):
        expected = resize(expected, size)
    torch.testing.assert_close(super_resolve(silent, 2.5, back_projections=0), expected)


def test_the_finest_generator_and_its_noise_are_used():
    prior = tiny()
    enlarged = resize(prior.photo, (36, 45))
    noise = torch.randn(1, 3 * 36 * 45, generator=torch.Generator().manual_seed(7)).reshape(1, 3, 36, 45)
    finest = prior.scales[-1](prior.amplitudes[-1] * noise, 2 * enlarged - 1)
    answer = (finest + 1) / 2
    torch.testing.assert_close(super_resolve(prior, 1.5, back_projections=0, seed=7), answer)
    corrected = answer + resize(prior.photo - resize(answer, (24, 30)), (36, 45))
    torch.testing.assert_close(super_resolve(prior, 1.5, back_projections=1, seed=7), corrected)


def test_back_projections_lead_to_an_answer_that_shrinks_to_the_photo():
    prior = tiny(gain=0.3)
    errors = [
        float((resize(super_resolve(prior, 2, back_projections=count), (24, 30)) - prior.photo).abs().max())
        for count in (0, 1, 4, 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 * errors[0]


def test_noise_follows_the_seed_and_other_images_may_be_given():
    prior = tiny()
    image = torch.rand(2, 3, 15, 20)
    answer = super_resolve(prior, 2, image=image, seed=1)
    assert answer.shape == (2, 3, 30, 40)
    assert torch.equal(answer, super_resolve(prior, 2, image=image, seed=1))
    assert not torch.equal(answer, super_resolve(prior, 2, image=image, seed=2))
    assert super_resolve(prior, 2, image=image[0]).shape == (1, 3, 30, 40)
    assert not super_resolve(prior.requires_grad_(), 2).requires_grad


@pytest.mark.parametrize(
    ("factor", "error", "message"),
    [
        (1, ValueError, "factor must be above 1, got 1: to make an image smaller, resize it"),
        (0.5, ValueError, "factor must be above 1, got 0.5"),
        (-2, ValueError, "factor must be above 1"),
        (math.nan, ValueError, "factor must be a number above 1, got nan"),
        ("2", TypeError, "factor must be a number above 1, got '2'"),
    ],
)
def test_bad_factors_are_refused(factor, error, message):
    with pytest.raises(error, match=message):
        super_resolve(tiny(), factor)


@pytest.mark.parametrize(
    ("count", "error", "message"),
    [(-1, ValueError, "must be an integer of at least 0, got -1"), (1.5, TypeError, "must be an integer")],
)
def test_bad_numbers_of_back_projections_are_refused(count, error, message):
    with pytest.raises(error, match=f"back_projections {message}"):
        super_resolve(tiny(), 2, back_projections=count)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(1, 1, 24, 30), ValueError, r"image must have shape \(n, 3, H, W\) or .*, got \(1, 1, 24, 30\)"),
        (torch.rand(2, 1, 3, 24, 30), ValueError, r"image must have shape \(n, 3, H, W\)"),
        (torch.full((3, 24, 30), math.inf), ValueError, "image must be finite"),
        (torch.full((3, 24, 30), 200.0), ValueError, "8-bit ones, divide by 255"),
        (torch.zeros(3, 24, 30, dtype=torch.uint8), TypeError, "image must be a floating-point image"),
    ],
)
def test_bad_images_are_refused(image, error, message):
    with pytest.raises(error, match=message):
        super_resolve(tiny(), 2, image=image)


def test_a_single_scale_enlarges_nothing():
    with pytest.raises(ValueError, match="a prior of a single scale starts from noise and cannot enlarge an image"):
        super_resolve(tiny(sizes=SIZES[-1:]), 2)


def test_progress_is_shown_on_a_terminal_only(monkeypatch, capsys):
    super_resolve(tiny(), 2, progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    super_resolve(tiny(), 2, progress=True)
    assert "to 60 x 48 pixels:" in capsys.readouterr().err

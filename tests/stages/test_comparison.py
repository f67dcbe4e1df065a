"""How images are compared with measurements of every kind, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases import OPERATORS, Setting
from inverso.losses._distances import absolute, squared
from inverso.losses.multiscale import MultiScale
from inverso.operators import Bicubic, FFTMask, Identity, Mask, RandomGaussian, RandomMask, stack
from inverso.stages import Problem
from inverso.stages._comparison import Comparison
from stages.toys import energy, pictures

SHAPE = (3, 24, 32)
PIXELS = MultiScale(squared, levels=1, smallest=1, coarse_weight=0.0)
PICTURES = {
    "Identity": Identity(),
    "RandomMask": RandomMask(0.5),
    "Bicubic": Bicubic(4),
    "masked after shrinking": RandomMask(0.5) @ Bicubic(2),
    "shrunk after masking": Bicubic(4) @ RandomMask(0.5),
}
NONE = {
    "FFTMask": FFTMask(0.5),
    "RandomGaussian": RandomGaussian(200, SHAPE),
    "two measurements": stack(Bicubic(2), RandomMask(0.3)),
}


class Recorder:
    """A distance that keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, image: Tensor, target: Tensor) -> Tensor:
        self.calls.append((image, target))
        return absolute(image, target)


def images(n: int = 2, *, seed: int = 5) -> Tensor:
    return pictures(n, image_shape=SHAPE, seed=seed)


@pytest.mark.parametrize("name", PICTURES)
class TestPictures:
    def test_measurement_and_measured_image_are_compared_as_they_are(self, name):
        A, x = PICTURES[name], images()
        y = A(images(seed=6))
        loss, misfit = Comparison.of(Problem(y, A), PIXELS)(x)
        torch.testing.assert_close(misfit, energy(A(x) - y))
        torch.testing.assert_close(loss, misfit / y[0].numel())

    def test_a_right_image_costs_nothing_whatever_fills_the_gaps(self, name):
        A, x = PICTURES[name], images()
        loss, misfit = Comparison.of(Problem(A.measure(x), A), MultiScale(absolute))(x)
        assert loss.abs().max() < 1e-12
        assert misfit.abs().max() < 1e-12


class TestGaps:
    def test_where_a_mask_came_last_both_are_filled_alike_and_anew_in_every_call(self):
        A, recorder = Mask(torch.arange(24 * 32).reshape(24, 32) % 2 == 0), Recorder()
        x = images()
        comparison = Comparison.of(Problem(A.measure(images(seed=6)), A), MultiScale(recorder))
        comparison(x)
        comparison(x)
        (first, target), (second, _) = recorder.calls
        known = A.mask(SHAPE).expand_as(x)
        torch.testing.assert_close(first[known], x[known])
        torch.testing.assert_close(first[~known], target[~known])
        assert first[~known].std() > 0.3
        assert not torch.equal(first[~known], second[~known])

    def test_a_mask_per_image_is_heeded(self):
        A, recorder = RandomMask(0.5, seed=(0, 1)), Recorder()
        x = images()
        Comparison.of(Problem(A(x), A), MultiScale(recorder))(x)
        for k in range(2):
            known = A.for_image(k).mask(SHAPE).expand(SHAPE)
            torch.testing.assert_close(recorder.calls[0][0][k][known], x[k][known])

    def test_where_a_mask_came_first_it_is_part_of_the_picture(self):
        A, recorder = Bicubic(1 + 1) @ RandomMask(0.5), Recorder()
        x = pictures(1, image_shape=(3, 64, 64))
        Comparison.of(Problem(A(x), A), MultiScale(recorder))(x)
        torch.testing.assert_close(recorder.calls[0][0], A(x))


@pytest.mark.parametrize("name", NONE)
class TestNoPictures:
    def test_the_formula(self, name):
        A, x = NONE[name], images()
        y = A(images(seed=6))
        problem = Problem(y, A, _Shaped())
        loss, misfit = Comparison.of(problem, PIXELS)(x)
        torch.testing.assert_close(misfit, energy(A(x) - y))
        norm = largest_squared_singular_value(A)
        corrected = x + A.adjoint(y - A(x), image_shape=SHAPE) / norm
        entries = A.noise_profile(y, image_shape=SHAPE).square().flatten(1).sum(dim=1)
        wanted = (misfit / entries / norm).sqrt() + squared(x, corrected)
        torch.testing.assert_close(loss, wanted, rtol=0.05, atol=0)

    def test_a_right_image_costs_nothing_and_its_gradient_is_finite(self, name):
        A, x = NONE[name], images().requires_grad_()
        loss, misfit = Comparison.of(Problem(A(x.detach()), A, _Shaped()), PIXELS)(x)
        assert misfit.max() < 1e-20
        assert loss.max() < 1e-10
        loss.sum().backward()
        assert x.grad.isfinite().all()

    def test_pictures_are_what_the_loss_gets_to_see(self, name):
        A, recorder, x = NONE[name], Recorder(), images()
        Comparison.of(Problem(A(images(seed=6)), A, _Shaped()), MultiScale(recorder))(x)
        image, corrected = recorder.calls[0]
        assert image is x
        assert corrected.shape == x.shape
        assert not corrected.is_complex()


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_can_be_compared_image_by_image(name):
    setting = Setting()
    A, x = OPERATORS[name].make(setting), setting.draw()
    y = A.measure(setting.draw().flip(-1), noise=0.1, seed=1)
    prior = _Shaped(setting.image_shape)
    loss, misfit = Comparison.of(Problem(y, A, prior), PIXELS)(x.requires_grad_())
    assert loss.shape == misfit.shape == (setting.images,)
    loss.sum().backward()
    assert x.grad.isfinite().all()
    torch.testing.assert_close(misfit, Problem(y, A, prior).misfit(x))
    alone = Problem(y[1:], A.for_image(1), prior)
    torch.testing.assert_close(Comparison.of(alone, PIXELS)(x[1:])[0][0], loss[1], rtol=1e-6, atol=1e-12)


def largest_squared_singular_value(A) -> Tensor:
    """By many power iterations."""
    direction = pictures(1, image_shape=SHAPE, seed=9)
    for _ in range(200):
        direction = A.adjoint(A(direction), image_shape=SHAPE)
        norm = direction.norm()
        direction = direction / norm
    return norm


class _Shaped:
    """Stands for a prior, of which only the size of its images and its companions are asked."""

    encoder_name = denoiser_name = None

    def __init__(self, image_shape=SHAPE) -> None:
        self.image_shape = image_shape

from __future__ import annotations

import math

import pytest
import torch

from inverso.images import io
from inverso.operators import (
    Bicubic,
    BoxMask,
    FFTMask,
    GaussianBlur,
    Identity,
    Mask,
    RandomGaussian,
    RandomMask,
    stack,
)
from inverso.stages import BackProject, Problem, State
from inverso.stages.back_project import squared_norm
from stages.toys import LinearPrior, energy, pictures, typical_noise

SIDE = 16
SHAPE = (3, SIDE, SIDE)
OPERATORS = {
    "Identity": Identity(),
    "RandomMask": RandomMask(0.5),
    "BoxMask": BoxMask(8),
    "mask per image": RandomMask(0.5, seed=tuple(range(48))),
    "FFTMask": FFTMask(0.3),
    "gaussian FFTMask": FFTMask(0.4, density="gaussian"),
    "Bicubic": Bicubic(4),
    "GaussianBlur": GaussianBlur(5, 1.0),
    "strong GaussianBlur": GaussianBlur(9, 2.0),
    "RandomGaussian": RandomGaussian(100, SHAPE),
    "stack": stack(RandomMask(0.3), Bicubic(2)),
}


def corrected(A, x, y, *, noise: float = 0.0, ridge: float | str = "auto") -> torch.Tensor:
    return BackProject(ridge)(
        Problem(y, A, LinearPrior(image_shape=tuple(x.shape[1:])), noise=noise), State(image=x)
    ).image


def error_of_kind(kind: str, n: int, generator: torch.Generator) -> torch.Tensor:
    """Errors of unit root mean square: in every pixel for itself, or smooth as those of a generator are."""
    error = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
    if kind == "smooth":
        coarse = torch.nn.functional.avg_pool2d(error, 4)
        error = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    return error / error.square().mean().sqrt()


class TestWithoutNoise:
    @pytest.mark.parametrize("name", OPERATORS)
    def test_the_result_agrees_with_the_measurement(self, name):
        A = OPERATORS[name]
        n = 48 if name == "mask per image" else 2
        y = A.measure(pictures(n, image_shape=SHAPE))
        image = corrected(A, pictures(n, image_shape=SHAPE, seed=8), y)
        by_conjugate_gradients = name == "stack"
        tolerance = 1e-6 if by_conjugate_gradients else 1e-10
        torch.testing.assert_close(A(image), A.restrict(y, image_shape=SHAPE), rtol=0, atol=tolerance)

    def test_what_was_not_measured_stays(self):
        A, guess = RandomMask(0.5), pictures(2, image_shape=SHAPE, seed=8)
        image = corrected(A, guess, A.measure(pictures(2, image_shape=SHAPE)))
        torch.testing.assert_close(image - A(image), guess - A(guess), rtol=0, atol=0)

    def test_the_right_image_stays(self):
        A, x = GaussianBlur(5, 1.0), pictures(2, image_shape=SHAPE)
        torch.testing.assert_close(corrected(A, x, A(x)), x, rtol=0, atol=1e-8)


class TestAutomaticRidge:
    @pytest.mark.parametrize("kind", ["white", "smooth"])
    @pytest.mark.parametrize("name", OPERATORS)
    def test_never_farther_from_the_truth(self, name, kind):
        A, noise, n = OPERATORS[name], 0.05, 12 if name == "stack" else 48
        generator = torch.Generator().manual_seed(1)
        x = io.photo(size=SIDE).double().expand(n, -1, -1, -1)
        for ratio in (0.03, 0.3, 1.0, 5.0, 100.0):
            guess = x + ratio * noise * error_of_kind(kind, n, generator)
            y = A.measure(x, noise=noise, seed=generator)
            before, after = (
                float((image - x).square().mean()) for image in (guess, corrected(A, guess, y, noise=noise))
            )
            assert 10 * math.log10(before / after) > -0.1, f"error of {ratio} times the noise"

    @pytest.mark.parametrize("name", ["RandomMask", "FFTMask", "GaussianBlur"])
    def test_takes_back_errors_that_the_measurement_shows(self, name):
        A, noise, n = OPERATORS[name], 0.05, 48
        generator = torch.Generator().manual_seed(1)
        x = io.photo(size=SIDE).double().expand(n, -1, -1, -1)
        guess = x + 10 * noise * error_of_kind("smooth", n, generator)
        y = A.measure(x, noise=noise, seed=generator)
        gain = energy(guess - x).sum() / energy(corrected(A, guess, y, noise=noise) - x).sum()
        assert 10 * math.log10(gain) > 2

    def test_the_full_pseudo_inverse_would_explode(self):
        A, noise = GaussianBlur(5, 1.0), 0.05
        x = io.photo(size=SIDE).double()
        guess = x + 0.05
        y = A.measure(x, noise=noise)
        full, automatic = corrected(A, guess, y, noise=noise, ridge=0.0), corrected(A, guess, y, noise=noise)
        assert energy(full - x) > 1e4 * energy(guess - x)
        assert energy(automatic - x) < energy(guess - x)

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
    def test_a_misfit_that_the_noise_explains_is_left_alone(self, share):
        x = pictures(2, image_shape=SHAPE)
        y = x + math.sqrt(share / 0.95) * typical_noise(x, 0.1)
        torch.testing.assert_close(corrected(Identity(), x, y, noise=0.1), x, rtol=0, atol=0)

    def test_a_misfit_far_above_the_noise_is_taken_back_whole(self):
        x = pictures(2, image_shape=SHAPE)
        image = corrected(Identity(), x, x + 1, noise=1e-4)
        torch.testing.assert_close(image, x + 1, rtol=0, atol=1e-6)

    def test_for_a_mask_it_is_the_best_linear_estimate(self):
        # A known error e of every pixel and noise s: the best share of the misfit to take back is e^2 / (e^2 + s^2).
        generator, noise = torch.Generator().manual_seed(2), 0.1
        x = pictures(1, image_shape=(3, 128, 128))
        guess = x + 0.3 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        y = x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        share = (corrected(Identity(), guess, y, noise=noise) - guess) / (y - guess)
        torch.testing.assert_close(share, torch.full_like(share, 0.09 / (0.09 + 0.01)), rtol=0.01, atol=0)

    def test_an_image_does_not_depend_on_its_neighbors(self):
        A, noise = FFTMask(0.5, seed=(0, 1, 2)), 0.05
        y = A.measure(pictures(3, image_shape=SHAPE), noise=noise)
        guess = pictures(3, image_shape=SHAPE, seed=8)
        together = corrected(A, guess, y, noise=noise)
        for i in range(3):
            alone = corrected(A.for_image(i), guess[i : i + 1], y[i : i + 1], noise=noise)
            torch.testing.assert_close(alone, together[i : i + 1])

    def test_one_image_may_need_it_and_its_neighbor_not(self):
        x = pictures(2, image_shape=SHAPE)
        guess = torch.stack([x[0], x[1] + 0.5])
        image = corrected(Identity(), guess, x, noise=0.05)
        torch.testing.assert_close(image[0], guess[0], rtol=0, atol=0)
        assert energy(image - x)[1] < 0.05 * energy(guess - x)[1]


class TestSquaredNorm:
    @pytest.mark.parametrize("name", OPERATORS)
    def test_is_the_largest_eigenvalue_of_the_gram_operator(self, name):
        A = OPERATORS[name].for_image(0)
        basis = torch.eye(math.prod(SHAPE), dtype=torch.float64).reshape(-1, *SHAPE)
        rows = A(basis).flatten(1)
        rows = torch.view_as_real(rows).flatten(1) if rows.is_complex() else rows
        wanted = float(torch.linalg.matrix_norm(rows, 2)) ** 2
        like = pictures(1, image_shape=SHAPE)
        found = squared_norm(Problem(A(like), A, LinearPrior(image_shape=SHAPE)), like=like)
        assert float(found) == pytest.approx(wanted, rel=0.1)

    def test_a_mask_that_keeps_one_pixel_of_one_image(self):
        mask = torch.zeros(2, 1, SIDE, SIDE)
        mask[0, 0, 3, 5], mask[1] = 1, 1
        like = pictures(2, image_shape=SHAPE)
        found = squared_norm(Problem(like, Mask(mask)), like=like)
        torch.testing.assert_close(found, torch.ones(2, dtype=torch.float64))


class TestGivenRidge:
    @pytest.mark.parametrize("ridge", [0.0, 0.3])
    @pytest.mark.parametrize("noise", [0.0, 0.1])
    @pytest.mark.parametrize("name", ["RandomMask", "FFTMask", "GaussianBlur"])
    def test_is_that_of_project(self, name, noise, ridge):
        A = OPERATORS[name]
        guess, y = pictures(2, image_shape=SHAPE, seed=8), A(pictures(2, image_shape=SHAPE))
        image = corrected(A, guess, y, noise=noise, ridge=ridge)
        torch.testing.assert_close(image, A.project(guess, y, ridge=ridge), rtol=0, atol=0)

    def test_out_of_range_is_refused(self):
        with pytest.raises(ValueError, match="ridge must be at least 0, got -1"):
            BackProject(-1)
        with pytest.raises(ValueError, match="ridge must be a number >= 0, got nan"):
            BackProject(float("nan"))
        with pytest.raises(TypeError, match="ridge must be a number >= 0, got 'none'"):
            BackProject("none")


class TestStage:
    def test_the_record(self):
        A, latent = RandomMask(0.5), torch.ones(2, 3)
        before = State(image=pictures(2, image_shape=SHAPE), latent=latent)
        after = BackProject()(Problem(A(before.image), A), before)
        (record,) = after.trace
        assert record.name == "bp"
        assert record.losses.shape == (0, 2)
        assert record.evaluations == 0
        assert after.latent is latent

    def test_it_takes_no_gradients_along(self):
        A, guess = RandomMask(0.5), pictures(1, image_shape=SHAPE).requires_grad_()
        assert not corrected(A, guess, A(guess).detach(), noise=0.1).requires_grad

    def test_a_missing_image_is_named(self):
        with pytest.raises(ValueError, match="this stage needs a stage before it that makes an image"):
            BackProject()(Problem(pictures(1), Identity()), State())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_precision_stays(self, dtype):
        A, x = FFTMask(0.5), pictures(1, image_shape=SHAPE).to(dtype)
        assert corrected(A, x + 0.5, A(x), noise=0.1).dtype == dtype

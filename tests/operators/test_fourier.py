"""Sampled frequencies, against published numbers and spectra worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso import solve
from inverso.operators import FFTMask, FrequencyMask, Identity, stack
from inverso.operators.fourier import FourierPlan, _mirror
from inverso.testing import check_operator, operator_errors
from operators.laws import few

GOLDEN = Path(__file__).parents[1] / "data" / "iagan_fft_io.npz"


class TestPublishedNumbers:
    """A mask of IAGAN that is not conjugate-symmetric, measured by its own code."""

    @pytest.fixture
    def golden(self):
        return {name: torch.from_numpy(values) for name, values in np.load(GOLDEN).items()}

    @pytest.fixture
    def plan(self, golden):
        return FourierPlan.build(golden["mask"][None].double(), channels=1, eps=torch.finfo(torch.float64).eps)

    @pytest.fixture
    def y(self, golden):
        full = torch.zeros(1, 1, 64, 64, dtype=torch.complex128)
        full[..., golden["mask"].bool()] = torch.view_as_complex(golden["y"].double().unflatten(-1, (-1, 2)))
        return full

    def test_measurement(self, golden, plan, y):
        torch.testing.assert_close(plan.forward(golden["x"].double()), y, atol=1e-5, rtol=0)

    def test_adjoint(self, golden, plan, y):
        torch.testing.assert_close(plan.adjoint(y), golden["adjoint"].double(), atol=1e-5, rtol=0)

    def test_pseudo_inverse(self, golden, plan, y):
        torch.testing.assert_close(plan.pinv(y, 0.0), golden["pinv"].double(), atol=1e-5, rtol=0)

    def test_known_fraction(self, plan):
        assert plan.rank / 64**2 == pytest.approx(0.726, abs=1e-3)


class TestFFTMask:
    def test_is_the_orthonormal_transform_on_the_mask(self):
        x = torch.rand(1, 3, 8, 6, dtype=torch.float64)
        A = FFTMask(0.4)
        expected = np.fft.fft2(x.numpy(), norm="ortho") * A.mask((3, 8, 6)).numpy()
        torch.testing.assert_close(A(x), torch.from_numpy(expected))

    def test_keeps_energy_when_all_is_sampled(self):
        x = torch.rand(1, 3, 8, 6, dtype=torch.float64)
        A = FFTMask(1.0)
        torch.testing.assert_close(A(x).abs().square().sum(), x.square().sum())
        torch.testing.assert_close(A.pinv(A(x)), x)

    def test_conjugate_partners_are_averaged_and_single_ones_doubled(self):
        # Frequencies 0 to 3 of four: 0 and 2 are real, 1 and 3 are partners.
        def pinv(mask, y):
            plan = FourierPlan.build(torch.tensor([[mask]], dtype=torch.float64), channels=1, eps=2e-16)
            image = plan.pinv(torch.tensor([[y]], dtype=torch.complex128), 0.0)
            return torch.fft.fft(image[0, 0], norm="ortho")

        spectrum = pinv([1, 1, 0, 1], [2, 1 + 1j, 9, 3 - 3j])
        torch.testing.assert_close(spectrum, torch.tensor([2, 2 + 2j, 0, 2 - 2j], dtype=torch.complex128))
        spectrum = pinv([1, 1, 0, 0], [2, 1 + 1j, 9, 9])
        torch.testing.assert_close(spectrum, torch.tensor([2, 1 + 1j, 0, 1 - 1j], dtype=torch.complex128))

    def test_the_adjoint_is_no_pseudo_inverse(self):
        class ZeroFilled(FFTMask):
            def pinv(self, y, *, image_shape=None):
                return self.adjoint(y, image_shape=image_shape)

        errors = operator_errors(ZeroFilled(0.3), (3, 16, 16))
        assert errors.adjoint < 1e-12
        assert errors.reproduces > 0.1
        assert errors.weak_inverse > 0.1

    @few
    @given(
        ratio=st.floats(0.01, 1.0),
        height=st.integers(1, 17),
        width=st.integers(1, 17),
        density=st.sampled_from(["uniform", "gaussian"]),
        seed=st.integers(0, 99),
    )
    def test_samples_the_given_share_and_always_the_zero_frequency(self, ratio, height, width, density, seed):
        mask = FFTMask(ratio, density=density, seed=seed).mask((3, height, width))
        assert mask.shape == (1, height, width)
        assert int(mask.sum()) == max(1, round(ratio * height * width))
        assert bool(mask[0, 0, 0])

    @few
    @given(
        ratio=st.floats(0.01, 1.0),
        height=st.integers(1, 17),
        width=st.integers(1, 17),
        density=st.sampled_from(["uniform", "gaussian"]),
        seed=st.integers(0, 99),
    )
    def test_symmetric_samples_partners_together(self, ratio, height, width, density, seed):
        A = FFTMask(ratio, density=density, symmetric=True, seed=seed)
        mask = A.mask((1, height, width))
        torch.testing.assert_close(mask, _mirror(mask))
        count = max(1, round(ratio * height * width))
        assert count - 1 <= int(mask.sum()) <= count
        assert bool(mask[0, 0, 0])
        assert A.known_fraction((1, height, width)) == pytest.approx(int(mask.sum()) / (height * width))

    def test_the_zero_frequency_alone_tells_the_mean(self):
        x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
        A = FFTMask(1e-9)
        torch.testing.assert_close(A.pinv(A(x)), x.mean(dim=(-2, -1), keepdim=True).expand_as(x))

    @pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
    def test_without_symmetry_more_is_known_than_sampled(self, ratio):
        assert FFTMask(ratio).known_fraction((3, 64, 64)) == pytest.approx(1 - (1 - ratio) ** 2, abs=0.02)

    def test_gaussian_density_samples_low_frequencies(self):
        frequency = torch.fft.fftfreq(64).abs()
        radius = torch.maximum(frequency[:, None], frequency[None, :])
        uniform, gaussian = (FFTMask(0.2, density=density).mask((1, 64, 64))[0] for density in ("uniform", "gaussian"))
        assert float(radius[gaussian].mean()) < 0.6 * float(radius[uniform].mean())

    def test_one_seed_per_image_is_the_masks_of_those_seeds(self):
        A = FFTMask(0.3, seed=(4, 2))
        x = torch.rand(2, 3, 8, 8)
        for index, seed in enumerate((4, 2)):
            alone = FFTMask(0.3, seed=seed)
            assert A.for_image(index) == alone
            torch.testing.assert_close(A(x)[index], alone(x[index]))

    def test_off_the_mask_nothing_counts(self):
        A = FFTMask(0.3)
        y = A(torch.rand(1, 1, 8, 8, dtype=torch.float64))
        disturbed = torch.where(A.mask((1, 8, 8)), y, torch.full_like(y, 5 + 5j))
        torch.testing.assert_close(A.pinv(disturbed), A.pinv(y))
        torch.testing.assert_close(A.restrict(disturbed), y)

    def test_counts_two_numbers_per_sampled_frequency(self):
        assert FFTMask(0.25).measured_count((2, 3, 8, 8)) == 2 * 2 * 3 * 16

    def test_moore_penrose_on_photo_sizes(self):
        check_operator(FFTMask(0.3), (3, 96, 65), tolerance=1e-10)

    def test_masks_per_image_need_as_many_images(self):
        message = r"there are 2 frequency masks, one per image, but the images have shape \(3, 1, 4, 4\)"
        with pytest.raises(ValueError, match=message):
            FFTMask(0.3, seed=(0, 1))(torch.rand(3, 1, 4, 4))

    @pytest.mark.parametrize("ratio", [0, -0.3, 1.01, 30])
    def test_ratios_outside_0_to_1_are_refused(self, ratio):
        with pytest.raises(ValueError, match=rf"keep must lie in \(0, 1\], got {ratio}"):
            FFTMask(ratio)

    def test_a_ratio_that_is_no_number_is_refused(self):
        with pytest.raises(TypeError, match=r"keep must be a number in \(0, 1\], got '0.3' \(str\)"):
            FFTMask("0.3")

    def test_a_ratio_that_is_not_finite_is_refused(self):
        with pytest.raises(ValueError, match=r"keep must be a number in \(0, 1\], got nan"):
            FFTMask(float("nan"))

    def test_unknown_densities_are_refused(self):
        with pytest.raises(ValueError, match="density must be 'uniform' or 'gaussian', got 'normal'"):
            FFTMask(0.3, density="normal")

    def test_bad_seeds_are_refused(self):
        with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator, got 1\.5 \(float\)"):
            FFTMask(0.3, seed=1.5)


def test_mirror_exchanges_a_frequency_and_its_negative():
    torch.testing.assert_close(_mirror(torch.arange(5.0)[None]), torch.tensor([[0.0, 4.0, 3.0, 2.0, 1.0]]))
    x = torch.rand(7, 6, dtype=torch.float64)
    spectrum = torch.fft.fft2(x)
    torch.testing.assert_close(_mirror(spectrum).conj(), spectrum)


@pytest.mark.parametrize(
    ("shifted", "middle", "asked"), [(False, True, True), (False, False, False), (True, False, False)]
)
def test_a_mask_without_the_mean_of_the_image_is_told(shifted, middle, asked):
    mask = torch.zeros(8, 6, dtype=torch.bool)
    mask[4, 3] = middle
    mask[1, 2] = True
    with pytest.warns(UserWarning, match="frequency 0") as told:
        FrequencyMask(mask, shifted=shifted)
    assert ("shifted=True" in str(told[0].message)) == asked


class TestCheck:
    """What `solve` asks before it begins."""

    x = torch.rand(2, 3, 16, 12, dtype=torch.float64)
    scanner = FrequencyMask(FFTMask(0.3).mask((3, 16, 12)))

    @pytest.mark.parametrize("A", [FFTMask(0.3), scanner, FFTMask(0.3) @ Identity()], ids=repr)
    def test_measurements_pass_with_noise_and_with_more_than_was_asked_for(self, A):
        A.check(A.measure(self.x, noise=0.1))
        A.check(torch.fft.fft2(self.x, norm="ortho"))

    @pytest.mark.parametrize("A", [FFTMask(0.3), scanner, FFTMask(0.3, seed=(0, 1))], ids=repr)
    def test_zeros_where_it_samples_are_told(self, A):
        y = FFTMask(0.3, seed=2)(self.x)
        with pytest.warns(UserWarning, match=r"exactly 0 at [67]\d % of the frequencies that .* another mask"):
            A.check(y)

    def test_zeros_of_flat_or_black_images_are_their_own(self):
        A = FFTMask(0.3)
        A.check(A(torch.zeros(2, 3, 16, 12)))
        A.check(A(torch.full((2, 3, 16, 12), 0.5)))
        black = torch.cat([self.x, torch.zeros(1, 3, 16, 12, dtype=torch.float64)])
        black[:, 1] = 0
        A.check(A(black))

    @pytest.mark.parametrize("A", [FFTMask(0.3, seed=1), scanner], ids=repr)
    def test_a_shifted_one_is_refused(self, A):
        shifted = torch.fft.fftshift(torch.fft.fft2(self.x, norm="ortho"), dim=(-2, -1))
        assert not bool(A.mask((3, 16, 12))[0, 8, 6])
        with pytest.raises(ValueError, match=r"9\d % of the energy of y lies off the mask of .*ifftshift"):
            A.check(shifted)
        with pytest.raises(ValueError, match="off the mask"):
            stack(Identity(), A).check(
                torch.cat([self.x.flatten(1), torch.view_as_real(shifted).flatten(1)], dim=1), image_shape=(3, 16, 12)
            )
        with pytest.raises(ValueError, match="off the mask"):
            solve(shifted, A, method="pinv", progress=False)

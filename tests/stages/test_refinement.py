"""Projections by a few iterations: the same as the exact ones, from wherever they begin."""

import pytest
import torch

import inverso
from inverso.images import photo
from inverso.operators import FFTMask, GaussianBlur, Identity, RandomMask
from inverso.stages import PlugAndPlay
from inverso.stages._refinement import refined
from stages.toys import Unplanned, gaussian_denoiser


@pytest.mark.parametrize("A", [RandomMask(0.4), GaussianBlur(5, 1.0), FFTMask(0.3)], ids=repr)
def test_enough_steps_give_the_exact_projection_for_each_images_ridge(A):
    x = torch.cat([photo(name, size=16) for name in ("astronaut", "coffee")]).double()
    y, z, ridge = A(x), 0.8 * x + 0.1, torch.tensor([0.01, 1.0])
    wanted = A.project(z, A.restrict(y, image_shape=(3, 16, 16)), ridge=ridge)
    for begin in (z, torch.zeros_like(z)):
        found = refined(A, A.restrict(y, image_shape=(3, 16, 16)), begin, towards=z, ridge=ridge, steps=500, left=1e-12)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_few_steps_come_nearer():
    A, x = GaussianBlur(9, 2.0), photo("coffee", size=16).double()
    y, z = A(x), torch.full_like(x, 0.5)
    exact = A.project(z, y, ridge=1e-4)
    far = [
        float((refined(A, y, z, towards=z, ridge=1e-4, steps=steps, left=1e-9) - exact).norm()) for steps in (0, 5, 50)
    ]
    assert far[0] > 3 * far[1] > 1000 * far[2]


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_plug_and_play_on_an_own_operator_comes_to_what_exact_projections_give(noise):
    A, x = GaussianBlur(5, 1.0), photo("coffee", size=12).double()
    own, y = Unplanned(A), A.measure(x, noise=noise)
    # An exact plan would assume no noise at all.
    method = PlugAndPlay(passes=3, floor=5e-4, weight=0.23, momentum=0.0, ends_denoised=False)
    found, exact = (
        inverso.solve(y, each, gaussian_denoiser(3), method, noise=noise, progress=False).image for each in (own, A)
    )
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-3)


def test_plug_and_play_solves_no_further_than_a_denoiser_notices():
    own = Unplanned(GaussianBlur(9, 1.5))
    y = own(photo("coffee", size=16))
    own.calls = 0
    inverso.solve(y, own, gaussian_denoiser(3), PlugAndPlay(passes=4), progress=False)
    # Solved to rounding, the three projections before the last would take 1,500.
    assert own.calls < 700


def test_a_pseudo_inverse_of_ones_own_is_used_under_noise_too():
    class Half(Unplanned):
        """Half of the light, with the closed form that its author knows."""

        inverted = 0

        def pinv(self, y, *, ridge=0.0, image_shape=None):
            self.inverted += 1
            return self.inner.pinv(y, ridge=ridge, image_shape=image_shape)

    own = Half(0.5 * Identity())
    y = own(photo("coffee", size=12).double())
    found, exact = (
        inverso.solve(y, A, gaussian_denoiser(3), PlugAndPlay(passes=3, momentum=0.0), noise=0.05, progress=False).image
        for A in (own, own.inner)
    )
    torch.testing.assert_close(found, exact)
    assert own.inverted >= 3

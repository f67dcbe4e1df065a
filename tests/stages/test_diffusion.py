"""Plug-and-play, diffusion and DPS as stages: closed forms for a Gaussian prior, every operator, what stops them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import inverso
from cases import OPERATORS, Setting
from inverso.errors import ConvergenceWarning
from inverso.images import photo
from inverso.metrics import psnr
from inverso.operators import (
    Bicubic,
    BoxMask,
    FFTMask,
    GaussianBlur,
    Identity,
    LinearOperator,
    Mask,
    RandomMask,
    stack,
)
from inverso.priors import Denoiser, WrappedDenoiser
from inverso.stages import (
    DPS,
    Diffusion,
    Interpolation,
    InterruptedStage,
    NonFiniteLossError,
    PlugAndPlay,
    Problem,
    PseudoInverse,
    Resume,
    State,
    TotalVariation,
    _splitting,
)
from stages.toys import WIDTH, Unplanned, gaussian_denoiser


def test_exact_draws_have_the_posterior_of_a_gaussian_prior():
    """Behind a mask under noise: the posterior's mean and variance where a pixel is measured, the prior's elsewhere."""
    noise, value = 0.1, 0.9
    A = RandomMask(0.5, seed=2)
    y = A(torch.full((1, 1, 64, 64), value, dtype=torch.float64))
    stage = Diffusion(passes=6, first=50.0, last=0.01, correction="draw", variance="error")
    x = inverso.solve(y, A, gaussian_denoiser(), stage, noise=noise, progress=False).image[0, 0]
    known = A.noise_profile(y)[0, 0] > 0
    variance = 1 / (1 / WIDTH**2 + 1 / noise**2)
    assert float(x[known].var()) == pytest.approx(variance, rel=0.06)
    assert float(x[known].mean()) == pytest.approx(0.5 + variance / noise**2 * (value - 0.5), abs=0.006)
    assert float(x[~known].std()) == pytest.approx(WIDTH, rel=0.05)
    assert float(x[~known].mean()) == pytest.approx(0.5, abs=0.015)


def test_plug_and_play_weighs_measurement_and_prior():
    """One pass on a denoising problem: x = z + (y - z) / (1 + ridge), z = D(y), ridge = weight noise^2 / sigma^2."""
    y = torch.full((1, 1, 2, 2), 0.9, dtype=torch.float64)
    stage = PlugAndPlay(levels=(0.1,), weight=0.5, ends_denoised=False)
    z = 0.5 + 0.4 * WIDTH**2 / (WIDTH**2 + 0.1**2)
    expected = z + (0.9 - z) / (1 + 0.5 * 0.05**2 / 0.1**2)
    answer = inverso.solve(y, Identity(), gaussian_denoiser(), stage, noise=0.05, progress=False)
    torch.testing.assert_close(answer.image, torch.full_like(y, expected))


def test_the_image_goes_on_in_what_is_not_measured():
    """By hand, from black; after a pass at a noise level below 0.1 the next begins at x + momentum (x - before)."""
    levels, momentum = (0.2, 0.08, 0.04, 0.02), 0.5
    x = torch.full((1, 1, 6, 6), 0.9, dtype=torch.float64)
    A = RandomMask(0.5, seed=1)
    begin, before, seen = 0.0, None, None
    for sigma in levels:
        left = WIDTH**2 / (WIDTH**2 + sigma**2)
        seen = 0.5 + left * (begin - 0.5)
        begin = seen + momentum * (seen - before) if before is not None and sigma < 0.1 else seen
        before = seen
    start = Resume(State(image=A(x)))
    stage = PlugAndPlay(levels=levels, momentum=momentum, kriging=False)
    answer = inverso.solve(A(x), A, gaussian_denoiser(), [start, stage], progress=False).image
    known = A.noise_profile(x) > 0
    torch.testing.assert_close(answer, torch.where(known, x, torch.full_like(x, seen)))


def moved(A, *, noise=0.0, x=None, **settings) -> tuple[Tensor, Tensor]:
    """What momentum changes of an answer, and of its measurement, for a denoiser that treats each pixel alone."""
    x = photo("coffee", size=24).double() if x is None else x
    y = A.measure(x, noise=noise)
    slow, fast = (
        inverso.solve(
            y,
            A,
            gaussian_denoiser(3),
            PlugAndPlay(passes=4, momentum=m, kriging=False, **settings),
            noise=noise,
            progress=False,
        ).image
        for m in (0.0, 0.7)
    )
    return (fast - slow).abs(), (A(fast) - A(slow)).abs()


@pytest.mark.parametrize("A", [RandomMask(0.5), FFTMask(0.5), Bicubic(2)], ids=repr)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_momentum_leaves_what_is_measured_alone(A, noise):
    """What y determines is found at once; to overshoot it would add noise."""
    image, measured = moved(A, noise=noise, ends_denoised=False)
    assert float(image.max()) > 1e-3
    assert float(measured.max()) < 1e-9


@pytest.mark.parametrize("settings", [{"noise": 0.02}, {"floor": 0.02}], ids=str)
def test_there_is_no_momentum_where_everything_is_measured(settings):
    assert float(moved(Identity(), **settings)[0].max()) < 1e-9


@pytest.mark.slow
def test_under_noise_there_is_no_momentum_where_pseudo_inverses_are_iterative():
    assert float(moved(Unplanned(FFTMask(0.3)), noise=0.02)[0].max()) == 0


def test_momentum_is_less_deep_in_a_hole():
    """13 x 13 pixels around the middle of a box of 13 are unknown, and all around its edge some are known."""
    mask = torch.ones(24, 24, dtype=torch.bool)
    mask[5:18, 5:18] = False
    image, _ = moved(Mask(mask), x=torch.full((1, 3, 24, 24), 0.9, dtype=torch.float64))
    assert float(image[..., 11, 11].max()) < 1e-9
    assert float(image[..., 5, 11].min()) > 1e-4


def test_momentum_is_less_where_few_values_are_measured():
    """Of one value in 64, 5/32 of the momentum of one in four: 10/64 for a tenth."""
    x = torch.full((1, 3, 32, 32), 0.9, dtype=torch.float64)
    problems = [Problem(A(x), A, denoiser=gaussian_denoiser(3)) for A in (Bicubic(8), Bicubic(2))]
    step = torch.ones_like(x)
    few, many = (float(PlugAndPlay().beyond(problem)(step, 0.05).max()) for problem in problems)
    assert many == pytest.approx(0.7)
    assert few == pytest.approx(0.7 * 10 / 64)


def test_momentum_fills_scattered_points_in_fewer_passes():
    x = photo("astronaut", size=None)[..., 60:156, 170:266]
    A, D = RandomMask(0.4), inverso.priors.load("photos", kind=Denoiser)
    slow, fast = (
        psnr(inverso.solve(A(x), A, D, PlugAndPlay(passes=6, momentum=m, kriging=False), progress=False).image, x)
        for m in (0.0, 0.7)
    )
    assert float(fast - slow) > 0.5


@pytest.mark.parametrize(
    ("A", "before"),
    [
        (FFTMask(0.3), TotalVariation()),
        (stack(RandomMask(0.2), RandomMask(0.2, seed=1)), TotalVariation()),
        (Unplanned(FFTMask(0.3)), TotalVariation()),
        (RandomMask(0.02), Interpolation()),
        (RandomMask(0.3), Interpolation()),
        (BoxMask(10), Interpolation()),
        (BoxMask(14), TotalVariation()),
        (GaussianBlur(5, 1.2), Interpolation()),
    ],
    ids=repr,
)
def test_plug_and_play_starts_from_a_total_variation_where_an_interpolation_is_poor(A, before):
    x = photo("coffee", size=24).double()
    y, D = A(x), gaussian_denoiser(3, (3, 24, 24))
    stage = PlugAndPlay(passes=1, kriging=False)
    expected = inverso.solve(y, A, D, [before, stage], progress=False)
    answer = inverso.solve(y, A, D, stage, progress=False)
    torch.testing.assert_close(answer.image, expected.image)
    assert [(stage.name, stage.evaluations) for stage in answer.stages] == [("pnp", 1)]


def test_without_noise_iterations_are_not_asked_for_more_than_they_can_give(recwarn):
    """They would need all their 2000 steps in every pass, and warn each time."""
    A = GaussianBlur(9, 2.0) @ RandomMask(0.5)
    x = photo("coffee", size=24)
    y = A(x)
    answer = inverso.solve(y, A, gaussian_denoiser(3), PlugAndPlay(passes=4), progress=False)
    assert not [warning for warning in recwarn if issubclass(warning.category, ConvergenceWarning)]
    assert float((A(answer.image) - y).abs().max()) < 0.005


@pytest.mark.parametrize(("A", "noise", "denoised"), [
    (RandomMask(0.3), 0.001, False),
    (RandomMask(0.3), 0.02, True),
    (GaussianBlur(5, 1.2), 0.001, True),
    (RandomMask(0.3), 0.0, False),
    (GaussianBlur(5, 1.2), 0.0, False),
])  # fmt: skip
def test_plug_and_play_ends_denoised_where_a_projection_would_copy_noise(A, noise, denoised):
    """The error of the denoiser at the last level, 3/255 at least, is 0.0117, or 0.02 at that noise."""
    problem = Problem(torch.full((1, 1, 16, 16), 0.4), A, denoiser=gaussian_denoiser(), noise=noise)
    assert PlugAndPlay().is_denoised_last(problem) is denoised


def test_known_pixels_of_a_picture_of_eight_bits_keep_their_values():
    x = (255 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))).round() / 255
    A = RandomMask(0.5, seed=1)
    answer = inverso.solve(A(x), A, gaussian_denoiser(), "pnp", noise=1 / 255 / math.sqrt(12), progress=False).image
    known = A.noise_profile(x) > 0
    assert torch.equal((255 * answer[known]).round(), (255 * x[known]).round())


def test_plug_and_play_keeps_what_was_measured_and_fills_the_rest_from_the_prior():
    A = RandomMask(0.3, seed=1)
    x = 0.5 + 0.2 * torch.randn(2, 1, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answer = inverso.solve(A(x), A, gaussian_denoiser(), "pnp", progress=False)
    torch.testing.assert_close(A(answer.image), A(x))
    unknown = A.noise_profile(A(x)) == 0
    # Starting from black, 0.5 * 0.04 / (0.04 + 0.2^2) = 0.25 is left in the first pass, and less in the others.
    assert float((answer.image[unknown] - 0.5).abs().max()) < 0.25


# `pnp` begins with 200 steps of total variation there, each of which solves by iterations.
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "sampled blur at a mirror" else n for n in OPERATORS],
)
@pytest.mark.parametrize("method", ["pnp", "ddnm"])
def test_every_operator_has_its_measurement_explained(name, method):
    case, setting = OPERATORS[name], Setting()
    A, x = case.make(setting), setting.draw()
    y = A.measure(x)
    stage = {"pnp": PlugAndPlay(passes=2), "ddnm": Diffusion(passes=2)}[method]
    denoiser = gaussian_denoiser(x.shape[1], setting.image_shape)
    answer = inverso.solve(y, A, denoiser, stage, progress=False)
    # Iterations are asked for an eighth of a gray level at most.
    atol = 1e-6 if case.exact else 5e-4
    torch.testing.assert_close(A(answer.image), A.restrict(A(x), image_shape=setting.image_shape), rtol=0, atol=atol)
    noisy = inverso.solve(y, A, denoiser, stage, noise=0.05, progress=False)
    assert bool(noisy.image.isfinite().all())
    assert float((noisy.image - answer.image).abs().max()) > 1e-4


@pytest.mark.slow
def test_missing_frequencies_are_filled_for_any_operator():
    """From the zeros that a pseudo-inverse leaves there a denoiser does not come as far as total variation alone."""
    x = photo("coffee", size=48)
    A, D = Unplanned(FFTMask(0.3)), inverso.priors.load("photos", kind=Denoiser)
    y = A.measure(x, noise=0.01)
    plain, filled, without = (
        inverso.solve(y, A, D, method, noise=0.01, progress=False).image for method in ("tv", "pnp", "zero-filled+pnp")
    )
    assert float(psnr(filled, x)) > float(psnr(plain, x)) + 0.5
    assert float(psnr(filled, x)) > float(psnr(without, x)) + 1


@pytest.mark.parametrize("method", ["pnp", "ddnm", "dps"])
def test_the_stage_before_gives_the_start(method):
    """A denoiser that hands on what it gets shows where a stage began."""
    A = RandomMask(0.5)
    y = A(torch.full((1, 3, 4, 4), 0.5))
    keep = WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0.001, 1.0))
    stages = {
        "pnp": PlugAndPlay(passes=1, kriging=False),
        "ddnm": Diffusion(passes=1, kriging=False),
        "dps": DPS(steps=2),
    }
    begun = Resume(State(image=torch.full((1, 3, 4, 4), 7.0)))
    image = inverso.solve(y, A, keep, [begun, stages[method]], progress=False).image
    unknown = image[A.noise_profile(y) == 0]
    assert bool((unknown - 7 == 0).all()) == (method == "pnp")
    assert bool(((unknown - 7).abs() < 5).all()) == (method in {"pnp", "ddnm"})


def test_after_an_earlier_stage_diffusion_begins_at_less_noise_and_keeps_its_structure():
    A = RandomMask(0.01, seed=0)
    made = torch.zeros(1, 1, 32, 32)
    made[..., :16] = 1.0
    denoiser = WrappedDenoiser(lambda x, _sigma: x.clamp(0, 1), channels=1, sigma_range=(0.001, 5.0))
    y, begin = A(made), Resume(State(image=made))
    problem = Problem(y, A, denoiser=denoiser)
    stage = Diffusion(passes=5)
    assert stage.schedule(problem)[0] == 1.0
    assert stage.schedule(problem, continued=True)[0] == 0.2
    alone, after = (inverso.solve(y, A, denoiser, way, progress=False).image for way in (stage, (begin, stage)))
    assert float((after - made).abs().mean()) < 0.15 < float((alone - made).abs().mean())


def test_the_largest_level_of_a_denoiser_takes_the_place_of_those_above_its_range():
    D = WrappedDenoiser(lambda x, _sigma: x, channels=1, sigma_range=(0.01, 1.0))
    problem = Problem(torch.zeros(1, 1, 8, 8), Identity(), denoiser=D)
    assert Diffusion(levels=(80.0, 2.0, 1.0, 0.1)).schedule(problem) == (1.0, 1.0, 1.0, 0.1)


def test_a_paper_s_schedule_beyond_the_range_forgets_its_start():
    """With a small share of fresh noise, a few passes leave what the start was wrong in."""
    made = photo("coffee", size=32)
    A = GaussianBlur(9, 1.7)
    y = A.measure(made, noise=0.03)
    D = WrappedDenoiser(gaussian_denoiser(3), channels=3, sigma_range=(1e-4, 1.0))
    stage = Diffusion.diffpir(passes=40, data_weight=14.0)
    short = replace(stage, levels=[level for level in stage.levels if level <= 1])
    wrong = Resume(State(image=torch.zeros_like(made)))
    right = Resume(State(image=made))
    far = {}
    for name, way in (("whole", stage), ("short", short)):
        one, other = (inverso.solve(y, A, D, (at, way), noise=0.03, progress=False).image for at in (wrong, right))
        far[name] = float((one - other).norm())
    assert far["whole"] < 0.5 * far["short"]


@pytest.mark.parametrize("stage", [Diffusion(passes=3), DPS(steps=3)])
def test_another_seed_is_another_answer_and_starts_show_their_spread(stage):
    A = RandomMask(0.5)
    y = A(torch.full((1, 1, 6, 6), 0.5))
    denoiser = gaussian_denoiser()
    first, again, other = (inverso.solve(y, A, denoiser, stage, seed=seed, progress=False).image for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert float((first - other).abs().max()) > 1e-3
    several = inverso.solve(y, A, denoiser, stage, starts=3, progress=False)
    assert float(several.uncertainty.max()) > 1e-3


def test_a_record_counts_looks_and_shows_how_much_each_pass_changed():
    A = RandomMask(0.5)
    y = A(torch.full((2, 1, 6, 6), 0.5))
    record = inverso.solve(y, A, gaussian_denoiser(), PlugAndPlay(passes=5), progress=False).stages[-1]
    assert record.evaluations == 5
    assert record.losses.shape == (5, 2)
    # Four levels, with a jump of two at the third from the end: 4 3 2 (3 4) 3 2 1 are eight levels, two of them jumps.
    record = inverso.solve(y, A, gaussian_denoiser(), Diffusion(passes=4, travel=(2, 2)), progress=False).stages[-1]
    assert record.evaluations == 6


@pytest.mark.parametrize("stage", [PlugAndPlay(passes=4), Diffusion(passes=4), DPS(steps=40)])
@pytest.mark.parametrize(("error", "raised"), [(KeyboardInterrupt, InterruptedStage), (None, NonFiniteLossError)])
def test_what_stops_a_stage_leaves_the_image_before(stage, error, raised):
    looks = []

    def denoise(x: Tensor, _: Tensor) -> Tensor:
        looks.append(1)
        if len(looks) < 3:
            return 0.5 + 0.1 * (x - 0.5)
        if error is not None:
            raise error
        return x * torch.nan

    A = RandomMask(0.5)
    y = A(torch.full((1, 3, 4, 4), 0.5))
    D = WrappedDenoiser(denoise, channels=3, sigma_range=(0.001, 10.0))
    with pytest.raises(raised, match=stage.name) as caught:
        inverso.solve(y, A, D, [PseudoInverse(), stage], progress=False)
    kept = caught.value.reconstruction
    assert [record.name for record in kept.stages] == ["pinv", stage.name]
    assert kept.stages[-1].evaluations == 2
    assert bool(kept.image.isfinite().all())


def test_a_denoiser_is_asked_for():
    with pytest.raises(ValueError, match=r"pnp.*denoiser"):
        inverso.solve(torch.rand(1, 3, 4, 4), Identity(), method="pnp")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: PlugAndPlay(passes=0), "passes.*0"),
        (lambda: PlugAndPlay(first=-1.0), "first.*-1"),
        (lambda: PlugAndPlay(levels=(0.1, 0.0)), "levels.*0"),
        (lambda: PlugAndPlay(levels=()), r"levels .* at least one number.* got \(\)"),
        (lambda: PlugAndPlay(levels=0.1), "levels .* got 0.1"),
        (lambda: Diffusion(levels=torch.ones(2)), r"levels .* got tensor\(\[1., 1.\]\)"),
        (lambda: PlugAndPlay(first=0.01, last=0.1), "first must be at least last.* first=0.01 and last=0.1"),
        (lambda: PlugAndPlay(variance="errors"), "variance must be one of 'error', 'sigma', got 'errors'"),
        (lambda: PlugAndPlay(weight=-0.5), "weight.*-0.5"),
        (lambda: PlugAndPlay(momentum=-0.5), "momentum.*-0.5"),
        (lambda: PlugAndPlay(momentum=1.0), "momentum.*1.0"),
        (lambda: Diffusion(fresh=1.5), "fresh.*1.5"),
        (lambda: Diffusion(correction="best"), "correction.*best"),
        (lambda: Diffusion(variance="errors"), "variance must be one of 'error', 'sigma', got 'errors'"),
        (lambda: Diffusion(direction="back"), "direction must be one of 'denoised', 'projected', got 'back'"),
        (lambda: Diffusion(travel=(0, 1)), "travel.*0"),
        (lambda: Diffusion(travel=3), r"travel must be \(length, repeats\), got 3"),
        (lambda: DPS(steps=2000), "steps.*2000"),
        (lambda: DPS(scale=0.0), "scale.*0"),
    ],
)
def test_settings_out_of_range_are_refused(make, named):
    with pytest.raises(ValueError, match=named):
        make()


def test_noise_levels_may_come_from_numpy():
    problem = Problem(torch.zeros(1, 1, 8, 8), Identity(), denoiser=gaussian_denoiser())
    assert PlugAndPlay(levels=np.array([0.2, 0.1])).schedule(problem) == (0.2, 0.1)


def test_dps_says_which_part_breaks_the_gradient_off():
    class Detached(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach()

    D = WrappedDenoiser(lambda x, _sigma: x.detach(), channels=1, sigma_range=(0.001, 1.0))
    with pytest.raises(NotImplementedError, match=r"dps.* gradient of the denoiser, and WrappedDenoiser gives none"):
        inverso.solve(torch.rand(1, 1, 4, 4), Identity(), D, "dps", progress=False)
    with pytest.raises(NotImplementedError, match=r"cannot differentiate the forward of Detached\(\)"):
        inverso.solve(torch.rand(1, 1, 4, 4), Detached(), gaussian_denoiser(), "dps", progress=False)


def test_a_large_image_is_shown_to_the_denoiser_piece_by_piece(monkeypatch):
    monkeypatch.setattr(_splitting, "AT_ONCE", 100)
    monkeypatch.setattr(_splitting, "TILE", 12)
    monkeypatch.setattr(_splitting, "OVERLAP", 2)
    seen = []

    def blur(x: Tensor, _: Tensor) -> Tensor:
        seen.append(x.shape[-2:])
        return torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    A, D = RandomMask(0.5), WrappedDenoiser(blur, channels=1, sigma_range=(0.001, 1.0))
    y = A(torch.rand(1, 1, 20, 31, generator=torch.Generator().manual_seed(0)))
    stage = PlugAndPlay(passes=3, ensemble=False)
    pieces = inverso.solve(y, A, D, stage, progress=False).image
    assert max(height * width for height, width in seen) <= 12 * 12
    monkeypatch.setattr(_splitting, "AT_ONCE", 10_000)
    torch.testing.assert_close(pieces, inverso.solve(y, A, D, stage, progress=False).image)


def test_samples_that_hardly_explain_y_are_told():
    """A denoiser that takes off nothing leaves the noise that the method begins with."""
    x, A = photo("coffee", size=32), RandomMask(0.5)
    weak = WrappedDenoiser(lambda x, _: x * 1.0, channels=3, sigma_range=(0.001, 100.0))
    with pytest.warns(inverso.WorseThanInputWarning, match="'dps' is likely worse .* leaves 100 % unexplained"):
        inverso.solve(A(x), A, weak, DPS(steps=20), progress=False)
    flat = torch.full((1, 3, 32, 32), 0.5)
    steady = WrappedDenoiser(lambda x, _: 0.5 + 0.1 * (x - 0.5), channels=3, sigma_range=(0.001, 100.0))
    inverso.solve(A(flat), A, steady, DPS(steps=20), progress=False)

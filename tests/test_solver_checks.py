"""What `solve` says of ranges, of operators that are not linear, of seeds, and of answers that are blown up."""

from __future__ import annotations

import warnings

import pytest
import torch

import inverso
from inverso.errors import RangeWarning, WorseThanInputWarning
from inverso.images import photo
from inverso.metrics import psnr, ssim
from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, Identity, LinearOperator, RandomGaussian, RandomMask
from inverso.priors import Denoiser
from inverso.stages import CSGM, State
from stages.toys import LinearPrior, pictures, small_dcgan

X = photo("astronaut", size=32)
OPERATORS = [
    RandomMask(0.1),
    Bicubic(4),
    FFTMask(0.3),
    GaussianBlur(5, 1.0),
    Identity(),
    RandomGaussian(200, (3, 32, 32)),
]


class TestRange:
    @pytest.mark.parametrize("A", OPERATORS, ids=repr)
    @pytest.mark.parametrize("noise", [0.0, 0.1])
    def test_photos_in_0_to_1_pass_and_8_bit_values_are_refused(self, A, noise):
        y = A.measure(X, noise=noise)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RangeWarning)
            warnings.simplefilter("ignore", WorseThanInputWarning)
            inverso.solve(y, A, method="zero-filled", noise=noise)
            with pytest.raises(ValueError, match=r"expected in \[0, 1\]; y has values .* divide by 255"):
                inverso.solve(A.measure(255 * X, noise=255 * noise), A, method="zero-filled", noise=noise)

    def test_a_noise_of_gray_levels_is_warned_of_once(self):
        """The denoiser, called with such a sigma many times, does not say it again."""

        class Keep(Denoiser):
            def forward(self, x, sigma):
                self.check_noisy(x, sigma)
                return x

        with pytest.warns(RangeWarning, match="noise=25 is more than the whole range") as caught:
            inverso.solve(RandomMask(0.5)(X), RandomMask(0.5), Keep(), "pnp", noise=25.0, progress=False)
        assert len(caught) == 1

    @pytest.mark.parametrize("A", [RandomMask(0.3), GaussianBlur(5, 1.0)], ids=repr)
    def test_values_from_minus_1_to_1_are_warned_of(self, A):
        with pytest.warns(RangeWarning, match=r"y is expected to hold values in \[0, 1\], got from -.* \(x \+ 1\) / 2"):
            inverso.solve(A(2 * X - 1), A, method="zero-filled")

    def test_each_call_warns_at_the_line_that_made_it(self):
        """Two photos that are wrong in the same way have warnings of the same text."""
        A = RandomMask(0.5)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for x in (X, X.flip(-2)):
                inverso.solve(A(2 * x - 1), A, method="zero-filled")
                inverso.solve(2 * x - 1, method="ff", restorer=torch.nn.Identity())
        assert [warning.filename for warning in caught] == [__file__] * 4
        assert str(caught[1].message) == str(caught[3].message)

    def test_without_an_operator_too(self):
        restorer = torch.nn.Identity()
        with pytest.raises(ValueError, match=r"y must hold values in \[0, 1\], got from .* to 2\d\d"):
            inverso.solve(255 * X, method="ff", restorer=restorer)
        with pytest.warns(RangeWarning, match="y is expected"):
            inverso.solve(2 * X - 1, method="ff", restorer=restorer)

    def test_a_noise_in_another_unit_is_warned_of(self):
        with pytest.warns(RangeWarning, match=r"noise=10 is more than .* give noise=0\.0392"):
            inverso.solve(X, Identity(), method="zero-filled", noise=10.0)

    @pytest.mark.parametrize("metric", [psnr, ssim])
    def test_metrics(self, metric):
        with pytest.raises(ValueError, match=r"reference must hold values in \[0, 1\], got from .* divide by 255"):
            metric(255 * X, 255 * X)
        with pytest.raises(ValueError, match=r"x must hold values in \[0, 1\]"):
            metric(255 * X, X)
        with pytest.warns(RangeWarning, match="reference is expected"):
            metric(X, 2 * X - 1)


class Bent(LinearOperator):
    """An operator that a function makes nonlinear."""

    def __init__(self, function) -> None:
        self.function = function

    def forward(self, x):
        return self.function(x)


class TestLinearity:
    @pytest.mark.parametrize(
        "function",
        [torch.square, torch.relu, torch.abs, torch.sin, lambda x: x.clamp(0, 1), lambda x: x * x.mean(), torch.round],
        ids=["square", "relu", "abs", "sin", "clamp", "product", "round"],
    )
    def test_what_is_not_linear_is_refused(self, function):
        with pytest.raises(ValueError, match=r"Bent\(\) is not linear: .* is off .* by \d"):
            inverso.solve(X, Bent(function), method="zero-filled")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("function", [lambda x: -x, lambda x: x.flip(-1).cumsum(-2) / 32, lambda x: 0 * x])
    def test_what_is_linear_passes(self, function, dtype):
        A, x = Bent(function), X.to(dtype)
        inverso.solve(A(x), A, method="zero-filled")


class TestSeeds:
    def test_a_sampled_image_is_no_starting_point_of_the_search(self):
        prior = small_dcgan()
        x = prior(prior.sample_latent(1)).detach()
        A = RandomMask(0.1)
        found = inverso.solve(A.measure(x), A, prior, CSGM(steps=1), progress=False)
        assert float(psnr(found.image, x)) < 60

    def test_two_images_do_not_share_their_noise(self):
        A = Identity()
        other = X.flip(-1)
        e, other_e = A.measure(X, noise=0.1) - X, A.measure(other, noise=0.1) - other
        correlation = float((e * other_e).mean()) / 0.01
        assert abs(correlation) < 0.1
        torch.testing.assert_close(A.measure(X, noise=0.1), A.measure(X, noise=0.1), rtol=0, atol=0)

    def test_precision_does_not_change_the_noise(self):
        e, precise = (Identity().measure(x, noise=0.1, seed=torch.Generator().manual_seed(1)) - x for x in (X, X))
        torch.testing.assert_close(e, precise)
        single, double = (Identity().measure(x, noise=0.1).mean() for x in (X, X.double()))
        assert float(single) == pytest.approx(float(double), abs=0.01)

    def test_noise_and_latents_of_one_seed_are_strangers(self):
        z = torch.randn(3 * 32 * 32, generator=torch.Generator().manual_seed(0))
        e = (Identity().measure(X, noise=1.0, seed=0) - X).flatten()
        assert abs(float((z * e).mean())) < 0.05


class TestBlownUp:
    """A photo blurred by motion, whose scene goes on beyond the frame: the operator's border is another one."""

    A = Blur(torch.ones(1, 9) / 9)

    def measured(self, *, frame: bool) -> torch.Tensor:
        whole = photo("astronaut", size=80)
        noise = 0.01 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        inside = (slice(None), slice(None), slice(8, 72), slice(8, 72))
        return (self.A(whole)[inside] if frame else self.A(whole[inside])) + noise

    @pytest.mark.parametrize("method", ["pinv", "zero-filled+bp"])
    def test_an_inverse_that_blows_up_the_border_is_warned_of(self, method):
        y = self.measured(frame=True)
        with pytest.warns(WorseThanInputWarning, match=rf"the answer of '{method.replace('+', '.')}' is likely worse"):
            found = inverso.solve(y, self.A, method=method, noise=0.01)
        truth = photo("astronaut", size=80)[..., 8:72, 8:72]
        assert float(psnr(found.image, truth)) < float(psnr(y, truth)) - 5

    @pytest.mark.parametrize(("frame", "method"), [(True, "tv"), (True, "interpolation"), (False, "zero-filled+bp")])
    def test_good_answers_pass(self, frame, method):
        with warnings.catch_warnings():
            warnings.simplefilter("error", WorseThanInputWarning)
            inverso.solve(self.measured(frame=frame), self.A, method=method, noise=0.01, progress=False)


class TestDefault:
    def test_the_method_follows_what_is_given(self):
        A, prior = RandomMask(0.5), LinearPrior()
        y = A(pictures(1))
        denoiser = inverso.priors.WrappedDenoiser(lambda x, _: x, channels=1, sigma_range=(0.001, 1.0))
        restorer = torch.nn.Identity()
        wanted = {
            "ia+bp": {"prior": prior},
            "pnp": {"prior": denoiser},
            "csgm+bp+pnp": {"prior": (prior, denoiser)},
            "ff+bp": {"restorer": restorer},
            "ff+pnp": {"restorer": restorer, "prior": denoiser},
            "tv": {},
        }
        for method, given in wanted.items():
            assert inverso.solve(y, A, **given, progress=False).method == method
        assert inverso.solve(y, restorer=restorer).method == "ff"

    def test_a_method_that_is_given_stays(self):
        A = RandomMask(0.5)
        y = A(pictures(1))
        assert inverso.solve(y, A, method="pinv+bp").method == "pinv+bp"
        search = [CSGM(steps=1), inverso.stages.BackProject()]
        assert inverso.solve(y, A, LinearPrior(), search, starts=2, progress=False).method == "csgm+bp"


class TestPrintouts:
    def test_records_and_states_are_short(self):
        A, prior = RandomMask(0.5), LinearPrior()
        found = inverso.solve(A(pictures(2)), A, prior, [CSGM(steps=3), inverso.stages.BackProject()], progress=False)
        first, second = map(repr, found.stages)
        assert first.startswith("StageRecord('csgm', image=<2x1x4x6>, steps=3, seconds=")
        assert second.startswith("StageRecord('bp', image=<2x1x4x6>, seconds=")
        assert repr(found.state).startswith("State(image=<2x1x4x6>, latent=<2x3>, trace=[StageRecord('csgm'")
        assert repr(State()) == "State(trace=[])"

    def test_a_prior_tells_its_shapes(self):
        assert "latent_shape=(3,), image_shape=(1, 4, 6)" in repr(LinearPrior())

    @pytest.mark.parametrize("A", [RandomMask(0.5), None], ids=["operator", "none"])
    def test_a_missing_batch_dimension_is_suggested(self, A):
        with pytest.raises(ValueError, match=r"got y of shape|got torch") as caught:
            inverso.solve(X[0], A, method="pinv" if A else "ff", restorer=torch.nn.Identity())
        assert "add a batch dimension, as in y[None]" in str(caught.value)
        with pytest.raises(ValueError, match=r"got y of shape|got torch") as caught:
            inverso.solve(X[None], A, method="pinv" if A else "ff", restorer=torch.nn.Identity())
        assert "add a batch dimension" not in str(caught.value)

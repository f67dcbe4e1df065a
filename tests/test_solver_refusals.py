"""Bad input is refused by name before any stage runs."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import inverso
from inverso.errors import InversoError
from inverso.operators import Bicubic, FFTMask, LinearOperator, Mask, RandomGaussian, RandomMask
from inverso.priors import DCGAN
from inverso.stages import CSGM, BackProject, DeepImagePrior, ImageAdaptive, Need, Stage, State
from stages.toys import LinearPrior, pictures

X = pictures(2)
Y = RandomMask(0.5)(X)


class Untouchable(LinearPrior):
    """A prior that must not be reached."""

    def forward(self, _z):
        pytest.fail("the prior ran before the input was checked")

    def sample_latent(self, n, *, seed=0):
        pytest.fail(f"latents {n} of seed {seed} were drawn before the input was checked")


class Halve(LinearOperator):
    """A user's operator whose measurements are real."""

    def forward(self, x):
        return x / 2


class Turn(LinearOperator):
    """A user's operator whose measurements are complex."""

    def forward(self, x):
        return x * (1 + 1j)


class Raise(LinearOperator):
    """A user's operator that adds a constant."""

    def forward(self, x):
        return x + 0.5


class OneEach(LinearOperator):
    """A user's operator with a mask per image, and nothing that says so."""

    def forward(self, x):
        return x * torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1)


class Detached(LinearOperator):
    """A user's operator that goes through NumPy."""

    def forward(self, x):
        return torch.from_numpy(x.detach().numpy() / 2)


def solve(**changes):
    """Ask something that is right but for the changes."""
    given = {"y": Y, "A": RandomMask(0.5), "prior": Untouchable(), "method": "ia+bp", "progress": False, **changes}
    return inverso.solve(**given)


class TestMeasurement:
    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (
                Y.expand(2, 3, 4, 6),
                r"measures the prior's images \(1, 4, 6\) as \(n, 1, 4, 6\).*got y of shape \(2, 3, 4, 6\)",
            ),
            (Y[..., :4], r"measures the prior's images .* got y of shape \(2, 1, 4, 4\)"),
            (Y[0], r"one batch dimension n before the measurement, got y of shape \(1, 4, 6\)"),
            (Y[0, 0], r"one batch dimension n before the measurement, got y of shape \(4, 6\)"),
            (Y[0, 0, 0, 0], r"one batch dimension n before the measurement, got y of shape \(\)"),
            (Y[None], r"one batch dimension n before the measurement, got y of shape \(1, 2, 1, 4, 6\)"),
            (Y[:0], r"y is empty: its shape is \(0, 1, 4, 6\)"),
            (Y * float("nan"), "y must be finite, but 48 of its 48 entries are NaN or infinite"),
            (torch.where(Y == Y.max(), torch.inf, Y), "y must be finite, but 1 of its 48 entries"),
        ],
        ids=[
            "channels",
            "size",
            "no batch",
            "two dimensions",
            "a number",
            "five dimensions",
            "empty",
            "NaN",
            "infinity",
        ],
    )
    def test_another_value_than_expected(self, y, message):
        with pytest.raises(ValueError, match=message):
            solve(y=y)

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ((255 * Y).to(torch.uint8), r"got torch\.uint8 \(divide 8-bit pixels by 255"),
            (Y.long(), r"y must be a floating-point or complex tensor, got torch\.int64"),
            (Y > 0.5, r"y must be a floating-point or complex tensor, got torch\.bool"),
            (Y.numpy(), r"y must be a torch\.Tensor, got ndarray"),
            (Y.tolist(), r"y must be a torch\.Tensor, got list"),
            (None, r"y must be a torch\.Tensor, got NoneType"),
        ],
        ids=["uint8", "integer", "boolean", "numpy", "list", "none"],
    )
    def test_another_type_than_expected(self, y, message):
        with pytest.raises(TypeError, match=message):
            solve(y=y)

    @pytest.mark.parametrize("method", ["csgm", "ia+bp", "dip", "pinv", [DeepImagePrior()]])
    @pytest.mark.parametrize("A", [RandomMask(0.5), Halve()], ids=repr)
    def test_complex_numbers_where_real_ones_are_measured(self, A, method):
        with pytest.raises(TypeError, match=r"has real measurements, got complex y \(torch\.complex128\)"):
            solve(y=Y + 0j, A=A, method=method)

    @pytest.mark.parametrize("method", ["csgm", "ia+bp", "dip", "pinv", [DeepImagePrior()]])
    @pytest.mark.parametrize("A", [FFTMask(0.5), Turn()], ids=repr)
    def test_real_numbers_where_complex_ones_are_measured(self, A, method):
        with pytest.raises(TypeError, match=r"has complex measurements, got real y \(torch\.float64\)"):
            solve(A=A, method=method)

    @pytest.mark.parametrize("method", ["csgm", "dip", "pinv"])
    @pytest.mark.parametrize(
        "A", [RandomMask(0.5, seed=(0, 1, 2)), Mask(torch.ones(3, 1, 4, 6))], ids=["RandomMask", "Mask"]
    )
    def test_another_number_of_masks_than_images(self, A, method):
        with pytest.raises(
            ValueError, match=r"there are 3 masks, one per image, but the images have shape \(2, 1, 4, 6\)"
        ):
            solve(A=A, method=method)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision(self, dtype):
        with pytest.raises(TypeError, match=rf"takes the digits of float32 .* got y in {dtype}: pass y.float\(\)"):
            solve(y=Y.to(dtype))

    @pytest.mark.parametrize(("own", "given"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
    def test_another_precision_than_that_of_the_operator(self, own, given):
        class Mixing(LinearOperator):
            weight = torch.eye(6, dtype=own)

            def forward(self, x):
                return x @ self.weight

        cast = "y.double()" if own == torch.float64 else "y.float()"
        message = rf"Mixing\(\) fails for images in {given}, .* measures those in {own}: pass {re.escape(cast)}, or"
        with pytest.raises(TypeError, match=message):
            solve(y=Y.to(given), A=Mixing())

    @pytest.mark.parametrize("method", ["pinv", "csgm", "ia+bp"])
    def test_an_operator_that_adds_something(self, method):
        with pytest.raises(ValueError, match=r"Raise\(\) is not linear: .* take c off both"):
            solve(A=Raise(), method=method)

    def test_an_operator_that_mixes_the_images_of_a_batch(self):
        class Mean(LinearOperator):
            def forward(self, x):
                return x.mean(0, keepdim=True)

        message = r"Mean\(\) measures 2 images as \(1, 1, 4, 6\), expected \(2, 1, 4, 6\), as y: .* batch alike"
        with pytest.raises(ValueError, match=message):
            solve(A=Mean(), method="pinv")

    @pytest.mark.parametrize("method", ["pinv", "ia"])
    def test_an_operator_per_image_that_does_not_tell_whose(self, method):
        with pytest.raises(ValueError, match=r"OneEach\(\) .* override for_image\(index\)"):
            solve(A=OneEach(), method=method)

    def test_an_operator_that_breaks_gradients_off(self):
        with pytest.raises(NotImplementedError, match=r"cannot differentiate the forward of Detached\(\)"):
            solve(A=Detached(), prior=LinearPrior(), method="csgm")

    def test_another_number_of_frequency_masks_than_images(self):
        A = FFTMask(0.5)
        with pytest.raises(ValueError, match="there are 3 frequency masks, one per image"):
            solve(y=A(X), A=FFTMask(0.5, seed=(0, 1, 2)), method="dip")

    def test_images_that_the_operator_cannot_measure(self):
        with pytest.raises(ValueError, match="must be multiples of scale=4, got 4x6"):
            solve(A=Bicubic(4))
        with pytest.raises(ValueError, match=r"measures images of shape \(3, 8, 8\), got \(1, 4, 6\)"):
            solve(A=RandomGaussian(10, (3, 8, 8)), y=torch.zeros(2, 10, dtype=torch.float64))
        with pytest.raises(ValueError, match=r"Mask.* does not fit images of shape \(1, 4, 6\)"):
            solve(A=Mask(torch.ones(8, 8)))

    @pytest.mark.parametrize("y", [Y[0], Y + 0j], ids=["no batch", "complex"])
    def test_without_an_operator_it_must_be_images(self, y):
        with pytest.raises(ValueError, match=r"without an operator y must be a batch of images \(n, C, H, W\), got"):
            solve(y=y, A=None, method="ff", restorer=nn.Identity())


class TestParts:
    @pytest.mark.parametrize("method", ["csgm", "ia", "ia+bp", [DeepImagePrior(network="prior")]])
    def test_a_missing_prior(self, method):
        with pytest.raises(ValueError, match=r"stage '\w+' needs a generative prior, as prior= .*load\('faces-64'\)"):
            solve(prior=None, method=method)

    @pytest.mark.parametrize("method", ["csgm", "ia+bp", "dip", "pinv", "zero-filled", "ff+bp"])
    def test_a_missing_operator(self, method):
        with pytest.raises(ValueError, match="needs the operator that measured y, as A="):
            solve(A=None, method=method, restorer=nn.Identity())

    @pytest.mark.parametrize("method", ["ff", "ff+bp"])
    def test_a_missing_restorer(self, method):
        with pytest.raises(ValueError, match="stage 'ff' needs a restorer, as restorer="):
            solve(method=method)

    def test_everything_that_is_missing_is_named_at_once(self):
        with pytest.raises(ValueError, match=r"stage 'csgm' needs the operator .* and a generative prior"):
            solve(A=None, prior=None)

    def test_a_stage_before_what_it_builds_on(self):
        with pytest.raises(ValueError, match="stage 'bp' needs a stage before it that makes an image"):
            solve(method="bp")
        with pytest.raises(ValueError, match="stage 'ia' needs a stage before it that finds a latent, such as csgm"):
            solve(method=[ImageAdaptive(), CSGM()])
        with pytest.raises(ValueError, match="stage 'bp' needs a stage before it that makes an image"):
            solve(method=[BackProject(), CSGM()])

    @pytest.mark.parametrize(
        ("A", "given"),
        [("bicubic:4", "str"), (lambda x: x, "function"), (torch.eye(3), "Tensor"), (nn.Identity(), "Identity")],
    )
    def test_an_operator_of_the_wrong_type(self, A, given):
        with pytest.raises(TypeError, match=rf"A must be an operator from inverso\.operators .*, got {given}"):
            solve(A=A)

    def test_an_operator_class(self):
        with pytest.raises(TypeError, match=r"A must be an operator .*, got the class RandomMask"):
            solve(A=RandomMask)

    def test_an_operator_at_a_size(self):
        with pytest.raises(TypeError, match=r"got one at a size, A\.at\(\.\.\.\): give A itself, RandomMask\("):
            solve(A=RandomMask(0.5).at((1, 4, 6)))

    def test_a_prior_given_by_name(self):
        with pytest.raises(
            TypeError, match=r"got the string 'faces-64': load it first, prior=inverso\.priors\.load\('faces-64'\)"
        ):
            solve(prior="faces-64")

    @pytest.mark.parametrize("prior", [nn.Linear(3, 3), DCGAN, lambda z: z], ids=["module", "class", "function"])
    def test_a_prior_of_the_wrong_type(self, prior):
        with pytest.raises(TypeError, match=r"prior must be a LatentPrior, .*WrappedPrior\(network, latent_shape\)"):
            solve(prior=prior)

    def test_a_restorer_of_the_wrong_type(self):
        with pytest.raises(TypeError, match=r"restorer must be a torch\.nn\.Module, got str"):
            solve(method="ff", restorer="faces-64")


class TestOptions:
    @pytest.mark.parametrize(
        ("noise", "message"),
        [
            (-0.1, r"noise must be at least 0, got -0\.1"),
            (float("nan"), "noise must be a number >= 0, got nan"),
            (float("inf"), "noise must be a number >= 0, got inf"),
        ],
    )
    def test_noise_out_of_range(self, noise, message):
        with pytest.raises(ValueError, match=message):
            solve(noise=noise)

    @pytest.mark.parametrize("noise", ["0.1", None, True, torch.tensor(0.1)], ids=str)
    def test_noise_of_the_wrong_type(self, noise):
        with pytest.raises(TypeError, match="noise must be a number >= 0, got"):
            solve(noise=noise)

    @pytest.mark.parametrize("seed", [0.5, "0", None, True])
    def test_a_seed_of_the_wrong_type(self, seed):
        with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator, got"):
            solve(seed=seed)

    def test_a_seed_of_more_than_64_bits(self):
        with pytest.raises(ValueError, match=f"seed must fit in 64 bits, got {2**70}"):
            solve(seed=2**70)

    @pytest.mark.parametrize("method", ["iia", "", "ia+", "IA+BP"])
    def test_an_unknown_method(self, method):
        with pytest.raises(ValueError, match=r"unknown method '.*' in '.*'; known are pinv, "):
            solve(method=method)

    def test_a_method_of_the_wrong_type(self):
        with pytest.raises(
            TypeError, match=r"method must be a string, a stage .* or a list of stages, got the class CSGM"
        ):
            solve(method=CSGM)
        with pytest.raises(TypeError, match=r"method must hold stages, such as CSGM.*, got 'csgm'"):
            solve(method=["csgm", "bp"])
        with pytest.raises(ValueError, match="method is an empty list of stages"):
            solve(method=[])

    def test_an_unknown_schedule(self):
        with pytest.raises(ValueError, match="unknown schedule 'slow'; known are 'default', 'iagan'"):
            solve(schedule="slow")

    @pytest.mark.parametrize("progress", [None, "yes", 1])
    def test_progress_of_the_wrong_type(self, progress):
        with pytest.raises(TypeError, match=f"progress must be True, False or a function, got {progress!r}"):
            solve(progress=progress)

    def test_an_unknown_option(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'sigma'"):
            solve(sigma=0.1)


class Finds(Stage):
    """A stage of the user's own that hands on what it is told to."""

    name = "finds"
    gives = frozenset({Need.IMAGE, Need.LATENT})

    def __init__(self, **values) -> None:
        self.values = values

    def __call__(self, _problem, _state):
        return State(**self.values)


class TestStagesOfTheUsersOwn:
    @pytest.mark.parametrize("shape", [(2, 5), (2, 3, 1), (1, 3)])
    def test_a_latent_that_does_not_fit_the_prior(self, shape):
        stages = [Finds(latent=torch.zeros(shape, dtype=torch.float64)), ImageAdaptive(steps=2)]
        with pytest.raises(ValueError, match=r"latent of shape .* given, expected \(n, 3\)"):
            solve(prior=LinearPrior(), method=stages)

    def test_no_image_at_all(self):
        with pytest.raises(InversoError, match="the stages finds made no image"):
            solve(prior=LinearPrior(), method=Finds())

    @pytest.mark.parametrize("shape", [(2, 1, 4, 9), (1, 1, 4, 6), (1, 4, 6)])
    def test_images_of_another_size(self, shape):
        stages = [Finds(image=torch.zeros(shape, dtype=torch.float64)), BackProject()]
        with pytest.raises(
            ValueError, match=rf"stage 'finds' made images of shape {re.escape(str(shape))}, expected \(2, 1, 4, 6\)"
        ):
            solve(prior=LinearPrior(), method=stages)

    def test_images_that_are_not_finite(self):
        with pytest.raises(InversoError, match="stage 'finds' made images of which 48 of 48 entries are NaN or inf"):
            solve(prior=LinearPrior(), method=Finds(image=torch.full_like(Y, torch.nan)))

    def test_no_state(self):
        class Forgets(Finds):
            def __call__(self, problem, _state):
                return problem.y

        with pytest.raises(TypeError, match=r"stage 'finds' returned a Tensor, expected a State: state.following\("):
            solve(prior=LinearPrior(), method=Forgets())

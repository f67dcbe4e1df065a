"""deepinv's own checks and methods on our operators, our methods on deepinv's physics, denoisers both ways."""

import sys

import pytest
import torch

from inverso import solve
from inverso._extras import MissingPackageError
from inverso.images.io import photo
from inverso.interop import from_denoiser, from_physics, real_numbers, to_denoiser, to_physics
from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, Identity, RandomGaussian, RandomMask
from inverso.priors import WrappedDenoiser
from inverso.stages import PlugAndPlay
from inverso.testing import check_operator

SHAPE = (3, 16, 16)
KERNEL = torch.tensor([[1.0, 2, 1], [2, 6, 2], [1, 2, 1]], dtype=torch.float64) / 18
OPERATORS = [
    RandomMask(0.4, seed=(0, 1)),
    FFTMask(0.3, seed=1),
    Bicubic(4),
    GaussianBlur(5, 1.0),
    GaussianBlur(5, 1.0, padding="symmetric"),
    Blur(KERNEL),
    RandomGaussian(40, image_shape=SHAPE),
]


@pytest.fixture(scope="module")
def deepinv():
    return pytest.importorskip("deepinv")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shrink(images: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """A denoiser: towards gray, the more the noisier."""
    return 0.5 + (images - 0.5) / (1 + level)


def ours() -> WrappedDenoiser:
    return WrappedDenoiser(lambda x, sigma: shrink(x, sigma.reshape(-1, 1, 1, 1)), channels=3, sigma_range=(1e-3, 10.0))


@pytest.mark.parametrize("A", OPERATORS, ids=lambda A: type(A).__name__)
@pytest.mark.usefixtures("deepinv")
class TestToPhysics:
    def test_passes_deepinvs_checks(self, deepinv, A) -> None:
        physics, x = to_physics(A.at(SHAPE)).to(torch.float64), draw(2, *SHAPE)
        assert isinstance(physics, deepinv.physics.LinearPhysics)
        assert float(physics.adjointness_test(x, num_samples=2)) < 1e-10
        # deepinv's check of a pseudo-inverse, in its test_physics.py.
        r = physics.A_adjoint(physics.A(x))
        assert float((physics.A_dagger(physics.A(r)) - r).abs().max()) < 1e-6

    def test_measures_as_ours_and_adds_noise(self, A) -> None:
        physics, x = to_physics(A.at(SHAPE), noise=0.1).to(torch.float64), draw(2, *SHAPE)
        torch.testing.assert_close(physics.A(x), real_numbers(A(x)))
        assert float((physics(x) - physics.A(x)).std()) == pytest.approx(0.1, rel=0.3)

    def test_a_transpose_is_no_physics(self, A) -> None:
        with pytest.raises(ValueError, match="is a transpose"):
            to_physics(A.at(SHAPE).T)

    def test_an_operator_needs_a_size(self, A) -> None:
        with pytest.raises(TypeError, match=r"to_physics .* A\.at\(image_shape\) .* an operator without a size"):
            to_physics(A)

    @pytest.mark.parametrize("gamma", [0.7, torch.tensor([0.1, 30.0], dtype=torch.float64)], ids=["one", "per image"])
    def test_proximal_operator_is_the_minimum(self, deepinv, A, gamma) -> None:
        physics, z = to_physics(A.at(SHAPE)).to(torch.float64), draw(2, *SHAPE, seed=4)
        y = physics.A(draw(2, *SHAPE, seed=1))
        u = deepinv.optim.L2().prox(z, y, physics, gamma=gamma)
        weight = gamma.reshape(-1, 1, 1, 1) if isinstance(gamma, torch.Tensor) else gamma
        slope = weight * physics.A_adjoint(physics.A(u) - y) + u - z
        torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-8, rtol=0)

    def test_decompositions_are_orthonormal_and_give_the_operator(self, deepinv, A) -> None:
        physics = to_physics(A.at(SHAPE)).to(torch.float64)
        if not isinstance(physics, deepinv.physics.DecomposablePhysics):
            pytest.skip("its singular vectors are no known basis")
        x, kept = draw(2, *SHAPE), physics.mask > 0
        torch.testing.assert_close(physics.V(physics.V_adjoint(x)), x)
        torch.testing.assert_close(physics.U(physics.mask * physics.V_adjoint(x)), physics.A(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(physics.U_adjoint(physics.U(x)), x * kept, atol=1e-5, rtol=1e-5)


def theirs(deepinv):
    """Physics of deepinv, each with the operator of ours that it is, if there is one."""
    mask = RandomMask(0.5, seed=3).mask(SHAPE)[0].double().expand(SHAPE)
    blur = deepinv.physics.BlurFFT(img_size=SHAPE, filter=KERNEL[None, None])
    halving = deepinv.physics.functional.bilinear_filter(2).double()
    return [
        (deepinv.physics.Inpainting(img_size=SHAPE, mask=mask), RandomMask(0.5, seed=3)),
        (blur, Blur(KERNEL)),
        (deepinv.physics.Denoising().to(torch.float64), Identity()),
        (deepinv.physics.Downsampling(img_size=SHAPE, factor=2, filter=halving), None),
        (deepinv.physics.SinglePixelCamera(50, (1, 16, 16)).to(torch.float64), None),
    ]


class TestFromPhysics:
    def test_laws_hold_to_the_precision_of_theirs(self, deepinv) -> None:
        for physics, _ in theirs(deepinv):
            shape = (1, 16, 16) if "Camera" in type(physics).__name__ else SHAPE
            check_operator(from_physics(physics, shape), shape, tolerance=1e-5)

    def test_is_the_operator_of_ours(self, deepinv) -> None:
        x = draw(2, *SHAPE)
        for physics, own in theirs(deepinv):
            if own is None:
                continue
            A = from_physics(physics, SHAPE)
            torch.testing.assert_close(A(x), own(x), atol=1e-6, rtol=0)
            y = own(x)
            for ridge in (0.0, 0.01, torch.tensor([0.01, 1.0], dtype=torch.float64)):
                torch.testing.assert_close(A.pinv(y, ridge=ridge), own.pinv(y, ridge=ridge), atol=1e-6, rtol=1e-4)
            assert A.known_fraction(SHAPE) == pytest.approx(own.known_fraction(SHAPE))

    def test_an_inpainting_keeps_pixels_and_a_blur_does_not(self, deepinv) -> None:
        mask = (draw(*SHAPE) > 0.5).double()
        plan = from_physics(deepinv.physics.Inpainting(SHAPE, mask=mask).double(), SHAPE).plan(SHAPE, torch.float64)
        assert plan.basis == "pixel"
        torch.testing.assert_close(plan.gram(), mask)
        blur = deepinv.physics.BlurFFT(SHAPE, filter=torch.ones(1, 1, 3, 3) / 9)
        assert from_physics(blur, SHAPE).plan(SHAPE, torch.float64).basis is None

    def test_our_methods_run_on_it(self, deepinv) -> None:
        x = photo("coffee", size=16).double()
        physics, own = theirs(deepinv)[0]
        A = from_physics(physics, SHAPE)
        method = PlugAndPlay(passes=4)
        answers = [solve(own(x), each, ours(), method, progress=False).image for each in (A, own)]
        torch.testing.assert_close(*answers, atol=1e-6, rtol=0)

    def test_refusals(self, deepinv) -> None:
        with pytest.raises(TypeError, match=r"must be a deepinv.physics.LinearPhysics, got Physics"):
            from_physics(deepinv.physics.Physics(), SHAPE)
        stacked = deepinv.physics.stack(deepinv.physics.Denoising(), deepinv.physics.Denoising())
        with pytest.raises(TypeError, match="must be one tensor"):
            from_physics(stacked, SHAPE)
        with pytest.raises(ValueError, match=r"measures images of shape \(3, 16, 16\), got"):
            from_physics(deepinv.physics.Denoising(), SHAPE)(torch.zeros(1, 3, 8, 8))


class TestMethods:
    """deepinv's own methods give the same on our operators as on theirs."""

    @pytest.mark.parametrize("which", [0, 1], ids=["mask", "blur"])
    def test_dpir_on_ours_is_dpir_on_theirs(self, deepinv, which) -> None:
        physics, own = theirs(deepinv)[which]
        y = own.measure(photo("coffee", size=16).double())
        answers = []
        for each in (physics, to_physics(own.at(SHAPE)).to(torch.float64)):
            with torch.no_grad():
                answers.append(deepinv.optim.DPIR(sigma=0.05, denoiser=to_denoiser(ours()))(y, each))
        torch.testing.assert_close(*answers, atol=1e-6, rtol=0)

    def test_ddrm_on_ours_is_ddrm_on_theirs(self, deepinv) -> None:
        physics, own = theirs(deepinv)[0]
        y = own.measure(photo("coffee", size=16).double())
        method = deepinv.sampling.DDRM(to_denoiser(ours()), sigmas=torch.linspace(1, 0, 5).tolist())
        answers = [method(y, each, seed=3) for each in (physics, to_physics(own.at(SHAPE)).to(torch.float64))]
        torch.testing.assert_close(*answers, atol=1e-6, rtol=0)

    def test_an_iterative_method_finds_our_pseudo_inverse(self, deepinv) -> None:
        A, x = Bicubic(2), draw(1, *SHAPE)
        physics = to_physics(A.at(SHAPE)).to(torch.float64)
        norm = physics.compute_sqnorm(x, verbose=False)
        method = deepinv.optim.GD(data_fidelity=deepinv.optim.L2(), stepsize=float(1 / norm), max_iter=2000)
        method.custom_init = lambda y, physics: {"est": (physics.A_adjoint(y), physics.A_adjoint(y))}
        torch.testing.assert_close(method(A(x), physics), A.pinv(A(x)), atol=1e-6, rtol=0)


class TestDenoisers:
    @pytest.mark.parametrize("method", ["dpir", "ddrm", "diffpir", "dps"])
    def test_ours_as_they_are(self, deepinv, method) -> None:
        D, A = ours(), RandomMask(0.5)
        makers = {
            "dpir": lambda D: deepinv.optim.DPIR(sigma=0.05, denoiser=D),
            "ddrm": lambda D: deepinv.sampling.DDRM(D, sigmas=torch.linspace(1, 0, 5).tolist()),
            "diffpir": lambda D: deepinv.sampling.DiffPIR(D, deepinv.optim.L2(), sigma=0.05, max_iter=5),
            "dps": lambda D: deepinv.sampling.DPS(D, num_steps=5, dtype=torch.float32),
        }
        y, answers = A(photo("coffee", size=16)), []
        for denoiser in (D, to_denoiser(D)):
            torch.manual_seed(0)
            with torch.no_grad():
                answers.append(makers[method](denoiser)(y, to_physics(A.at(SHAPE), noise=0.05)))
        torch.testing.assert_close(*answers)

    def test_ours_with_levels_of_any_shape(self) -> None:
        denoise, x = to_denoiser(ours()), torch.rand(2, 3, 8, 8)
        expected = ours()(x, 0.3)
        for level in (0.3, torch.tensor(0.3), torch.tensor([0.3]), torch.full((2, 1, 1, 1), 0.3)):
            torch.testing.assert_close(denoise(x, level), expected)

    def test_theirs_is_ours(self, deepinv) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = deepinv.models.DRUNet(nc=(4, 4, 4, 4), nb=1, pretrained=None).eval()
        denoise, x = from_denoiser(network, sigma_range=(0.0, 0.2)), torch.rand(2, 3, 32, 32)
        with torch.no_grad():
            torch.testing.assert_close(denoise(x, 0.1), network(x, 0.1))
            answer = solve(x, Identity(), denoise, "pnp", noise=0.1, progress=False)
        assert answer.image.shape == x.shape


def test_without_deepinv(monkeypatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "deepinv"] + ["deepinv"]:
        monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: to_physics(Identity().at(SHAPE)), lambda: from_physics(None, SHAPE)):
        with pytest.raises(MissingPackageError, match=r"needs the package deepinv: .*\[interop\]"):
            call()

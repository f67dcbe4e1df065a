"""Networks and operators that the library has never seen work with every method of the table."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import inverso
from inverso import methods
from inverso.operators import Bicubic, LinearOperator, RandomMask
from inverso.priors import WrappedPrior
from inverso.stages import Need
from inverso.stages.base import needs_of
from stages.toys import LinearPrior, pictures, small_dcgan

# A stranger's network has no styles to search for and no encoder, and removes no noise.
OWN = {Need.STYLES, Need.ENCODER, Need.DENOISER}
# ilo needs a network with feature maps.
TABLE = sorted(name for name, stages in methods.TABLE.items() if not needs_of(stages) & OWN and name != "ilo")


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    """What is asked here is whether methods work, not how well."""
    steps = {"csgm": 4, "ia": 3, "dip": 3}
    quick = {
        name: tuple(replace(stage, steps=steps[stage.name]) if stage.name in steps else stage for stage in stages)
        for name, stages in methods.TABLE.items()
    }
    monkeypatch.setattr(methods, "TABLE", quick)


def solve(y, A, prior, method, **options):
    """Run a method of the table, after one that makes an image where it needs one."""
    full = "pinv+bp" if method == "bp" else method
    restorer = nn.Identity() if method == "ff" else None
    return inverso.solve(y, A, prior, full, restorer=restorer, progress=False, **options)


class Reshape(nn.Module):
    """Lay numbers out as an image."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape)


class Shared(nn.Module):
    """The same layer twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(24, 24)
        self.second = self.first

    def forward(self, z):
        return self.second(self.first(z).tanh()).reshape(-1, 1, 4, 6)


class Grained(nn.Module):
    """Noise from the global random state in every pass, as generators with noise maps have it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(24, 24)

    def forward(self, z):
        return (self.layer(z) + 0.1 * torch.randn_like(z)).reshape(-1, 1, 4, 6)


class Skipping(nn.Module):
    """A weight that no image depends on, one that is frozen, and a bare one."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.frozen = nn.Linear(5, 24).requires_grad_(False)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, z):
        return self.gain * self.frozen(z).reshape(-1, 1, 4, 6)


NETWORKS = {
    "a single layer": (lambda: nn.Sequential(nn.Linear(5, 24), Reshape(1, 4, 6)), 5),
    "no parameters": (lambda: Reshape(1, 4, 6), 24),
    "batch norm": (lambda: nn.Sequential(nn.Linear(5, 24), nn.BatchNorm1d(24), Reshape(1, 4, 6)), 5),
    "group norm": (lambda: nn.Sequential(Reshape(4, 3, 2), nn.GroupNorm(2, 4), nn.Conv2d(4, 3, 1)), 24),
    "shared weights": (Shared, 24),
    "dropout": (lambda: nn.Sequential(nn.Linear(5, 24), nn.Dropout(0.5), Reshape(1, 4, 6)), 5),
    "weight norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 24)), Reshape(1, 4, 6)),
        5,
    ),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(5, 24)), Reshape(1, 4, 6)),
        5,
    ),
    "noise of its own": (Grained, 24),
    "unused and frozen weights": (Skipping, 5),
    "gray": (lambda: nn.Sequential(nn.Linear(5, 64), Reshape(1, 8, 8)), 5),
    "five channels, tall": (lambda: nn.Sequential(nn.Linear(5, 5 * 7 * 3), Reshape(5, 7, 3)), 5),
    "a latent that is an image": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 6, 4)),
}


@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("name", NETWORKS)
class TestNetworks:
    def test_every_method_works(self, name, method):
        make, latent_shape = NETWORKS[name]
        module = make()
        before = copy.deepcopy(module.state_dict())
        prior = WrappedPrior(module, latent_shape, (-1, 1))
        A = RandomMask(0.5, seed=(0, 1))
        x = pictures(2, image_shape=prior.image_shape).float()
        found = solve(A.measure(x, noise=0.05, seed=1), A, prior, method, noise=0.05)
        assert found.image.shape == x.shape
        assert found.image.isfinite().all()
        torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
        assert module.training


class Waves(nn.Module):
    """Fourier features: a buffer of complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turns", torch.polar(torch.ones(24), torch.linspace(0, 3, 24)))

    def forward(self, z):
        return (z * self.turns).imag.reshape(len(z), 1, 4, 6)


def test_complex_buffers_stay_complex():
    prior = WrappedPrior(Waves(), 24)
    y = RandomMask(0.5)(pictures(1).float())
    found = solve(y, RandomMask(0.5), prior, "csgm")
    torch.testing.assert_close(prior(found.latent), found.image)
    assert solve(y.double(), RandomMask(0.5), prior, "csgm").image.dtype == torch.float64


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_weights_that_a_hook_has_computed_are_copied():
    prior = WrappedPrior(nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 24)), Reshape(1, 4, 6)), 5)
    prior(torch.ones(1, 5))
    assert not prior.module[0].weight.is_leaf
    assert solve(RandomMask(0.5)(pictures(1).float()), RandomMask(0.5), prior, "ia").image.isfinite().all()


def test_a_callers_autocast_stays_outside():
    prior, A = small_dcgan().float(), Bicubic(2)
    y = A(pictures(1, image_shape=prior.image_shape).float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = solve(y, A, prior, "csgm+bp")
    torch.testing.assert_close(inside.image, solve(y, A, prior, "csgm+bp").image, rtol=0, atol=0)


@pytest.mark.parametrize("method", TABLE)
def test_a_network_that_draws_its_own_noise_gives_the_same_bits_and_leaves_the_global_state(method):
    prior, A = WrappedPrior(Grained(), 24), RandomMask(0.5)
    y = A(pictures(1).float())
    before = torch.get_rng_state()
    first = solve(y, A, prior, method)
    torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)
    torch.rand(1)
    torch.testing.assert_close(solve(y, A, prior, method).image, first.image, rtol=0, atol=0)


def test_weights_that_are_shared_are_adapted_once():
    prior, A = WrappedPrior(Shared(), 24), RandomMask(0.5)
    found = solve(A(pictures(1).float()), A, prior, "ia")
    assert set(found.weights) == {"module.first.weight", "module.first.bias"}
    own = {name: value[0] for name, value in found.weights.items()}
    torch.testing.assert_close(torch.func.functional_call(prior, own, (found.latent,)), found.image)


class Shade(LinearOperator):
    """Darker towards the right; `forward` alone."""

    def forward(self, x):
        return x * torch.linspace(1, 0.1, x.shape[-1], dtype=x.dtype, device=x.device)


class Pool(LinearOperator):
    """A layer of torch, which knows one batch dimension and no more."""

    def forward(self, x):
        return F.avg_pool2d(x, 2)

    def input_shape(self, y_shape):
        channels, height, width = y_shape[-3:]
        return channels, 2 * height, 2 * width


class Rows(LinearOperator):
    """Complex measurements: every other row of the Fourier plane."""

    def forward(self, x):
        return torch.fft.fft2(x, norm="ortho")[..., ::2, :]

    def input_shape(self, y_shape):
        channels, height, width = y_shape[-3:]
        return channels, 2 * height, width


class Project(LinearOperator):
    """Three numbers per image, by a matrix that has its own precision."""

    def __init__(self) -> None:
        self.matrix = torch.linspace(-1, 1, 72, dtype=torch.float64).reshape(24, 3).cos()

    def forward(self, x):
        return x.flatten(-3) @ self.matrix

    def input_shape(self, _y_shape):
        return 1, 4, 6


class Learned(LinearOperator):
    """Parameters of its own, which are nobody else's business."""

    def __init__(self) -> None:
        self.gain = nn.Parameter(torch.linspace(0.5, 1, 6, dtype=torch.float64))

    def forward(self, x):
        return x * self.gain


@pytest.mark.parametrize("method", sorted(set(TABLE) - {"ff"}))
def test_an_operators_parameters_are_left_alone(method):
    A = Learned()
    found = solve(A(pictures(2)).detach(), A, LinearPrior(), method)
    assert A.gain.grad is None
    tensors = [found.image, found.residual, *(stage.image for stage in found.stages)]
    assert not any(tensor.requires_grad for tensor in tensors)
    copy.deepcopy(found)


class Nothing(LinearOperator):
    """The least that can be measured."""

    def forward(self, x):
        return 0 * x


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("operator", [Shade, Pool, Rows, Project, Nothing])
class TestOperators:
    def test_every_method_works(self, operator, method, noise):
        prior, A, x = LinearPrior(), operator(), pictures(2)
        y = A.measure(x, noise=noise, seed=1)
        if method == "ff":
            y = x if y.shape != x.shape else y
            found = solve(y, None, prior, method, noise=noise)
        else:
            found = solve(y, A, prior, method, noise=noise)
            assert found.residual.isfinite().all()
            if method.endswith(("bp", "pinv")) and noise == 0:
                torch.testing.assert_close(A(found.image), y, rtol=0, atol=1e-4)
        assert found.image.shape == x.shape
        assert found.image.isfinite().all()

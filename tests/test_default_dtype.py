"""What a seed means does not depend on torch's default dtype, which many scientists set to float64."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

import inverso
from inverso.degradations import DiscretePoints, OldPhoto, WhiteNoise
from inverso.images import photo
from inverso.metrics import sliced_wasserstein
from inverso.operators import BoxMask, FFTMask, RandomMask
from inverso.priors import DCGAN, load
from inverso.repair._fading import find_fading
from inverso.stages import CSGM, DPS, DeepImagePrior, ImageAdaptive


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def faces(n: int) -> Tensor:
    prior = load("faces-64")
    with torch.no_grad():
        return prior(prior.sample_latent(n, seed=3)).clamp(0, 1)


def solved(method: object, **settings: object) -> Tensor:
    A = RandomMask(0.3)
    return inverso.solve(A.measure(faces(1)), A, load("faces-64"), method, progress=False, **settings).image


def unfaded(y: Tensor) -> Tensor:
    return find_fading(y, color=True).undo(y)


DRAWN: dict[str, Callable[[], Tensor]] = {
    "latents": lambda: DCGAN(16, width=4, depth=2).eval().sample_latent(3, seed=1).float(),
    "images of a generator": lambda: faces(2),
    "a random box": lambda: BoxMask(20, random=True).measure(faces(1)),
    "frequencies": lambda: FFTMask(0.3).measure(faces(1)),
    "noise": lambda: RandomMask(0.3).measure(faces(1), noise=0.1),
    "an old photo": lambda: OldPhoto()(photo("astronaut", size=64), seed=1).y,
    "random points": lambda: DiscretePoints()(faces(2), seed=1).y,
    "white noise": lambda: WhiteNoise()(faces(2), seed=1).y,
    "the sliced distance": lambda: torch.tensor([sliced_wasserstein(faces(4), faces(4).flip(-1))], dtype=torch.float64),
    "the default method": lambda: solved(None),
    "the default method with noise": lambda: solved(None, noise=0.05),
    "image adaptation": lambda: solved([CSGM(steps=3), ImageAdaptive(steps=3)]),
    "a deep image prior": lambda: solved(DeepImagePrior(steps=3)),
    "an untrained generator": lambda: solved(DeepImagePrior(steps=3, network="prior")),
    "undone fading": lambda: unfaded(0.3 + 0.4 * photo("coffee", size=64)),
    "diffusion": lambda: solved(DPS(steps=5)),
}


# After so few steps not every answer is one.
@pytest.mark.filterwarnings("ignore::inverso.WorseThanInputWarning")
@pytest.mark.parametrize("what", DRAWN)
def test_a_seed_means_the_same_under_both_defaults(what):
    with default_dtype(torch.float32):
        expected = DRAWN[what]()
    with default_dtype(torch.float64):
        torch.testing.assert_close(DRAWN[what](), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_random_numbers_are_drawn_in_a_named_precision():
    package = Path(inverso.__file__).parent
    unnamed = []
    for source in package.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.rand", "torch.randn"}:
                named = "dtype" in {keyword.arg for keyword in node.keywords}
                unnamed += [] if named else [f"{source.relative_to(package)}:{node.lineno}"]
    assert unnamed == []

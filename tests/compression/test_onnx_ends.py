"""Denoisers and generators as ONNX, and traced by `torch.export`: they compute what the networks compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from inverso import priors, restorers
from inverso.compression.onnx import run_onnx, to_onnx
from inverso.errors import InversoError
from inverso.priors import DCGAN, PGGAN, VAE, Denoiser, LatentPrior, StyleGAN2, WrappedPrior
from inverso.priors.denoisers import PhotoDenoiser
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

slow = pytest.mark.slow
ANY = torch.export.Dim.DYNAMIC


def tiny_denoiser() -> Denoiser:
    network = PhotoDenoiser(widths=(8, 8, 8), blocks=(0, 0, 1, 0, 0)).eval()
    with torch.no_grad():
        for block in network.modules():
            if isinstance(block, nn.Conv2d):
                block.weight.mul_(3)
    return network


GENERATORS: dict[str, Callable[[], LatentPrior]] = {
    "DCGAN": lambda: DCGAN(8, width=4, depth=2).eval(),
    "VAE": lambda: VAE(5, hidden=16),
    "PGGAN": lambda: PGGAN(16, widths=(8, 8)),
    "PGGAN of pytorch_GAN_zoo": lambda: PGGAN(16, widths=(8, 8, 4), layout="gan-zoo", alpha=0.3, tanh=True),
    "StyleGAN2": lambda: StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8, psi=0.7),
    "StyleGAN2 in w+": lambda: StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8).in_space("w+"),
    "wrapped": lambda: WrappedPrior(nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4))), 8),
}


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def free_sizes(path: Path) -> dict[str, list[object]]:
    graph = onnx.load(path).graph
    return {
        end.name: [size.dim_param or size.dim_value for size in end.type.tensor_type.shape.dim]
        for end in (*graph.input, *graph.output)
    }


@pytest.mark.slow
def test_a_denoiser_of_any_size_and_noise(tmp_path: Path) -> None:
    denoiser, path = tiny_denoiser(), tmp_path / "denoiser.onnx"
    to_onnx(denoiser, path, size=16)
    image = ["batch", 3, "height", "width"]
    assert free_sizes(path) == {"noisy": image, "sigma": ["batch"], "denoised": image}
    for shape in ((1, 3, 17, 30), (3, 3, 8, 9), (2, 3, 64, 64)):
        x, sigma = uniform(*shape), torch.tensor([0.002, 0.1, 1.5][: shape[0]])
        with torch.no_grad():
            expected = denoiser(x, sigma)
        torch.testing.assert_close(run_onnx(path, x, sigma), expected, rtol=0, atol=1e-4)
    assert float((expected - x).abs().max()) > 0.01


@pytest.mark.parametrize("family", ["VAE", *(pytest.param(name, marks=slow) for name in GENERATORS if name != "VAE")])
def test_a_generator_of_any_batch(family: str, tmp_path: Path) -> None:
    prior, path = GENERATORS[family](), tmp_path / "generator.onnx"
    to_onnx(prior, path)
    assert free_sizes(path) == {"latent": ["batch", *prior.latent_shape], "image": ["batch", *prior.image_shape]}
    for n in (1, 4):
        z = prior.sample_latent(n, seed=n)
        with torch.no_grad():
            expected = prior(z)
        torch.testing.assert_close(run_onnx(path, z), expected, rtol=0, atol=1e-4)


@slow
@pytest.mark.parametrize("name", ["photos", "faces-64", "faces-64-style"])
def test_the_priors_that_come_with_inverso(name: str, tmp_path: Path) -> None:
    prior, path = priors.load(name), tmp_path / "prior.onnx"
    to_onnx(prior, path)
    given = (
        (prior.sample_latent(2),) if isinstance(prior, LatentPrior) else (uniform(1, 3, 37, 50), torch.tensor([0.1]))
    )
    with torch.no_grad():
        torch.testing.assert_close(run_onnx(path, *given), prior(*given), rtol=0, atol=1e-4)


@slow
@pytest.mark.parametrize("family", ["FFDNet", "DRUNet"])
def test_denoisers_of_others(family: str, tmp_path: Path) -> None:
    denoiser = FFDNet(width=4, depth=3) if family == "FFDNet" else DRUNet(widths=(4, 4, 4, 4), blocks=1)
    to_onnx(denoiser.eval(), tmp_path / "denoiser.onnx", size=16)
    x, sigma = uniform(2, 3, 25, 30), torch.tensor([0.02, 0.1])
    with torch.no_grad():
        expected = denoiser(x, sigma)
    torch.testing.assert_close(run_onnx(tmp_path / "denoiser.onnx", x, sigma), expected, rtol=0, atol=1e-4)


@slow
def test_a_style_for_each_filter_is_refused(tmp_path: Path) -> None:
    prior = StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8).in_space("w++")
    with pytest.raises(InversoError, match="this StyleGAN2 cannot be exported to ONNX: "):
        to_onnx(prior, tmp_path / "generator.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", ["VAE", *(pytest.param(name, marks=slow) for name in GENERATORS if name != "VAE")])
def test_torch_export_of_generators(family: str) -> None:
    prior = GENERATORS[family]()
    program = torch.export.export(prior, (prior.sample_latent(2),), dynamic_shapes=({0: ANY},))
    for n in (2, 5):
        z = prior.sample_latent(n, seed=n)
        torch.testing.assert_close(program.module()(z), prior(z), rtol=1e-4, atol=1e-5)


@slow
@pytest.mark.parametrize("name", ["denoiser", "photos"])
def test_torch_export_of_denoisers(name: str) -> None:
    denoiser = tiny_denoiser() if name == "denoiser" else priors.load(name)
    cells = {0: ANY, 2: 8 * torch.export.Dim("rows", min=2), 3: 8 * torch.export.Dim("columns", min=2)}
    given = (uniform(2, 3, 24, 32), torch.tensor([0.1, 0.2]))
    program = torch.export.export(denoiser, given, dynamic_shapes=(cells, {0: ANY}))
    for n, height, width in ((2, 24, 32), (3, 16, 48)):
        x, sigma = uniform(n, 3, height, width), torch.linspace(0.01, 0.5, n)
        with torch.no_grad():
            torch.testing.assert_close(program.module()(x, sigma), denoiser(x, sigma), rtol=1e-4, atol=1e-5)


@slow
def test_torch_export_of_restorers() -> None:
    restorer = restorers.UNetRestorer(width=8, middle=8, deep=8, refine=8).eval()
    program = torch.export.export(restorer, (uniform(2, 3, 24, 32),), dynamic_shapes=({0: ANY},))
    y = uniform(3, 3, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(y), restorer(y), rtol=1e-4, atol=1e-5)

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from inverso.priors import VAE
from inverso.priors._formats.readers import read_prior


def random_state(*, latent=20, hidden=40, pixels=784, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "fc1": (hidden, pixels),
        "fc21": (latent, hidden),
        "fc22": (latent, hidden),
        "fc3": (hidden, latent),
        "fc4": (pixels, hidden),
    }
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=generator, dtype=dtype) / shape[1] ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator, dtype=dtype)
    return state


def test_images_are_those_of_the_formula():
    state = random_state()
    prior = VAE.from_state_dict(state)
    z = prior.sample_latent(3, seed=2)
    hidden = np.maximum(z.numpy() @ state["fc3.weight"].numpy().T + state["fc3.bias"].numpy(), 0)
    logits = hidden @ state["fc4.weight"].numpy().T + state["fc4.bias"].numpy()
    expected = (1 / (1 + np.exp(-logits))).reshape(3, 1, 28, 28)
    torch.testing.assert_close(prior(z).detach(), torch.from_numpy(expected))


def test_the_encoder_is_left_out():
    assert sorted(VAE.from_state_dict(random_state()).state_dict()) == [
        "fc3.bias",
        "fc3.weight",
        "fc4.bias",
        "fc4.weight",
    ]


def test_other_image_shapes_are_given():
    state = random_state(pixels=96)
    assert VAE.from_state_dict(state, image_shape=(3, 4, 8)).image_shape == (3, 4, 8)
    with pytest.raises(ValueError, match=r"makes 96 numbers, which is not a gray square image: give image_shape"):
        VAE.from_state_dict(state)


def test_fresh_networks_are_seeded_and_leave_the_global_state():
    before = torch.get_rng_state()
    first, again = VAE(4, hidden=8), VAE(4, hidden=8)
    torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.fc3.weight, VAE(4, hidden=8, seed=1).fc3.weight)
    torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)


def test_foreign_weights_are_refused():
    with pytest.raises(ValueError, match=r"the weights do not fit VAE: expected matrices fc3\.weight and fc4\.weight"):
        VAE.from_state_dict({"fc3.weight": torch.zeros(3)})


def test_weights_that_do_not_fit_each_other_are_refused():
    state = {**random_state(), "fc4.weight": torch.zeros(784, 7)}
    with pytest.raises(ValueError, match=r"fc4.weight has shape \(784, 7\), expected \(784, 40\)"):
        VAE.from_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"latent_dim": 0}, ValueError, "latent_dim must be an integer of at least 1, got 0"),
        ({"hidden": 1.0}, TypeError, "hidden must be an integer of at least 1, got 1.0"),
        ({"image_shape": (28, 28)}, ValueError, r"image_shape must be \(C, H, W\), got \(28, 28\)"),
        ({"image_shape": (1, 0, 28)}, ValueError, "each size of image_shape must be an integer of at least 1, got 0"),
    ],
)
def test_bad_sizes_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        VAE(**settings)


@pytest.mark.skipif("INVERSO_GOLDEN" not in os.environ, reason="INVERSO_GOLDEN names no folder of trained weights")
def test_trained_mnist_decoder_makes_the_images_of_upstream():
    folder = Path(os.environ["INVERSO_GOLDEN"])
    prior = read_prior(folder / "mnist_vae_csinva.pth")
    with np.load(folder / "mnist_vae_io.npz") as golden:
        z = torch.from_numpy(golden["z"]).requires_grad_()
        image = prior(z)
        torch.testing.assert_close(image.flatten(1), torch.from_numpy(golden["img"]), atol=1e-5, rtol=1e-4)
        (image.flatten(1) * torch.from_numpy(golden["cotangent"])).sum().backward()
        torch.testing.assert_close(z.grad, torch.from_numpy(golden["grad_z"]), atol=1e-3, rtol=1e-4)

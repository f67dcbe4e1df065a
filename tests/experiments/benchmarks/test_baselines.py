"""A Gaussian model of the prior's images, and a mask that a restorer has found."""

import pytest
import torch

from inverso import solve
from inverso.images.io import photo
from inverso.operators import BoxMask, RandomMask
from inverso.stages import PseudoInverse
from scripts import script
from stages.toys import LinearPrior

baselines = script("baselines")
DrawnFromPrior, FoundMask = baselines.DrawnFromPrior, baselines.FoundMask


def test_gaussian_model_is_ridge_regression() -> None:
    prior = LinearPrior(3)
    stage = DrawnFromPrior(samples=50, ridge=0.04)
    A = RandomMask(0.5, seed=(0, 1))
    y = A.measure(prior(prior.sample_latent(2, seed=5).double()).detach(), noise=0.1)
    image = solve(y, A, prior, stage, noise=0.1, seed=3).image
    samples = prior(prior.sample_latent(50, seed=3).double()).detach()
    mean = samples.mean(dim=0)
    deviations = (samples - mean).flatten(1)
    covariance = deviations.T @ deviations / 50
    for k in range(2):
        mask = A.for_image(k).mask(prior.image_shape).expand(prior.image_shape).flatten()
        rest = (y[k] - mean).flatten()[mask]
        inner = covariance[mask][:, mask] + (0.1**2 + 0.04) * torch.eye(int(mask.sum()), dtype=torch.float64)
        expected = mean.flatten() + covariance[:, mask] @ torch.linalg.solve(inner, rest)
        torch.testing.assert_close(image[k].flatten(), expected)


def test_mean_keeps_what_was_measured_and_is_the_mean_elsewhere() -> None:
    prior, A = LinearPrior(3), BoxMask((2, 2))
    y = A.measure(torch.rand(1, 1, 4, 6, dtype=torch.float64))
    image = solve(y, A, prior, DrawnFromPrior(samples=20, mean_only=True), seed=3).image
    mean = prior(prior.sample_latent(20, seed=3).double()).detach().mean(dim=0)
    known = A.mask((1, 4, 6))
    torch.testing.assert_close(image[0], torch.where(known, y[0], mean))


class _Finder(torch.nn.Module):
    """Takes every pixel that is not white for right."""

    def forward(self, y):
        return y

    def explain(self, y):
        from types import SimpleNamespace

        return SimpleNamespace(logits=torch.where((y == 1).all(dim=1, keepdim=True), -1.0, 1.0))


def test_found_mask_is_used_as_the_operator() -> None:
    A, x = RandomMask(0.5), photo("coffee", size=16) * 0.9
    prior = LinearPrior(3, image_shape=(3, 16, 16)).float()
    y = A.measure(x)
    found = solve(y, A, prior, FoundMask((PseudoInverse(),)), restorer=_Finder()).image
    torch.testing.assert_close(found, solve(y, A, method="pinv").image)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="samples must be an integer of at least 2"):
        DrawnFromPrior(samples=1)
    with pytest.raises(ValueError, match="ridge must be greater than 0"):
        DrawnFromPrior(ridge=0)
    prior = LinearPrior(3, image_shape=(3, 16, 16)).float()
    with pytest.raises(ValueError, match="needs a restorer that tells it, and Identity does not"):
        solve(
            torch.rand(1, 3, 16, 16),
            RandomMask(0.5),
            prior,
            FoundMask((PseudoInverse(),)),
            restorer=torch.nn.Identity(),
        )

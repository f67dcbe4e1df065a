"""Losses of a Wasserstein critic of patches, against values computed by hand."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from inverso.losses._wasserstein import gradient_penalty_per_position, wasserstein_critic, wasserstein_generator


def test_losses_are_differences_of_means():
    real, fake = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.5, -0.5]])
    torch.testing.assert_close(wasserstein_critic(real, fake), torch.tensor(-2.0))
    torch.testing.assert_close(wasserstein_generator(fake), torch.tensor(-0.0))


def test_penalty_of_a_linear_critic_by_hand():
    images = torch.zeros(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.zeros(2, 2, 3, dtype=torch.float64)
    # Norms over channels: 5 at (0, 0), 1 at (0, 1), 0 elsewhere: (16 + 0 + 4 x 1) / 6.
    weights[:, 0, 0] = torch.tensor([3.0, 4.0])
    weights[0, 0, 1] = -1.0
    penalty = gradient_penalty_per_position(images, (weights * images).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(penalty, torch.tensor(20 / 6, dtype=torch.float64))


def test_patches_that_overlap_add_up_at_a_position():
    images = torch.rand(1, 1, 1, 4, dtype=torch.float64, requires_grad=True)
    kernel = torch.tensor([[[[2.0, 1.0]]]], dtype=torch.float64)
    # Gradients 2, 3, 3, 1 along the row.
    penalty = gradient_penalty_per_position(images, F.conv2d(images, kernel))
    torch.testing.assert_close(penalty, torch.tensor((1 + 4 + 4 + 0) / 4, dtype=torch.float64))


def test_penalty_differs_from_that_of_the_whole_image():
    images = torch.zeros(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    # Each position has a gradient of 1/2; the norm over the image is 1, whose penalty would be 0.
    penalty = gradient_penalty_per_position(images, images.sum() / 2)
    torch.testing.assert_close(penalty, torch.tensor(0.25, dtype=torch.float64))


def test_penalty_can_be_lowered_by_the_critics_weights():
    weight = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    images = torch.rand(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    gradient_penalty_per_position(images, weight * images).backward()
    # d/dw (|w| - 1)^2 = 2 (w - 1).
    torch.testing.assert_close(weight.grad, torch.tensor(4.0, dtype=torch.float64))
    assert images.grad is None or not images.grad.any()

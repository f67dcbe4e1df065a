"""Path lengths and their penalty, against values computed by hand and closed forms of linear generators."""

from __future__ import annotations

import torch

from inverso.losses._path_length import path_length_penalty, path_lengths


def test_length_of_a_linear_generator_is_that_of_the_transposed_product():
    A = torch.randn(3 * 4 * 5, 7, dtype=torch.float64)
    w = torch.randn(2, 1, 7, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    lengths = path_lengths((w[:, 0] @ A.T).reshape(2, 3, 4, 5), w, y)
    torch.testing.assert_close(lengths, (y.flatten(1) @ A).norm(dim=1) / 20**0.5)


def test_squares_are_averaged_over_the_rows_of_styles():
    styles = torch.zeros(1, 4, 2, dtype=torch.float64, requires_grad=True)
    # Rows with gradients (3, 4), (0, 12), (0, 0), (0, 0): sqrt((25 + 144) / 4).
    gradient = torch.tensor([[3.0, 4.0], [0.0, 12.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    images = (styles * gradient).sum(dim=(1, 2))[:, None, None, None]
    lengths = path_lengths(images, styles, torch.ones_like(images))
    torch.testing.assert_close(lengths, torch.tensor([6.5], dtype=torch.float64))


def test_mean_square_over_directions_is_that_of_the_step_per_pixel():
    A = torch.randn(3 * 2 * 2, 5, dtype=torch.float64)
    w = torch.zeros(20_000, 1, 5, dtype=torch.float64, requires_grad=True)
    y = torch.randn(20_000, 3, 2, 2, dtype=torch.float64)
    found = path_lengths((w[:, 0] @ A.T).reshape(-1, 3, 2, 2), w, y).square().mean()
    torch.testing.assert_close(found, A.square().sum() / 4, rtol=0.03, atol=0)


def test_lengths_do_not_depend_on_the_neighbors_in_a_batch():
    w = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, 1, 2, 2, dtype=torch.float64)

    def generate(styles: torch.Tensor) -> torch.Tensor:
        return styles.prod(dim=1).tanh().reshape(-1, 1, 2, 2)

    together = path_lengths(generate(w), w, y)
    alone = torch.cat(
        [path_lengths(generate(one), one, some) for one, some in zip(w.split(1), y.split(1), strict=True)]
    )
    torch.testing.assert_close(together, alone)


def test_penalty_is_the_mean_square_distance_to_the_target():
    penalty = path_length_penalty(torch.tensor([1.0, 2.0, 6.0]), target=torch.tensor(2.0))
    torch.testing.assert_close(penalty, torch.tensor((1 + 0 + 16) / 3))


def test_penalty_has_gradients_in_the_weights():
    gain = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    styles = torch.ones(1, 1, 1, dtype=torch.float64, requires_grad=True)
    lengths = path_lengths((gain * styles)[..., None], styles, torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64))
    # Length 2 gain = 6, penalty (6 - 1)^2, derivative 2 (6 - 1) 2.
    (slope,) = torch.autograd.grad(path_length_penalty(lengths, target=torch.tensor(1.0)), gain)
    torch.testing.assert_close(slope, torch.tensor(20.0, dtype=torch.float64))

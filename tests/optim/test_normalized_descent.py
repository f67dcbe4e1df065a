from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso._optim.normalized_descent import NormalizedDescent, directions

GOLDEN = Path(__file__).parents[1] / "data" / "robust_wpp_ngd_io.npz"


def stepped(vectors: torch.Tensor, gradient: torch.Tensor, lr: float) -> torch.Tensor:
    """Take one step."""
    moved = vectors.clone().requires_grad_()
    moved.grad = gradient
    NormalizedDescent([moved], lr=lr).step()
    return moved.detach()


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class TestGolden:
    """Steps of the code of Poirier-Ginter & Lalonde."""

    def test_vectors_among_them_one_without_a_gradient(self, golden):
        gradient = golden["ngd_g"]
        assert (gradient.norm(dim=-1) == 0).any()
        torch.testing.assert_close(stepped(golden["ngd_p"], gradient, 0.08), golden["ngd_p_after_lr0.08"])

    def test_styles_of_filters(self, golden):
        moved = stepped(golden["wpp_first16"], golden["grad_Wpp_first16"], 0.005)
        torch.testing.assert_close(moved, golden["Wpp_first16_after_NGD_lr0.005"])


class TestDirections:
    @given(
        st.integers(0, 2**31),
        st.floats(-37, 37),
        st.sampled_from([torch.float32, torch.float64]),
        st.sampled_from([(4,), (3, 5), (2, 3, 1), (1, 2, 3, 4)]),
    )
    def test_they_have_length_one_whatever_the_scale(self, seed, exponent, dtype, shape):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        scaled = (gradient * 10**exponent).to(dtype)
        found = directions(scaled)
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(shape[:-1], dtype=dtype))
        wanted = (gradient / gradient.norm(dim=-1, keepdim=True)).to(dtype)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)

    def test_nothing_points_nowhere(self):
        assert directions(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


class TestSteps:
    def test_on_a_bowl_the_distance_falls_by_the_step_until_it_is_smaller(self):
        goal = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
        vectors = torch.zeros_like(goal).requires_grad_()
        optimizer = NormalizedDescent([vectors], lr=0.5)
        distances = []
        for _ in range(10):
            loss = (vectors - goal).square().sum()
            distances.append(float((vectors.detach()[0] - goal[0]).norm()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.testing.assert_close(distances, [5 - 0.5 * k for k in range(10)])
        assert vectors[1].tolist() == [0, 0]

    def test_what_has_no_gradient_stays(self):
        vectors = torch.ones(2, requires_grad=True)
        NormalizedDescent([vectors], lr=1.0).step()
        assert vectors.tolist() == [1, 1]

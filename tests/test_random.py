"""Streams of random numbers, and the global state that is left alone."""

from __future__ import annotations

import torch

from inverso._random import fork_rng, normal, step_generator, uniform


def test_draws_inside_come_from_the_seed_and_the_state_is_put_back():
    before = torch.get_rng_state()
    with fork_rng(3):
        drawn = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(3)))


def test_draws_are_those_of_torch_in_single_precision_under_any_default():
    expected = [draw(2, 3, generator=step_generator(0, 0, stream=0)) for draw in (torch.rand, torch.randn)]
    torch.set_default_dtype(torch.float64)
    try:
        drawn = [draw((2, 3), step_generator(0, 0, stream=0)) for draw in (uniform, normal)]
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(drawn, expected, strict=True))


def test_without_a_seed_draws_go_on_from_the_global_state():
    with fork_rng():
        inside = torch.rand(4)
    with fork_rng():
        assert torch.equal(torch.rand(4), inside)


def test_every_step_and_stream_has_numbers_of_its_own():
    drawn = {
        float(torch.rand((), generator=step_generator(seed, step, stream=stream)))
        for seed in range(3)
        for step in range(4)
        for stream in range(2)
    }
    assert len(drawn) == 24

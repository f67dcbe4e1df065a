"""Streams of random numbers, and the global state that is left alone."""

from __future__ import annotations

import torch

from inverso._random import fork_rng, step_generator


def test_draws_inside_come_from_the_seed_and_the_state_is_put_back():
    before = torch.get_rng_state()
    with fork_rng(3):
        drawn = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(3)))


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

"""Plans are made once, shared by equal operators, and forgotten in time."""

from __future__ import annotations

import threading

import pytest
import torch

from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, Identity, Mask, RandomGaussian, RandomMask
from inverso.operators._plans import CACHE, PlanCache, image_shape_of, real_dtype

SHAPE = (3, 8, 8)


class TestPlansOfOperators:
    def test_equal_operators_share_one(self):
        assert FFTMask(0.3).plan(SHAPE, torch.float32) is FFTMask(0.3).plan(SHAPE, torch.float32)
        assert FFTMask(0.3).plan(SHAPE, torch.float32) is not FFTMask(0.3, seed=1).plan(SHAPE, torch.float32)

    def test_one_seed_for_all_is_not_one_seed_per_image(self):
        assert FFTMask(0.3).plan(SHAPE, torch.float32) is not FFTMask(0.3, seed=(0,)).plan(SHAPE, torch.float32)

    def test_operators_of_other_kinds_do_not(self):
        first, second = Identity().plan(SHAPE, torch.float32), RandomMask(1.0).plan(SHAPE, torch.float32)
        assert first is not second

    def test_masks_are_told_apart_by_identity(self):
        mask = torch.eye(8)
        assert Mask(mask).plan(SHAPE, torch.float32) is not Mask(mask).plan(SHAPE, torch.float32)

    def test_size_and_precision_make_a_difference(self):
        A = Bicubic(2)
        plans = [A.plan(SHAPE, torch.float32), A.plan(SHAPE, torch.float64), A.plan((1, 8, 8), torch.float32)]
        assert len({id(plan) for plan in plans}) == 3
        assert plans[0].rows.matrix.dtype == torch.float32
        assert plans[1].rows.matrix.dtype == torch.float64

    @pytest.mark.parametrize("A", [Bicubic(2), FFTMask(0.3), RandomMask(0.3)], ids=repr)
    def test_use_makes_no_second_one(self, A):
        CACHE.clear()
        x = torch.rand(2, *SHAPE)
        A.pinv(A(x))
        plan = A.plan(SHAPE, torch.float32)
        for _ in range(3):
            A.project(x, A.measure(x, noise=0.1))
        assert A.plan(SHAPE, torch.float32) is plan

    def test_single_precision_is_the_rounded_double_one(self):
        single, double = (Bicubic(2).plan(SHAPE, dtype) for dtype in (torch.float32, torch.float64))
        single, double = single.decomposition, double.decomposition
        torch.testing.assert_close(single.rows_pinv, double.rows_pinv.float(), atol=2e-6, rtol=0)

    def test_complex_tensors_become_their_complex_partner(self):
        plan = Blur(torch.ones(1, 3)).plan(SHAPE, torch.float32)
        assert plan.spectrum.dtype == torch.complex64

    def test_they_are_no_inference_tensors(self):
        CACHE.clear()
        with torch.inference_mode():
            plan = Bicubic(2).plan(SHAPE, torch.float32)
        assert not plan.rows.matrix.is_inference()


class TestFactoring:
    @pytest.mark.parametrize(
        "A",
        [GaussianBlur(5, 1.0), GaussianBlur(5, 1.0, padding="zero"), Bicubic(2), RandomGaussian(9, SHAPE)],
        ids=repr,
    )
    def test_waits_for_the_first_pseudo_inverse(self, A, monkeypatch):
        def refuse(*_: object, **__: object) -> None:
            pytest.fail("measuring decomposed something")

        CACHE.clear()
        with monkeypatch.context() as patch:
            patch.setattr(torch.linalg, "svd", refuse)
            y = A.measure(torch.rand(1, *SHAPE), noise=0.1)
            A.adjoint(y)
            A.measured_count(tuple(y.shape))
        once = A(A.pinv(y))
        torch.testing.assert_close(A(A.pinv(once)), once, rtol=1e-2, atol=1e-2)

    def test_may_begin_in_inference_mode(self):
        A = GaussianBlur(5, 1.0)
        CACHE.clear()
        with torch.inference_mode():
            A.pinv(torch.rand(1, *SHAPE))
        y = torch.rand(1, *SHAPE, requires_grad=True)
        A.pinv(y, ridge=0.1).sum().backward()
        # The pseudo-inverse is linear: its gradient is the transpose, applied to ones, whatever y is.
        torch.testing.assert_close((y.grad * y).sum(), A.pinv(y, ridge=0.1).sum(), rtol=1e-3, atol=1e-3)


class TestCache:
    def test_is_bounded_in_bytes_and_keeps_the_last_plan(self):
        cache = PlanCache(nbytes=4 * 192 * 8)
        plans = [RandomMask(0.5, seed=seed)._make_plan(SHAPE, 1e-16) for seed in range(6)]
        for seed, plan in enumerate(plans):
            cache.get(seed, lambda plan=plan: plan)
        assert plans[0].nbytes == 64 * 8
        assert len(cache._plans) == 6
        for seed in range(20):
            cache.get(("more", seed), lambda: plans[0])
        assert len(cache._plans) == 12
        large = RandomGaussian(99, SHAPE)._make_plan(SHAPE, 1e-16)
        cache.get("large", lambda: large)
        assert list(cache._plans) == ["large"]

    def test_counts_what_is_computed_later(self):
        plan = RandomGaussian(9, SHAPE).plan(SHAPE, torch.float64)
        before = plan.nbytes
        assert plan.rank == 9
        assert plan.nbytes == before + 8 * (9 * 9 + 9)

    def test_makes_an_entry_once(self):
        cache, made = PlanCache(), []
        for _ in range(3):
            cache.get("key", lambda: made.append(1))
        assert made == [1]

    def test_forgets_what_was_used_longest_ago(self):
        cache, made = PlanCache(entries=2), []
        for key in ("a", "b", "a", "c", "a", "b"):
            cache.get(key, lambda key=key: made.append(key))
        assert made == ["a", "b", "c", "b"]

    def test_stays_bounded_when_many_operators_are_used(self):
        for seed in range(2 * CACHE.entries):
            RandomMask(0.5, seed=seed).plan(SHAPE, torch.float32)
        assert len(CACHE._plans) <= CACHE.entries

    def test_clear_forgets_all(self):
        first = Bicubic(2).plan(SHAPE, torch.float32)
        CACHE.clear()
        assert Bicubic(2).plan(SHAPE, torch.float32) is not first

    def test_threads_may_share_it(self):
        CACHE.clear()
        answers = []

        def use() -> None:
            answers.extend(RandomMask(0.5, seed=seed)(torch.ones(1, *SHAPE)).sum().item() for seed in range(50))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [96.0] * 200

    def test_an_operator_that_refuses_leaves_no_entry(self):
        CACHE.clear()
        for _ in range(2):
            with pytest.raises(ValueError, match="the sides of the image must be multiples of scale=2"):
                Bicubic(2).plan((3, 7, 8), torch.float32)


@pytest.mark.parametrize(
    ("dtype", "real"),
    [
        (torch.complex64, torch.float32),
        (torch.complex128, torch.float64),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_real_dtype(dtype, real):
    assert real_dtype(dtype) == real


def test_image_shape():
    assert image_shape_of(torch.zeros(2, 5, 3, 4, 6)) == (3, 4, 6)

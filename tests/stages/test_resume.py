from __future__ import annotations

import pytest
import torch

import inverso
from inverso.operators import RandomMask
from inverso.stages import CSGM, BackProject, ImageAdaptive, Need, Problem, Resume, State
from stages.toys import LinearPrior, pictures


def test_a_method_that_goes_on_equals_one_that_starts_over():
    prior, A = LinearPrior(), RandomMask(0.5)
    y = A.measure(pictures(2))
    first, rest = [CSGM(steps=5)], [ImageAdaptive(steps=3), BackProject()]
    whole = inverso.solve(y, A, prior, [*first, *rest], progress=False)
    half = inverso.solve(y, A, prior, first, progress=False)
    resumed = inverso.solve(y, A, prior, [Resume(half.state), *rest], progress=False)
    torch.testing.assert_close(resumed.image, whole.image, rtol=0, atol=0)
    torch.testing.assert_close(resumed.latent, whole.latent, rtol=0, atol=0)
    assert [record.name for record in resumed.stages] == ["csgm", "ia", "bp"]


def test_it_hands_on_the_state_as_it_is():
    state = State(image=pictures(1))
    assert Resume(state)(Problem(pictures(1)), State()) is state


def test_what_is_no_state_is_refused():
    result = inverso.solve(pictures(1), RandomMask(0.5), method="pinv")
    with pytest.raises(TypeError, match=r"takes a State, such as result\.state .*, got Reconstruction"):
        Resume(result)


def test_it_says_what_it_gives():
    assert Resume(State()).gives == frozenset()
    assert Resume(State(image=pictures(1))).gives == {Need.IMAGE}
    assert Resume(State(image=pictures(1), latent=torch.ones(1, 3))).gives == {Need.IMAGE, Need.LATENT}


def test_image_adaptation_cannot_resume_without_a_latent():
    prior, A = LinearPrior(), RandomMask(0.5)
    y = A.measure(pictures(1))
    half = inverso.solve(y, A, method="pinv")
    with pytest.raises(ValueError, match="stage 'ia' needs a stage before it that finds a latent"):
        inverso.solve(y, A, prior, [Resume(half.state), ImageAdaptive()])

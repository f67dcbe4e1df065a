from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import inverso
from inverso.methods import SCHEDULES, TABLE, stages_of
from inverso.priors import WrappedDenoiser
from inverso.stages import CSGM, BackProject, DeepImagePrior, FeedForward, ImageAdaptive, PseudoInverse, Stage

WORDS = st.lists(st.sampled_from(sorted(TABLE)), min_size=1, max_size=5)
MEANING = {
    "pinv": ["pinv"],
    "zero-filled": ["zero-filled"],
    "csgm": ["csgm"],
    "ia": ["csgm", "ia"],
    "dip": ["dip"],
    "ff": ["ff"],
    "bp": ["bp"],
    "style": ["style"],
    "style+bp": ["style", "bp"],
    "csgm+bp": ["csgm", "bp"],
    "ia+bp": ["csgm", "ia", "bp"],
    "csgm+ia": ["csgm", "ia"],
    "csgm+ia+bp": ["csgm", "ia", "bp"],
    "csgm+bp+ia+bp": ["csgm", "bp", "ia", "bp"],
    "dip+bp": ["dip", "bp"],
    "ff+bp": ["ff", "bp"],
    "csgm+csgm": ["csgm", "csgm"],
    "pinv+ia": ["pinv", "csgm", "ia"],
}


class Darken(Stage):
    """A stage of the user's own."""

    name = "darken"

    def __call__(self, _problem, state):
        return state


def names(method) -> list[str]:
    return [stage.name for stage in stages_of(method)]


class TestStrings:
    @pytest.mark.parametrize("method", MEANING)
    def test_meaning(self, method):
        assert names(method) == MEANING[method]

    def test_csgm_and_image_adaptation_spelled_out_is_the_same(self):
        assert stages_of("csgm+ia") == stages_of("ia")

    def test_zero_filled_is_the_adjoint(self):
        assert stages_of("zero-filled") == (PseudoInverse(adjoint=True),)

    @given(WORDS)
    def test_any_join_of_known_words_gives_their_stages_in_order(self, words):
        stages = stages_of("+".join(words))
        assert all(isinstance(stage, Stage) for stage in stages)
        last = [TABLE[word][-1] for word in words]
        places, start = [], 0
        for stage in last:
            places.append(stages.index(stage, start))
            start = places[-1] + 1
        assert places[-1] == len(stages) - 1
        between = [stage for k, stage in enumerate(stages) if k not in places]
        assert all(stage == CSGM() for stage in between)

    @given(WORDS)
    def test_image_adaptation_always_follows_a_csgm(self, words):
        stages = names("+".join(words))
        assert all("csgm" in stages[:k] for k, name in enumerate(stages) if name == "ia")

    @given(WORDS)
    def test_nothing_is_added_twice(self, words):
        stages = names("+".join(words))
        searches = {"csgm", "encoder"}
        added = stages.count("csgm") - sum(words.count(word) for word in searches)
        assert added in {0, 1}
        assert all(stages.count(word) == words.count(word) for word in set(words) - searches)

    @given(WORDS, st.text(max_size=8), st.integers(0, 5))
    def test_unknown_words_are_refused_listing_the_known_ones(self, words, odd, place):
        if odd.strip(" ") in TABLE or "+" in odd:
            return
        words.insert(min(place, len(words)), odd)
        with pytest.raises(ValueError, match="unknown method") as caught:
            stages_of("+".join(words))
        assert repr(odd) in str(caught.value)
        assert all(word in str(caught.value) for word in TABLE)

    @pytest.mark.parametrize("method", ["", "+", "ia+", "+bp", "ia bp", "IA", "\tia", "ia,bp"])
    def test_near_misses_are_refused(self, method):
        with pytest.raises(ValueError, match=r"known are pinv, .*, joined by '\+'"):
            stages_of(method)


class TestObjects:
    def test_one_stage(self):
        stage = CSGM(steps=7)
        assert stages_of(stage) == (stage,)

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_several(self, kind):
        stages = kind([CSGM(steps=7), Darken(), BackProject(ridge=0.1)])
        assert stages_of(stages) == tuple(stages)

    def test_none_at_all_is_refused(self):
        with pytest.raises(ValueError, match="method is an empty list of stages: give at least one"):
            stages_of([])

    @pytest.mark.parametrize(
        ("method", "given"),
        [
            (None, "NoneType"),
            (3, "int"),
            ({"csgm"}, "set"),
            (CSGM, "the class CSGM"),
            (lambda _problem, state: state, "function"),
        ],
    )
    def test_other_types_are_refused(self, method, given):
        with pytest.raises(TypeError, match=rf"method must be a string, a stage .* or a list of stages, got {given}"):
            stages_of(method)

    @pytest.mark.parametrize("stranger", ["csgm", None, CSGM, lambda _problem, state: state])
    def test_strangers_in_a_list_are_refused(self, stranger):
        with pytest.raises(TypeError, match="method must hold stages"):
            stages_of([CSGM(), stranger])


class TestSchedules:
    def test_the_paper_of_image_adaptive_gans(self):
        csgm, adaptive, project = stages_of("ia+bp", schedule="iagan")
        assert (csgm.steps, csgm.lr, csgm.restarts, csgm.latent_weight) == (1800, 0.1, 5, 0)
        assert (adaptive.steps, adaptive.lr, adaptive.latent_lr) == (300, 1e-3, 1e-4)
        assert project == BackProject()

    def test_it_leaves_the_other_stages_as_they_are(self):
        assert stages_of("pinv+dip+ff", schedule="iagan") == (PseudoInverse(), DeepImagePrior(), FeedForward())

    def test_the_default_is_the_table(self):
        assert stages_of("ia") == TABLE["ia"]
        assert stages_of("ia", schedule="default") == TABLE["ia"]

    def test_the_default_is_the_faster_one(self):
        (fast, _), (slow, _) = stages_of("ia"), stages_of("ia", schedule="iagan")
        assert fast.steps * fast.restarts < slow.steps * slow.restarts / 5

    def test_it_has_no_say_over_objects(self):
        stages = [CSGM(steps=7), ImageAdaptive(steps=8)]
        assert stages_of(stages, schedule="iagan") == tuple(stages)

    @pytest.mark.parametrize("method", ["ia", [CSGM()]], ids=["string", "list"])
    def test_an_unknown_one_is_refused(self, method):
        with pytest.raises(ValueError, match="unknown schedule 'slow'; known are 'default', 'iagan'"):
            stages_of(method, schedule="slow")

    def test_every_entry_is_named_once(self):
        for stages in SCHEDULES.values():
            chosen = sorted(stage.name for stage in stages)
            assert all(first != second for first, second in pairwise(chosen))


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        TABLE["mine"] = (CSGM(),)


def test_spaces_around_the_names_do_not_matter():
    assert stages_of("csgm + bp") == stages_of("csgm+bp")


def test_a_list_of_names_is_told_how_names_are_joined():
    with pytest.raises(TypeError, match=r"got 'pnp'.*joined in one string, as in 'pnp\+bp'"):
        stages_of(["pnp", "bp"])


def test_without_an_operator_only_that_is_asked_for():
    denoiser = WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0.1, 1.0))
    with pytest.raises(ValueError, match=r"stage 'pnp' needs the operator that measured y, as A=$"):
        inverso.solve(torch.rand(1, 3, 8, 8), None, denoiser, progress=False)

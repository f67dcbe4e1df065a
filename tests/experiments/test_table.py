"""Experiments as data: what they keep, expand and refuse."""

from dataclasses import replace

import pytest
import torch

from inverso.experiments import Case, Curve, Experiment, Tuned, Using
from inverso.experiments.table import stages_in
from inverso.methods import stages_of
from inverso.operators import Bicubic, RandomMask
from inverso.stages import CSGM


def test_every_photo_gets_a_mask_of_its_own_seed() -> None:
    A = Case("", RandomMask(0.5)).operator_for(torch.rand(2, 3, 8, 8), [3, 4])
    assert A == RandomMask(0.5, seed=(3, 4))
    assert not torch.equal(*A.mask((3, 8, 8)))


def test_operators_without_a_seed_stay_as_they_are() -> None:
    A = Bicubic(2)
    assert Case("", A).operator_for(torch.rand(2, 3, 8, 8), [3, 4]) is A


def test_titles_say_noise_and_rounding() -> None:
    assert Case("x", Bicubic(2)).title == "x"
    assert Case("x", Bicubic(2), noise=10 / (255 * 2**0.5)).title == "x, noise 7.1/255"
    assert Case("x", Bicubic(2), eight_bit=True).title == "x, 8 bits"


def test_choosing_methods_drops_what_speaks_of_others(experiment: Experiment) -> None:
    curve = Curve("steps", "steps", {"": {1: "csgm", 2: "csgm+ia"}}, over="methods")
    chosen = replace(experiment, curves=(curve,)).chosen(["csgm"])
    assert list(chosen.methods) == ["csgm"]
    assert chosen.comparisons == ()
    assert chosen.curves[0].points == {"": {1: "csgm"}}
    assert replace(experiment, curves=(curve,)).chosen(["linear"]).curves == ()


def test_slow_methods_run_when_asked_for(experiment: Experiment) -> None:
    slow = replace(experiment, slow={"dip": "dip"})
    assert "dip" not in slow.chosen(None).methods
    assert list(slow.chosen(["all"]).methods)[-1] == "dip"
    assert list(slow.chosen(["dip", "csgm"]).methods) == ["csgm", "dip"]


def test_restorers_get_a_column_each(experiment: Experiment) -> None:
    both = replace(experiment, methods={"linear": "pinv", "csgm": "csgm", "ff": "ff"}, comparisons=(("ff", "linear"),))
    assert both.needs_restorer
    assert not experiment.needs_restorer
    single = both.with_restorers(["a"])
    assert list(single.methods) == ["linear", "csgm", "ff"]
    assert single.methods["ff"] == Using("ff", restorer="a")
    assert single.comparisons == (("ff", "linear"),)
    several = both.with_restorers(["a", "b"])
    assert list(several.methods) == ["linear", "csgm", "ff (a)", "ff (b)"]
    assert stages_in(several.methods["ff (b)"]) == stages_of("ff")
    assert several.comparisons == (("ff (a)", "linear"), ("ff (b)", "linear"), ("ff (a)", "ff (b)"))


def test_what_compares_no_restorers_stays_compared(experiment: Experiment) -> None:
    assert experiment.with_restorers([]).comparisons == experiment.comparisons
    mixed = replace(experiment, methods={**experiment.methods, "ff": "ff"})
    assert mixed.with_restorers(["a", "b"]).comparisons == (*experiment.comparisons, ("ff (a)", "ff (b)"))


def test_refusals(experiment: Experiment) -> None:
    case = Case("a", Bicubic(2))
    with pytest.raises(ValueError, match="noise must be at least 0"):
        Case("a", Bicubic(2), noise=-1)
    with pytest.raises(TypeError, match="neither a LinearOperator nor has it a method for_photos"):
        Case("a", "bicubic:2").operator_for(torch.rand(1, 3, 8, 8), [0])
    with pytest.raises(ValueError, match="two cases of the same title: a, a"):
        Experiment("x", "", "", "", (case, case), {"pinv": "pinv"})
    with pytest.raises(ValueError, match="compares or draws 'ia', which is none of pinv"):
        Experiment("x", "", "", "", (case,), {"pinv": "pinv"}, comparisons=(("pinv", "ia"),))
    with pytest.raises(ValueError, match="compares or draws 'b', which is none of a"):
        Experiment("x", "", "", "", (case,), {"pinv": "pinv"}, case_comparisons=(("a", "b"),))
    with pytest.raises(ValueError, match="compares or draws 'b', which is none of a"):
        Experiment("x", "", "", "", (case,), {"pinv": "pinv"}, curves=(Curve("c", "", {"": {1: "b"}}),))
    with pytest.raises(ValueError, match=r"has no method \['ia'\]; its methods are linear, csgm, csgm\+ia"):
        experiment.chosen(["ia", "csgm"])
    with pytest.raises(ValueError, match="at least one candidate"):
        Tuned(())
    assert Tuned((CSGM(),)).candidates

"""This project's own tables: complete, and what they ask."""

import pytest
import torch

from inverso.experiments import Experiment
from inverso.experiments.files import own_experiments
from inverso.experiments.table import stages_in
from inverso.operators import FFTMask
from scripts import script

OWN = own_experiments()
TABLES = {name: experiment for name, experiment in OWN.items() if isinstance(experiment, Experiment)}


@pytest.mark.parametrize("name", TABLES)
def test_papers_are_complete(name: str) -> None:
    experiment = TABLES[name]
    assert experiment.name == name
    assert experiment.question.endswith(("?", "."))
    assert experiment.chosen(["all"]).methods.keys() == {*experiment.methods, *experiment.slow}
    for entry in experiment.methods.values():
        assert stages_in(entry)
    side = 63 if experiment.size == 255 else 64
    photos = torch.rand(2, 3, side, side)
    for case in experiment.cases:
        A = case.operator_for(photos, [0, 1])
        assert len(A.measure(photos)) == 2
        alone = case.operator_for(photos[1:], [1])
        torch.testing.assert_close(alone(photos[1:]), A(photos)[1:])


def test_names_of_the_papers() -> None:
    numbered = [f"e{k}" for k in range(1, 13)]
    assert set(OWN) >= {*numbered, "worth", "ceiling"}
    assert OWN.keys() - TABLES.keys() == {"e10"}
    assert isinstance(OWN["e10"], script("one_photo").OnePhoto)
    assert {name for name, e in TABLES.items() if e.needs_restorer} == {"e6", "e8", "e9", "e11", "e12"}


def test_e1_asks_what_the_table_asks() -> None:
    e1 = OWN["e1"]
    assert [case.operator for case in e1.cases[::3]] == [FFTMask(0.3), FFTMask(0.5)]
    assert [round(255 * case.noise, 2) for case in e1.cases[:3]] == [0, 7.07, 10]
    papers = ["zero-filled", "pinv", "tv", "csgm", "csgm+bp", "ia", "ia+bp"]
    assert list(e1.methods) == [*papers, "encoder+bp+pnp"]
    assert list(e1.slow) == ["dip", "csgm (deepinv)", "dpir"]

"""Experiments in files: which are found, and what is said where there are none."""

from pathlib import Path

import pytest

import inverso
from inverso.experiments import Experiment, Study, find
from inverso.experiments.files import own_experiments, read_experiments

MINE = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
from inverso.experiments import Case, Experiment
from inverso.operators import Bicubic
from neighbor import TITLE

@dataclass(frozen=True)
class Own:
    name: ClassVar[str] = "own"
    title: str = "Own"
    question: str = "?"
    summary: str = "nothing"
    options: frozenset[str] = frozenset()

    def run(self, data, out, options, *, command=""):
        return out

OWN = Own()
MINE = AGAIN = Experiment("Mine", TITLE, "?", "", (Case("x2", Bicubic(2)),), {"pinv": "pinv"})
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "neighbor.py").write_text("TITLE = 'My own question'")
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def test_a_file_holds_tables_and_studies(mine: Path) -> None:
    found = read_experiments(mine)
    assert list(found) == ["own", "mine"]
    assert isinstance(found["mine"], Experiment)
    assert isinstance(found["own"], Study)
    assert find(f"{mine}:MINE").title == "My own question"


def test_a_single_one_needs_no_name(mine: Path) -> None:
    mine.write_text(MINE.replace("OWN = Own()", ""))
    assert find(str(mine)).name == "Mine"


def test_this_projects_own_are_found_in_a_clone() -> None:
    papers = Path(inverso.__file__).parents[2] / "benchmarks" / "papers.py"
    assert find("E1").title == find(f"{papers}:e1").title
    assert {"e1", "e10", "worth"} <= own_experiments().keys()


def test_elsewhere_one_line_says_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inverso, "__file__", str(tmp_path / "a" / "b" / "c" / "__init__.py"))
    with pytest.raises(FileNotFoundError, match=r"no file 'e1'.*come with a clone.*FILE\.py:NAME"):
        find("e1")


def test_refusals(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*other\.py"):
        find(str(tmp_path / "other.py"))
    with pytest.raises(ValueError, match=r"holds 2 experiments: choose one, .*mine\.py:NAME, of own, mine"):
        find(str(mine))
    with pytest.raises(ValueError, match=r"no experiment 'mime' in .*; did you mean 'mine'\?; known: own, mine"):
        find(f"{mine}:mime")
    with pytest.raises(ValueError, match="there is no experiment 'e99'; did you mean"):
        find("e99")
    (tmp_path / "empty.py").write_text("x = 1")
    with pytest.raises(ValueError, match=r"empty\.py holds no experiment"):
        find(str(tmp_path / "empty.py"))
    (tmp_path / "typo.py").write_text("x = 1\ndef (")
    with pytest.raises(ValueError, match=r"typo\.py is not a Python file that can be run: .*line 2\)"):
        find(str(tmp_path / "typo.py"))
    (tmp_path / "far.py").write_text("import nothing_of_this_name")
    with pytest.raises(ModuleNotFoundError, match=r"far\.py: No module named 'nothing_of_this_name'"):
        find(str(tmp_path / "far.py"))
    mine.write_text(MINE + "\nOTHER = Experiment('mine', '', '', '', MINE.cases, MINE.methods)")
    with pytest.raises(ValueError, match="holds two experiments of the name 'mine'"):
        find(str(mine))

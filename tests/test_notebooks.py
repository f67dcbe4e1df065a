"""The notebooks of examples/: what each of them has, and that they and the solutions folded into them run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SOLUTION = re.compile(r"<details>\n<summary>Solution</summary>\n\n```python\n(.*?)```.*?</details>", flags=re.DOTALL)
MEGABYTES = 2.2

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))["cells"])


def words(path: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown")


def program(path: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code")


def test_there_are_seven():
    assert len(NOTEBOOKS) == 7
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    # With a title of its own it stands in angle brackets.
    assert [path.stem for path in NOTEBOOKS if not re.search(rf"examples/{path.stem}>?\n", index)] == []


@notebooks
def test_it_has_a_face_and_other_photos_and_a_place_for_one_s_own(path):
    text = program(path) + "".join(SOLUTION.findall(words(path)))
    assert "astronaut" in text
    assert any(name in text for name in ("cat", "coffee", "rocket"))
    assert "## Try your own" in words(path) or "and your own" in words(path)
    assert "MINE = None" in text


@notebooks
def test_every_exercise_has_a_solution(path):
    exercises = words(path).partition("## Exercises")[2]
    numbers = re.findall(r"^\*\*(\d)\.\*\* ", exercises, flags=re.MULTILINE)
    assert len(numbers) >= 4
    assert numbers == [str(k + 1) for k in range(len(numbers))]
    assert len(SOLUTION.findall(exercises)) == len(numbers)
    for solution in SOLUTION.findall(exercises):
        compile(solution, path.name, "exec")


@notebooks
def test_it_is_small_and_tells_nothing_of_the_machine_it_ran_on(path):
    assert path.stat().st_size < MEGABYTES * 1e6
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|work|root|Users|tmp)/", text)
    assert '"output_type": "error"' not in text
    assert '"execution": {' not in text


@pytest.mark.slow
@notebooks
def test_it_runs_in_the_fast_mode_solutions_included(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("INVERSO_FAST", "1")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(solution) for solution in SOLUTION.findall(words(path))]
    client.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

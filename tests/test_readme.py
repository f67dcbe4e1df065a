"""What the README promises: its Python runs as pasted, and its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_there_is_python_to_paste() -> None:
    assert PYTHON_BLOCKS


def test_python_runs_as_pasted(tmp_path: Path) -> None:
    script = f"for block in {PYTHON_BLOCKS!r}:\n    exec(compile(block, block, 'exec'), {{'__name__': '__main__'}})"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_make_targets_exist() -> None:
    named = set(re.findall(r"(?:^|`|\S=\S+ )make ([a-z]+)", README, flags=re.MULTILINE))
    defined = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert named
    assert named <= defined


def test_pictures_and_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []

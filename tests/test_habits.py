"""Files about the project agree with each other: what is supported, what is tested, what is promised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
MATRIX = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_every_python_that_is_announced_is_in_the_matrix():
    announced = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT)
    assert re.findall(r'"(3\.\d+)"', MATRIX.partition("python: [")[2].partition("]")[0]) == announced
    assert f'requires-python = ">={announced[0]}"' in PYPROJECT


@pytest.mark.parametrize(
    ("package", "pattern"), [("torch", r'torch: "([\d.]+)"'), ("torchvision", r"torchvision==([\d.]+)\.\*")]
)
def test_the_oldest_packages_that_are_announced_are_in_the_matrix(package, pattern):
    oldest = re.search(rf'"{package}>=([\d.]+)"', PYPROJECT)
    assert oldest is not None
    assert set(re.findall(pattern, MATRIX)) == {oldest[1]}


@pytest.mark.parametrize(
    "path", [".github/workflows/ci.yml", ".ci/run", "RELEASING.md", ".github/PULL_REQUEST_TEMPLATE.md"]
)
def test_make_targets_that_are_named_exist(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    named = {
        word for line in re.findall(r"(?:^|[`: ])make ([a-z ]+)", text, flags=re.MULTILINE) for word in line.split()
    }
    defined = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named
    assert {word for word in named if word not in defined} <= {"one"}


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_templates_are_yaml(path):
    yaml = pytest.importorskip("yaml")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml":
        assert data["name"]
        assert data["description"]
        assert all({"type", "id", "attributes"} <= set(part) for part in data["body"])

"""The package as a whole: its version, what it ships, what it imports, what it says in public."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import inverso

API = Path(__file__).parents[1] / "docs" / "api"
PUBLIC_MODULES = sorted(
    {"inverso", *re.findall(r"automodule:: (\S+)", "\n".join(page.read_text() for page in API.glob("*.md")))}
)
# Front ends and what names nothing for users in an `__all__`.
COMMANDS = ("inverso.cli", "inverso.web", "inverso.__main__")
# PIL takes defusedxml along where it is there.
ROOMS = ("compression", "jobs", "training")
LIGHT = {"PIL", "defusedxml", "einops", "inverso", "numpy", "safetensors", "torch", "tqdm"}


def test_version_is_that_of_the_metadata() -> None:
    assert inverso.__version__ == importlib.metadata.version("inverso-imaging")


def test_type_information_is_shipped() -> None:
    assert importlib.resources.files("inverso").joinpath("py.typed").is_file()


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """What is loaded in a process of its own: by `import inverso`, by the first names, and by each room."""
    script = f"""
import json, sys
before, found = set(sys.modules), {{}}
def note(name):
    found[name] = sorted(set(sys.modules) - before)
import inverso
note("inverso")
import torch
before = set(sys.modules) - set(found["inverso"])
inverso.solve, inverso.priors
note("names")
for room in {ROOMS}:
    assert getattr(inverso, room).__name__ == "inverso." + room
    note(room)
print(json.dumps(found))
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name: set(modules) for name, modules in json.loads(answer.stdout).items()}


def test_importing_inverso_loads_little_beside_torch(loaded: dict[str, set[str]]) -> None:
    names = {name.partition(".")[0] for name in loaded["names"]}
    third_party = {name for name in names if not name.startswith("_")} - sys.stdlib_module_names
    assert "numpy" not in loaded["inverso"]
    assert third_party <= LIGHT


def test_torch_comes_with_the_first_name_that_needs_it(loaded: dict[str, set[str]]) -> None:
    assert "torch" not in loaded["inverso"]
    assert "inverso.solver" in loaded["names"] - loaded["inverso"]


def public_names(module: ModuleType) -> list[str]:
    """What `__all__` lists, or else what the module defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    names = public_names(module)
    assert len(names) == len(set(names))
    assert [public for public in names if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_names_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    things = {public: getattr(module, public) for public in public_names(module)}
    documentable = {
        name: thing for name, thing in things.items() if inspect.isclass(thing) or inspect.isfunction(thing)
    }
    assert [name for name, thing in documentable.items() if not thing.__doc__] == []


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split(".")) and not name.startswith(COMMANDS)


def test_what_is_public_is_exported_and_on_a_page() -> None:
    found = [module for module in pkgutil.walk_packages(inverso.__path__, "inverso.") if is_public(module.name)]
    modules = [module.name for module in found]
    loaded = {name: importlib.import_module(name) for name in ["inverso", *modules]}
    exporting = {name for name, module in loaded.items() if hasattr(module, "__all__")}
    assert exporting - set(PUBLIC_MODULES) == set()
    exported = {id(getattr(loaded[name], public)) for name in exporting for public in loaded[name].__all__}
    without = [
        name
        for name in {module.name for module in found if not module.ispkg} - set(PUBLIC_MODULES)
        if not any(id(thing) in exported for thing in vars(loaded[name]).values())
    ]
    assert without == [], "a module that exports nothing begins with an underscore"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_come_when_they_are_asked_for(loaded: dict[str, set[str]], room: str) -> None:
    assert f"inverso.{room}" not in loaded["inverso"]
    assert f"inverso.{room}" in loaded[room]


@pytest.mark.parametrize("package", ["ray", "gradio", "onnx", "lightning_fabric", "kornia"])
def test_no_room_loads_what_only_some_of_it_needs(loaded: dict[str, set[str]], package: str) -> None:
    assert package not in loaded[ROOMS[-1]]


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="module 'inverso' has no attribute 'trainings'"):
        _ = inverso.trainings
    assert "training" in dir(inverso)

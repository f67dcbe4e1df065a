"""Experiments in Python files: a user's, or this project's own in a clone of its repository."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import inverso
from inverso.experiments.table import Experiment, Study

_Known: TypeAlias = Experiment | Study
"""What `inverso bench` can run: a table of cases and methods, or a study that runs itself."""

_INDEX = "index.py"


def find(text: str) -> _Known:
    r"""Find an experiment.

    Args:
        text: `FILE.py:NAME`, or `FILE.py` if it has only one; a NAME alone is one of this project's own, in the folder
            `benchmarks` of a clone.

    Returns:
        The experiment.

    Raises:
        FileNotFoundError: The file does not exist, or there is no clone.
        ValueError: The experiment does not exist, or there are several and no name is given.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "mine.py")
        ...     _ = file.write_text(
        ...         "from inverso.experiments import Case, Experiment\n"
        ...         "from inverso.operators import Bicubic\n"
        ...         "MINE = Experiment('mine', 'Enlarging', '', '', (Case('x2', Bicubic(2)),), {'pinv': 'pinv'})\n"
        ...     )
        ...     find(f"{file}:mine").title
        'Enlarging'
    """
    file, colon, name = text.rpartition(":")
    if not colon:
        file, name = (text, "") if text.endswith(".py") else ("", text)
    found = read_experiments(file) if file else own_experiments(name)
    if not name and len(found) == 1:
        return next(iter(found.values()))
    if name.lower() in found:
        return found[name.lower()]
    if not name:
        msg = f"{file} holds {len(found)} experiments: choose one, {file}:NAME, of {', '.join(found)}"
        raise ValueError(msg)
    close = difflib.get_close_matches(name.lower(), found, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    msg = f"there is no experiment {name!r}{f' in {file}' if file else ''}{meant}; known: {', '.join(found)}"
    raise ValueError(msg)


def own_experiments(name: str = "") -> dict[str, _Known]:
    """Read this project's own experiments, if it runs from a clone.

    Args:
        name: The requested name, for the message.

    Raises:
        FileNotFoundError: It does not run from a clone.
    """
    index = Path(inverso.__file__).parents[2] / "benchmarks" / _INDEX
    if not index.is_file():
        asked = f"there is no file {name!r}, and " if name else ""
        msg = f"{asked}inverso's own experiments come with a clone of its repository: give FILE.py or FILE.py:NAME"
        raise FileNotFoundError(msg)
    return read_experiments(index)


def read_experiments(path: str | Path) -> dict[str, _Known]:
    """Run a Python file, and return the experiments at its top level: lower-case name -> experiment.

    The file may import modules beside it, as a script does. Its code is executed: read only files that you trust.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has no experiment, or two of one name.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"there is no file {path}"
        raise FileNotFoundError(msg)
    module = run_file(f"inverso_bench_{path.stem}", path)
    found: dict[str, _Known] = {}
    for attribute in getattr(module, "__all__", vars(module)):
        value = getattr(module, attribute)
        if not isinstance(value, Experiment | Study) or isinstance(value, type):
            continue
        if found.setdefault(value.name.lower(), value) is not value:
            msg = f"{path} holds two experiments of the name {value.name!r}"
            raise ValueError(msg)
    if not found:
        msg = f"{path} holds no experiment: put an inverso.experiments.Experiment at its top level"
        raise ValueError(msg)
    return found


def run_file(name: str, path: Path) -> ModuleType:
    """Run a Python file as the module of a name.

    Raises:
        ValueError: It is not a Python file.
        ModuleNotFoundError: It imports a module that is not installed, nor beside it.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"{path} is not a Python file"
        raise ValueError(msg)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look the module of their class up.
    sys.modules[name] = module
    try:
        with _neighbors(path.resolve().parent):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        where = f"{error.filename or path}, line {error.lineno}"
        msg = f"{path} is not a Python file that can be run: {error.msg} ({where})"
        raise ValueError(msg) from error
    except ModuleNotFoundError as error:
        msg = f"{path}: {error}"
        raise ModuleNotFoundError(msg, name=error.name) from error
    return module


@contextmanager
def _neighbors(folder: Path) -> Iterator[None]:
    """Allow a file to import modules beside it while it is read."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))

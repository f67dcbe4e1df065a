"""Experiments in other processes: what is sent to them, and how they import the experiment's file."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inverso.experiments._bench import Bench, Measured
from inverso.experiments._results import Row
from inverso.experiments.files import run_file
from inverso.experiments.settings import Options
from inverso.experiments.table import Experiment


@dataclass(frozen=True)
class ImportedFiles:
    """Files outside the package that define an experiment; unpickling it in another process imports them there.

    Args:
        files: Module -> file.
    """

    files: Mapping[str, Path]

    def __reduce__(self) -> tuple[Callable[[dict[str, Path]], ImportedFiles], tuple[dict[str, Path]]]:
        return _imported, (dict(self.files),)


def _imported(files: dict[str, Path]) -> ImportedFiles:
    for name, path in files.items():
        if name not in sys.modules:
            run_file(name, path)
    return ImportedFiles(files)


@dataclass(frozen=True)
class Measuring:
    """The work of a `Bench`, to be sent to other processes: names and settings.

    Args:
        files: Files that have to be imported before the experiment can be unpickled, and therefore come first.
        experiment: The experiment.
        data: Folder of photos.
        out: Folder of the results.
        options: Options of the run.
    """

    files: ImportedFiles
    experiment: Experiment
    data: Path
    out: Path
    options: Options

    def open(self, device: str) -> Callable[[Sequence[Measured]], list[list[Row]]]:
        """Load photos and networks."""
        with warnings.catch_warnings():
            # The driver has told what is left out.
            warnings.simplefilter("ignore", UserWarning)
            bench = Bench.load(self.experiment, self.data, self.out, replace(self.options, device=device))
        return bench.measure

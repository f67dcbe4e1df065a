"""Files that run code when read carelessly. Each drops a file called `ran` in the working directory if it gets to."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch

MARK = "ran"


class ViaSystem:
    def __reduce__(self):
        return os.system, (f"echo 1 > {MARK}",)


class ViaEval:
    def __reduce__(self):
        return eval, (f"open({MARK!r}, 'w').close()",)


class ViaNestedReduce:
    """Hides the call inside the arguments of an allowed one."""

    def __reduce__(self):
        return OrderedDict, ([("main.0.weight", ViaEval())],)


class ViaSetState:
    """Builds an allowed object from a state that is computed by a call."""

    def __reduce__(self):
        return OrderedDict, (), {"state": ViaEval()}


PAYLOADS = {
    "os.system": ViaSystem(),
    "eval": ViaEval(),
    "nested": ViaNestedReduce(),
    "state": ViaSetState(),
    "in an entry": {"main.0.weight": torch.zeros(2, 2, 4, 4), "extra": ViaEval()},
    "in a zoo config": {"config": ViaSystem(), "netG": {}},
}


def _save_zip(payload: object, path: Path) -> None:
    torch.save(payload, path)


def _save_legacy(payload: object, path: Path) -> None:
    torch.save(payload, path, _use_new_zipfile_serialization=False)


def _save_pickle(payload: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(payload))


def _save_old_pickle(payload: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(payload, protocol=2))


def _save_text_pickle(payload: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(payload, protocol=0))


FORMATS: dict[str, Callable[[object, Path], None]] = {
    "zip": _save_zip,
    "legacy": _save_legacy,
    "pickle": _save_pickle,
    "old pickle": _save_old_pickle,
    "text pickle": _save_text_pickle,
}

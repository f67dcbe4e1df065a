"""What results depend on besides the experiment: machine, versions, weights."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import inverso

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-image",
    "kornia",
    "lpips",
    "deepinv",
    "matplotlib",
)


def describe_run(command: str, device: str) -> dict[str, Any]:
    """Describe this run: time, command, device."""
    packages = {name: known for name in PACKAGES if (known := _version(name)) is not None}
    accelerator = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "command": command,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": device,
        "accelerator": accelerator,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "inverso": inverso.__version__,
        "source": source_digest(),
        **packages,
    }


def source_digest() -> str:
    """Hash the code of the package, which may differ between copies of one version."""
    folder = Path(inverso.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def own_code(parts: Iterable[object]) -> dict[str, dict[str, str]]:
    """Hash the files outside the package that define parts of an experiment: file name -> hash."""
    files = sorted(own_files(parts).values())
    return {"own code": {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:8] for file in files}}


def own_files(parts: Iterable[object]) -> dict[str, Path]:
    """List the files outside the package that define parts of an experiment: module -> file."""
    modules = {getattr(part if callable(part) else type(part), "__module__", "") or "" for part in parts}
    paths = {name: getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules)}
    return {
        name: Path(path) for name, path in paths.items() if path is not None and name.partition(".")[0] != "inverso"
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the name of the processor."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())

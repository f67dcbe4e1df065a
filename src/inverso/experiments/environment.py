"""What numbers depend on beside the experiment: machine, versions, weights."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from datetime import datetime, timezone
from typing import Any

import torch
from torch import nn


def describe_run(command: str, device: str) -> dict[str, Any]:
    """Describe this run: when, by which command, on what."""
    from importlib.metadata import version  # noqa: PLC0415

    packages = ("inverso", "torch", "numpy", "scipy", "scikit-image")
    accelerator = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "command": command,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": device,
        "accelerator": accelerator,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": ".".join(map(str, sys.version_info[:3])),
        **{package: version(package) for package in packages},
    }


def fingerprint(network: nn.Module) -> str:
    """Hash the weights of a network."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]

"""A hash that identifies the weights of a network."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint(network: nn.Module) -> str:
    """Hash the weights of a network.

    Example:
        >>> fingerprint(nn.Identity()) == fingerprint(nn.Identity()) != fingerprint(nn.Linear(1, 1))
        True
    """
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]

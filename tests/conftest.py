"""Every test starts from the same random state and stays off the network."""

from __future__ import annotations

import os
import socket

import pytest
import torch
from hypothesis import settings

from chromium import browser, page  # noqa: F401 - fixtures

os.environ.setdefault("MPLBACKEND", "Agg")

# A busy machine is no reason for a test to fail.
settings.register_profile("inverso", deadline=None)
settings.load_profile("inverso")


_connect = socket.socket.connect


def _connect_nearby(self: socket.socket, address: tuple[str, int] | str) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "localhost", "::1"):
        pytest.fail(f"a test reached for the network: {address!r}")
    _connect(self, address)


@pytest.fixture(autouse=True)
def _off_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(socket.socket, "connect", _connect_nearby)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "torch-home"))


@pytest.fixture(autouse=True)
def _same_random_state() -> None:
    # That of the CPU alone: `torch.manual_seed` also notes for each kind of accelerator where it was called from.
    torch.default_generator.manual_seed(0)

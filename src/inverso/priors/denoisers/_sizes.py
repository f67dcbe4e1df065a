"""Bounds on the sizes that a file may give for a network."""

from __future__ import annotations

from inverso._checks import check_count


def check_size(value: object, *, name: str, greatest: int, least: int = 1) -> None:
    """Raise unless a size is an integer of known networks: from `least` to `greatest`."""
    if check_count(value, name=name, minimum=least) > greatest:
        msg = f"{name} is {value}, more than the {greatest} of any network known"
        raise ValueError(msg)

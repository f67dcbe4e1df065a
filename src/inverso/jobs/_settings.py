"""The settings on which results depend, stored beside them and compared before a later run continues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inverso._files import replacing

SHORT = 80


def check_same(path: Path, settings: Mapping[str, Any], *, folder: Path) -> None:
    """Raise if existing results were made with other settings.

    Args:
        path: JSON file of their settings; it does not exist if there are no results yet.
        settings: The current settings.
        folder: Folder of the results.

    Raises:
        ValueError: The settings differ; the message says in which.
    """
    if not path.exists():
        return
    there, now = read_json(path), json.loads(json.dumps(settings))
    differing = {name: difference(there.get(name), now.get(name)) for name in {**there, **now}}
    said = [f"{name} ({how})" for name, how in differing.items() if there.get(name) != now.get(name)]
    if said:
        msg = (
            f"the results in {folder} were made with other settings: {', '.join(said)}. Write to another folder, or "
            f"repeat the settings of {path.name} to go on"
        )
        raise ValueError(msg)


def difference(there: object, now: object) -> str:
    """Describe how a setting differs from its earlier value."""
    if isinstance(there, dict) and isinstance(now, dict):
        if len(there) != len(now):
            return f"{len(there)} there, {len(now)} now"
        entry = next((name for name in there if there[name] != now.get(name)), None)
        return "in another order" if entry is None else f"{entry}: {difference(there[entry], now.get(entry))}"
    return f"{_short(there)} there, {_short(now)} now"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: The file is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} must hold a JSON object, and holds a {type(content).__name__}"
        raise ValueError(msg)
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, atomically."""
    with replacing(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        # Bytes in a name that are no UTF-8 become escapes of JSON.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

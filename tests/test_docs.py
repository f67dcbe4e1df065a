"""What pages and cards tell to type: its commands and options exist, and so does what is imported."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from inverso.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    # docs/examples is a copy that building the site makes.
    *(path for path in (ROOT / "docs").rglob("*.md") if "examples" not in path.parts),
    *(ROOT / "src").rglob("*.md"),
]
COMMAND = re.compile(r"(?:^|`)inverso ([a-z]+ [^`\n]*)", flags=re.MULTILINE)
PYTHON = re.compile(r"^```(?:python|\{code-cell\} python)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"--?[a-zA-Z]")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Give the page and the words of every command that is written out."""
    for page in PAGES:
        for text in COMMAND.findall(page.read_text(encoding="utf-8")):
            # Prose about inverso begins lines, too; a command has an option.
            if " -" in text:
                yield page.name, shlex.split(text, comments=True)


def imports() -> Iterator[tuple[str, ast.ImportFrom]]:
    """Give the page and every `from inverso... import ...` of its Python."""
    for page in PAGES:
        for block in PYTHON.findall(page.read_text(encoding="utf-8")):
            code = re.sub(r"^[%:].*$", "", block, flags=re.MULTILINE)
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("inverso"):
                    yield page.name, node


def test_commands_and_their_options_exist() -> None:
    root: Any = typer.main.get_command(app)
    seen, unknown = 0, []
    for page, words in commands():
        command, rest = root, list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        asked = [word.partition("=")[0] for word in rest if OPTION.match(word)]
        unknown += [(page, words, name) for name in asked if command is root or name not in {*names, "--help"}]
        seen += 1
    assert seen > 100
    assert unknown == []


def test_what_is_imported_exists() -> None:
    missing = []
    for page, node in imports():
        try:
            module = importlib.import_module(str(node.module))
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("inverso"):
                pytest.skip(f"{error.name} is not installed")
            missing.append((page, node.module))
            continue
        missing += [(page, node.module, name.name) for name in node.names if not hasattr(module, name.name)]
    assert missing == []

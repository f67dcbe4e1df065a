"""`inverso priors`: what priors there are, and what is known about each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.options import AsJSON, examples

EPILOG = examples("inverso priors", "inverso priors faces-64", "inverso priors --json")


def priors(
    name: Annotated[str | None, typer.Argument(help="Show the card of this prior.", metavar="[NAME]")] = None,
    *,
    as_json: AsJSON = False,
) -> None:
    """List the priors that can be loaded by name, or show the card of one."""
    from inverso.priors import available, card  # noqa: PLC0415

    cards = [asdict(known) for known in available()] if name is None else [asdict(card(name))]
    if as_json:
        typer.echo(json.dumps({"priors": cards} if name is None else cards[0], indent=2))
    elif name is None:
        _print_list(cards)
    else:
        _print_card(cards[0])


def _print_list(cards: list[dict[str, Any]]) -> None:
    table = Table("name", "family", "image", "weights", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for fields in cards:
        where = "come with inverso" if fields["url"] is None else "downloaded once"
        table.add_row(fields["name"], fields["family"], _sizes(fields["image_shape"]), where)
    Console().print(table)


def _print_card(fields: Mapping[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in fields.items():
        if value not in (None, ""):
            table.add_row(key.replace("_", " "), _sizes(value) if key == "image_shape" else str(value))
    Console().print(table, markup=False)


def _sizes(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))

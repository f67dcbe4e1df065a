"""`inverso models`: list the networks that can be loaded by name, and show their cards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.options import AsJSON, examples

_KINDS = ("prior", "denoiser", "encoder", "restorer", "detector")
EPILOG = examples(
    "inverso models", "inverso models restorer", "inverso models faces-64", "inverso models prior faces-64 --json"
)


def models(
    kind: Annotated[
        str | None, typer.Argument(help=f"Only these: {', '.join(_KINDS)}; or a name.", metavar="[KIND]")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Show the card of this one.", metavar="[NAME]")] = None,
    *,
    as_json: AsJSON = False,
) -> None:
    """List the networks that can be loaded by name, or show the card of one."""
    if kind is not None and name is None and kind not in _KINDS:
        kind, name = None, kind
    cards = [asdict(card) for card in _chosen(kind, name)]
    if as_json:
        typer.echo(json.dumps({"models": cards}, indent=2))
    elif name is None:
        _print_list(cards)
    else:
        for card in cards:
            _print_card(card)


def _chosen(kind: str | None, name: str | None) -> list[Any]:
    from inverso._checks import check_choice  # noqa: PLC0415
    from inverso._networks.zoo import known_names  # noqa: PLC0415
    from inverso.priors._zoo import ZOO as PRIORS  # noqa: PLC0415
    from inverso.priors.encoder._zoo import ZOO as ENCODERS  # noqa: PLC0415
    from inverso.restorers._detectors import DETECTORS  # noqa: PLC0415
    from inverso.restorers._zoo import ZOO as RESTORERS  # noqa: PLC0415

    if kind is not None:
        check_choice(kind, _KINDS, name="KIND")
    known = [
        card for zoo in (PRIORS, ENCODERS, RESTORERS, DETECTORS) for card in zoo.cards if kind in {None, card.kind}
    ]
    found = [card for card in known if name in {None, card.name}]
    if name is not None and not found:
        what = "network" if kind is None else kind
        msg = f"no {what} is called {name!r}; {known_names(name, known, kind=what)}"
        raise ValueError(msg)
    return found


def _print_list(cards: list[dict[str, Any]]) -> None:
    table = Table("kind", "name", "family", "image", "weights", box=None, pad_edge=False)
    table.columns[1].no_wrap = True
    for fields in cards:
        where = "come with inverso" if fields["url"] is None else "downloaded once"
        table.add_row(fields["kind"], fields["name"], fields["family"], _sizes(fields["image_shape"]), where)
    Console().print(table)


def _print_card(fields: Mapping[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in fields.items():
        if value not in (None, "") or key == "image_shape":
            table.add_row(key.replace("_", " "), _sizes(value) if key == "image_shape" else str(value))
    Console().print(table, markup=False)


def _sizes(shape: tuple[int, ...] | None) -> str:
    return "any size" if shape is None else " × ".join(map(str, shape))

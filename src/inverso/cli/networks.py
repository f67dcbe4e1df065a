"""Load networks of any kind by name or file, for commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from inverso._networks.cards import Card

KINDS = ("restorer", "prior")


def load_network(name: str, kind: str | None) -> nn.Module:
    """Load a restorer, a denoiser or a generator.

    Args:
        name: A name that `inverso models` lists, or a file. A restorer has priority over a prior of the same name.
        kind: "restorer" or "prior", for a name that both have.

    Raises:
        ValueError: The kind or the name is unknown, or the file contains neither.
    """
    from inverso._checks import check_choice  # noqa: PLC0415
    from inverso._networks.hub import PREFIX  # noqa: PLC0415
    from inverso._networks.zoo import known_names  # noqa: PLC0415
    from inverso.priors._zoo import ZOO as PRIORS  # noqa: PLC0415
    from inverso.restorers._zoo import ZOO as RESTORERS  # noqa: PLC0415

    if kind is not None:
        check_choice(kind, KINDS, name="--kind")
    if kind == "restorer":
        return RESTORERS.load(name)
    if kind == "prior":
        return PRIORS.load(name)
    cards = (*RESTORERS.cards, *PRIORS.cards)
    known = name in {card.name for card in cards} or name.startswith(PREFIX) or Path(name).expanduser().exists()
    if not known:
        msg = f"no network and no file is called {name!r}; {known_names(name, cards, kind='network')}"
        raise ValueError(msg)
    if name in {card.name for card in RESTORERS.cards}:
        return RESTORERS.load(name)
    if name in {card.name for card in PRIORS.cards}:
        return PRIORS.load(name)
    try:
        return RESTORERS.load(name)
    except ValueError as no_restorer:
        try:
            return PRIORS.load(name)
        except ValueError as no_prior:
            msg = f"{name} holds no restorer ({no_restorer}) and no prior ({no_prior})"
            raise ValueError(msg) from no_prior


def find_card(name: str, network: nn.Module) -> Card | None:
    """Return the card of a network that was loaded by name, or None for one from a file."""
    from inverso.priors._zoo import ZOO as PRIORS  # noqa: PLC0415
    from inverso.restorers import Restorer  # noqa: PLC0415
    from inverso.restorers._zoo import ZOO as RESTORERS  # noqa: PLC0415

    cards = RESTORERS.cards if isinstance(network, Restorer) else PRIORS.cards
    return next((card for card in cards if card.name == name), None)

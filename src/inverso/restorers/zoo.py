"""Restorers by name: the embedded ones, and files of your own."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from inverso.networks.files import embedded
from inverso.restorers.base import Restorer
from inverso.restorers.files import read_restorer


@dataclass(frozen=True)
class Card:
    """What is known about a restorer that can be loaded by name.

    Args:
        name: What `load` takes.
        family: Its class.
        parameters: How many numbers it has learned.
        size: Side of the images it was trained on; it takes others.
        license: Terms of the weights.
        data: What it was trained on.
        corruptions: What it was trained to undo.
        recipe: How.
        seed: The seed of its training.
        quality: How good it is.
        bias: What it does badly, and for whom.
    """

    name: str
    family: str
    parameters: int
    size: int
    license: str
    data: str
    corruptions: str
    recipe: str
    seed: int
    quality: str
    bias: str


_BIAS = (
    "Small aligned portraits only. Where nothing of a face is known it draws an average one, and it takes off glasses "
    "and other rare things."
)
_FACES = "12,284 real aligned face photos, many of people in the news, shrunk to 64 x 64 px."
_CARDS = (
    Card(
        name="faces-64",
        family="UNetRestorer",
        parameters=4_112_880,
        size=64,
        license="BSD-3-Clause, as inverso",
        data=_FACES,
        corruptions="White and RGB noise, white and cluttered boxes and blocks, points at random and on edges.",
        recipe="`inverso train restorer`, 5,200 steps of 16 photos; see the card faces-64.md beside the weights.",
        seed=0,
        quality=(
            "On 100 held-out photos: white noise 32.0 dB, RGB noise 26.0 dB (both keep 40 %), white box 33.6 dB, white "
            "block 27.7 dB, cluttered block 26.5 dB."
        ),
        bias=_BIAS,
    ),
    Card(
        name="faces-64-paper",
        family="MobileRestorer",
        parameters=4_366_595,
        size=64,
        license="BSD-3-Clause, as inverso",
        data=_FACES,
        corruptions="White noise, RGB noise, white boxes.",
        recipe=(
            "The network of Deng, Looi & Tsun with a pixel loss alone, 3,200 steps of 16 photos; see the card "
            "faces-64-paper.md beside the weights."
        ),
        seed=0,
        quality=(
            "On 100 held-out photos: white noise 25.1 dB, RGB noise 22.5 dB (both keep 40 %), white box 25.2 dB, white "
            "block 25.5 dB."
        ),
        bias=_BIAS,
    ),
    Card(
        name="faces-64-repair",
        family="RepairRestorer",
        parameters=1_202_940,
        size=64,
        license="BSD-3-Clause, as inverso",
        data=_FACES,
        corruptions="Old photos, as `inverso.degradations.OldPhoto` makes them: scratches, stains, dust, fading, "
        "over-exposure, gray and sepia, paper.",
        recipe=(
            "`inverso train restorer --corruption old-photo`, 2,900 steps of 16 photos; see its card "
            "beside the weights."
        ),
        seed=0,
        quality="On 100 held-out photos at the default damage: 22.4 dB and SSIM 0.87, from 16.8 dB and 0.68.",
        bias=f"{_BIAS} The colors of a gray print are guesses.",
    ),
)


def available() -> tuple[Card, ...]:
    """List the restorers that can be loaded by name.

    Returns:
        Their cards.

    Example:
        >>> from inverso.restorers import available
        >>> [card.name for card in available()]
        ['faces-64', 'faces-64-paper', 'faces-64-repair']
    """
    return _CARDS


def card(name: str) -> Card:
    """Look a restorer's card up.

    Args:
        name: Its name, one of those that `available` lists.

    Returns:
        The card.

    Raises:
        ValueError: There is no such name; the message lists those there are.

    Example:
        >>> from inverso.restorers import card
        >>> card("faces-64-paper").parameters
        4366595
    """
    for known in _CARDS:
        if known.name == name:
            return known
    msg = f"no restorer is called {name!r}; {_known_names(name)}"
    raise ValueError(msg)


def load(name_or_path: str | Path) -> Restorer:
    """Load a restorer by its name, or from a file.

    Embedded restorers work offline. Nothing in a file is ever executed.

    Args:
        name_or_path: A name that `available` lists, or the path of a file that `save_restorer` or
            `inverso.compression.save_quantized` wrote. A name wins over a file called the same; write `./name` for
            the file.

    Returns:
        The restorer on the CPU, in float32 and in evaluation mode.

    Raises:
        TypeError: Neither text nor a path is given.
        ValueError: No restorer and no file has this name, or the file holds none.
        InversoError: The weights are missing from the installation.
    """
    if not isinstance(name_or_path, str | Path):
        msg = f"load takes the name of a restorer or the path of a file, got {type(name_or_path).__name__}"
        raise TypeError(msg)
    found = next((known for known in _CARDS if known.name == name_or_path), None)
    if found is not None:
        return _load_card(found)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return read_restorer(path)
    msg = f"there is no restorer and no file called {str(name_or_path)!r}; {_known_names(str(name_or_path))}"
    raise ValueError(msg)


def _load_card(known: Card) -> Restorer:
    with embedded("inverso.restorers", known.name) as path:
        return read_restorer(path)


def _known_names(given: str) -> str:
    names = [known.name for known in _CARDS]
    close = difflib.get_close_matches(given, names, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known restorers: {', '.join(names)}"

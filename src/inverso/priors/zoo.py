"""Priors by name: the embedded one, official checkpoints, and files of your own."""

from __future__ import annotations

import difflib
from pathlib import Path

from inverso.errors import InversoError
from inverso.networks.download import fetch
from inverso.networks.files import embedded
from inverso.priors.base import LatentPrior
from inverso.priors.cards import CARDS, Card
from inverso.priors.formats.readers import read_prior


def available() -> tuple[Card, ...]:
    """List the priors that can be loaded by name.

    Returns:
        Their cards, embedded ones first.

    Example:
        >>> from inverso.priors import available
        >>> [card.name for card in available()][:2]
        ['faces-64', 'faces-64-style']
    """
    return CARDS


def card(name: str) -> Card:
    """Look a prior's card up.

    Args:
        name: Its name, one of those that `available` lists.

    Returns:
        The card.

    Raises:
        ValueError: There is no such name; the message lists those there are.

    Example:
        >>> from inverso.priors import card
        >>> card("faces-64").image_shape
        (3, 64, 64)
    """
    for known in CARDS:
        if known.name == name:
            return known
    msg = f"no prior is called {name!r}; {_known_names(name)}"
    raise ValueError(msg)


def load(name_or_path: str | Path, *, progress: bool = True) -> LatentPrior:
    """Load a prior by its name, or from a checkpoint file.

    Embedded priors work offline. Other names are downloaded once, to torch.hub's cache, and checked by hash. A file is
    read by the layout found in it: what `save_prior` writes, both public layouts of PGGAN and of StyleGAN2, DCGAN of
    pytorch/examples and of pytorch_GAN_zoo, the VAE. Nothing in a file is ever executed.

    Args:
        name_or_path: A name that `available` lists, or the path of a file. A name wins over a file called the same;
            write `./name` for the file.
        progress: Whether to show a bar while downloading.

    Returns:
        The prior on the CPU, in float32 and in evaluation mode.

    Raises:
        TypeError: Neither text nor a path is given.
        ValueError: No prior and no file has this name, or the file is no checkpoint of a known layout.
        InversoError: The download fails or is not what the card announces.
    """
    if not isinstance(name_or_path, str | Path):
        msg = f"load takes the name of a prior or the path of a file, got {type(name_or_path).__name__}"
        raise TypeError(msg)
    found = next((known for known in CARDS if known.name == name_or_path), None)
    if found is not None:
        return _load_card(found, progress=progress)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return read_prior(path)
    msg = f"there is no prior and no file called {str(name_or_path)!r}; {_known_names(str(name_or_path))}"
    raise ValueError(msg)


def _load_card(known: Card, *, progress: bool) -> LatentPrior:
    if known.url is None:
        with embedded("inverso.priors", known.name) as path:
            prior = read_prior(path)
    else:
        prior = read_prior(fetch(known.url, digest=known.hash, progress=progress))
    found = (type(prior).__name__, prior.image_shape, prior.latent_shape)
    expected = (known.family, known.image_shape, (known.latent_dim,))
    if found != expected:
        msg = f"the file of {known.name!r} holds {found} where its card announces {expected}"
        raise InversoError(msg)
    return prior


def _known_names(given: str) -> str:
    names = [known.name for known in CARDS]
    close = difflib.get_close_matches(given, names, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known priors: {', '.join(names)}"

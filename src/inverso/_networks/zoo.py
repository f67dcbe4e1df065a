"""Networks by name: those that come with inverso, published ones, and files of your own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from torch import nn

from inverso._networks.cards import Card
from inverso._networks.download import fetch
from inverso._networks.files import embedded
from inverso._networks.hub import PREFIX, fetch_from_hub
from inverso.errors import InversoError

N = TypeVar("N", bound=nn.Module)
P = TypeVar("P", bound=nn.Module)


class Zoo(Generic[N]):
    """The networks of one kind, by name.

    Args:
        kind: What they are called in messages: `"prior"`.
        package: The package of inverso whose folder `weights` holds those that come with it.
        cards: What is known about each.
        read: Reads a network from a file.
    """

    def __init__(self, kind: str, package: str, cards: tuple[Card, ...], read: Callable[[Path], N]) -> None:
        self.kind, self.package, self.cards, self.read = kind, package, cards, read

    def available(self) -> tuple[Card, ...]:
        """List the cards of the networks that can be loaded by name, those that come with inverso first."""
        return self.cards

    def card(self, name: str) -> Card:
        """Look the card of a network up.

        Raises:
            ValueError: There is no such name; the message lists those there are.
        """
        for known in self.cards:
            if known.name == name:
                return known
        msg = f"no {self.kind} is called {name!r}; {self._known_names(name)}"
        raise ValueError(msg)

    @overload
    def load(self, name_or_path: str | Path, *, progress: bool = True) -> N: ...

    @overload
    def load(self, name_or_path: str | Path, *, kind: type[P], progress: bool = True) -> P: ...

    def load(self, name_or_path: str | Path, *, kind: type[Any] | None = None, progress: bool = True) -> nn.Module:
        """Load a network by its name, from a file, or from the Hugging Face hub.

        Networks that come with inverso work offline. Others are downloaded once, to torch.hub's cache, and checked by
        hash; those of the hub go to the hub's own cache. Nothing in a file is ever executed.

        Args:
            name_or_path: A name that `available` lists, the path of a file, or the address of a repository on the hub:
                `hf:owner/name`, `hf:owner/name@revision` to get the same bits for ever, and one of them with `/file`
                where it has several files of weights. A name wins over a file called the same; write `./name` for the
                file.
            kind: The class that has to come out; by default any of this zoo.
            progress: Whether to show a bar while downloading.

        Returns:
            The network on the CPU, in float32 and in evaluation mode.

        Raises:
            TypeError: Neither text nor a path is given.
            ValueError: No network, file or repository has this name, the file is no checkpoint of a known layout, or it
                holds another class of networks.
            MissingPackageError: The address is one of the hub, and the package huggingface_hub is not installed.
            InversoError: The weights are missing from the installation, the download fails, or the file holds another
                network than the card announces.
        """
        if not isinstance(name_or_path, str | Path):
            article = "an" if self.kind[0] in "aeiou" else "a"
            given = type(name_or_path).__name__
            msg = f"load takes the name of {article} {self.kind} or the path of a file, got {given}"
            raise TypeError(msg)
        network = self._load(name_or_path, progress=progress)
        if kind is not None and not isinstance(network, kind):
            msg = f"{name_or_path} holds a {type(network).__name__}, where a {kind.__name__} was asked for"
            raise ValueError(msg)
        return network

    def _load(self, name_or_path: str | Path, *, progress: bool) -> N:
        found = next((known for known in self.cards if known.name == name_or_path), None)
        if found is not None:
            return self.load_card(found, progress=progress)
        given = str(name_or_path)
        path = fetch_from_hub(given, progress=progress) if given.startswith(PREFIX) else Path(given).expanduser()
        if path.exists():
            return self.read(path)
        msg = f"there is no {self.kind} and no file called {given!r}; {self._known_names(given)}"
        raise ValueError(msg)

    def load_card(self, card: Card, *, progress: bool = True) -> N:
        """Load the network that a card is about.

        Raises:
            InversoError: It cannot be had, or is another one than the card announces.
        """
        if card.url is None:
            with embedded(self.package, card.name) as path:
                network = self.read(path)
        else:
            network = self.read(fetch(card.url, digest=card.hash, name=card.file, progress=progress))
        latent = None if card.latent_dim is None else (card.latent_dim,)
        expected = (card.family, card.image_shape, latent)
        found = (
            type(network).__name__,
            getattr(network, "image_shape", card.image_shape),
            getattr(network, "latent_shape", latent),
        )
        if found != expected:
            msg = f"the file of {card.name!r} holds {found} where its card announces {expected}"
            raise InversoError(msg)
        return network

    def _known_names(self, given: str) -> str:
        return known_names(given, self.cards, kind=self.kind)


def known_names(given: str, cards: Sequence[Card], *, kind: str) -> str:
    """Write the end of a message about a name that does not exist: what may be meant, and what there is."""
    names = list(dict.fromkeys(known.name for known in cards))
    close = difflib.get_close_matches(given, names, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known {kind}s: {', '.join(names)}"

"""Networks by name: those that come with inverso, published ones, and your own files."""

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
        kind: Word for them in messages, such as `"prior"`.
        package: Package of inverso whose folder `weights` has those that come with it.
        cards: The cards of the networks.
        read: Function that reads a network from a file.
    """

    def __init__(self, kind: str, package: str, cards: tuple[Card, ...], read: Callable[[Path], N]) -> None:
        self.kind, self.package, self.cards, self.read = kind, package, cards, read

    def available(self) -> tuple[Card, ...]:
        """List the cards of the networks that can be loaded by name, those that come with inverso first."""
        return self.cards

    def card(self, name: str) -> Card:
        """Return the card of a network.

        Raises:
            ValueError: The name is unknown; the message lists the known ones.
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

        Networks that come with inverso work offline. Others are downloaded once, to torch.hub's cache, and verified by
        their hash; those of the hub go to the hub's own cache. Nothing in a file is ever executed.

        Args:
            name_or_path: A name that `available` lists, the path of a file, or the address of a repository on the hub:
                `hf:owner/name`, `hf:owner/name@revision` for a fixed version, each followed by `/file` if there are
                several files of weights. A name has priority over a file of the same name; write `./name` for the file.
            kind: The expected class; by default any of this zoo.
            progress: Whether to show a progress bar while downloading.

        Returns:
            The network on the CPU, in float32 and in evaluation mode.

        Raises:
            TypeError: The argument is neither text nor a path.
            ValueError: No network, file or repository has this name, the file is not a checkpoint of a known format, or
                it has another class of network.
            MissingPackageError: The address is one of the hub, and the package huggingface_hub is not installed.
            InversoError: The weights are missing from the installation, the download fails, or the network in the file
                contradicts its card.
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
        """Load the network of a card.

        Raises:
            InversoError: The network is not available, or contradicts its card.
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
    """Write the end of a message about an unknown name: similar names, and all known ones."""
    names = list(dict.fromkeys(known.name for known in cards))
    close = difflib.get_close_matches(given, names, n=1)
    begin = f"did you mean {close[0]!r}? Known" if close else "known"
    return f"{begin} {kind}s: {', '.join(names)}"

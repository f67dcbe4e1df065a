"""The networks that a generative prior names, an encoder and a denoiser, in the metadata of its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from inverso._warning import warn_caller
from inverso.priors._cards import CARDS
from inverso.priors.base import LatentPrior
from inverso.priors.denoisers._cards import DENOISER_CARDS
from inverso.priors.encoder._zoo import ZOO as ENCODERS

_KNOWN: Mapping[str, frozenset[str]] = {
    "encoder": frozenset(card.name for card in ENCODERS.cards),
    "denoiser": frozenset(card.name for card in (*CARDS, *DENOISER_CARDS) if card.kind == "denoiser"),
}


def describe_companions(prior: object, path: Path) -> dict[str, str]:
    """Write the names of a prior's encoder and denoiser as metadata, for `restore_companions`.

    Args:
        prior: The prior.
        path: The prior's file. Of a network in a file of the same folder the name alone is written, so that the folder
            can be moved.

    Returns:
        The names by role, `{"encoder": ..., "denoiser": ...}`, without those that the prior does not name.

    Warns:
        UserWarning: A name is neither known nor a file in the folder, and is left out.

    Example:
        >>> from pathlib import Path
        >>> from inverso.priors import load
        >>> from inverso.priors._companions import describe_companions
        >>> describe_companions(load("faces-64"), Path("mine.safetensors"))
        {'encoder': 'faces-64', 'denoiser': 'faces-64-denoiser'}
    """
    if not isinstance(prior, LatentPrior):
        return {}
    written = {}
    for role, known in _KNOWN.items():
        name = getattr(prior, f"{role}_name")
        if name is None:
            continue
        file = Path(name).expanduser()
        if name in known:
            written[role] = str(name)
        elif file.is_file() and file.resolve().parent == path.resolve().parent:
            written[role] = file.name
        else:
            msg = (
                f"{path} is written without the prior's {role}_name, {str(name)!r}: it is neither a {role} that comes "
                f"with inverso nor a file in the same folder. Copy the {role} there, or set {role}_name after loading"
            )
            warn_caller(msg)
    return written


def restore_companions(prior: object, metadata: Mapping[str, str], folder: Path) -> None:
    """Set the names of a prior's encoder and denoiser from the metadata of its file.

    A file may come from anywhere. So a name is one that inverso knows or a file in the prior's own folder, and never a
    path to elsewhere or an address.

    Args:
        prior: The prior, modified in place.
        metadata: Metadata of its file.
        folder: The file's folder.

    Warns:
        UserWarning: A name is of another kind, or there is no such file; it is ignored.
    """
    if not isinstance(prior, LatentPrior):
        return
    for role, known in _KNOWN.items():
        name = metadata.get(role)
        if name is None:
            continue
        if name in known:
            setattr(prior, f"{role}_name", name)
        elif _is_file_name(name) and (folder / name).is_file():
            setattr(prior, f"{role}_name", str((folder / name).resolve()))
        else:
            msg = (
                f"the prior names the {role} {name[:80]!r}, which is neither one that comes with inverso nor a file in "
                f"{folder}; it is ignored. Set the prior's {role}_name if you have it"
            )
            warn_caller(msg)


def _is_file_name(name: str) -> bool:
    """Return whether a name is that of a file, without a path, on any system."""
    return name not in {"", ".", ".."} and not any(mark in name for mark in ("/", "\\", ":", "\0"))

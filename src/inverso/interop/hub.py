"""Publish a network on the Hugging Face hub, with its card as the README."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inverso._extras import need
from inverso._networks.cards import Card
from inverso._networks.hub import first_line
from inverso.priors import Denoiser, LatentPrior, save_prior
from inverso.priors.encoder import LatentEncoder, save_encoder
from inverso.restorers import Restorer, save_restorer

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

WEIGHTS = "model.safetensors"
# What the hub calls licenses, by how the terms of a card begin.
_LICENSES = {
    "BSD-3-Clause": "bsd-3-clause",
    "MIT": "mit",
    "Apache-2.0": "apache-2.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC0": "cc0-1.0",
}
# What loads each kind.
_PACKAGES = {
    "prior": "inverso.priors",
    "denoiser": "inverso.priors",
    "encoder": "inverso.priors.encoder",
    "restorer": "inverso.restorers",
}
_SAID = (
    ("data", "Trained on"),
    ("damage", "Trained to undo"),
    ("recipe", "Recipe"),
    ("seed", "Seed"),
    ("quality", "How good it is"),
    ("bias", "What it does badly, and for whom"),
    ("license", "License"),
    ("note", "Note"),
)


def push(
    network: LatentPrior | Denoiser | LatentEncoder | Restorer,
    repo_id: str,
    *,
    card: Card | None = None,
    revision: str | None = None,
    private: bool = False,
    dtype: torch.dtype | None = None,
    message: str = "Weights and card of inverso",
) -> str:
    """Publish a network on the Hugging Face hub: `model.safetensors` and its card as `README.md`, in one commit.

    Log in with `hf auth login` or set the variable `HF_TOKEN` first.

    Args:
        network: A network that `save_prior`, `save_encoder` or `save_restorer` can write.
        repo_id: `owner/name`; the repository is created if it does not exist.
        card: Description of the network, `inverso.priors.Card`. Without one the README has only what the network's
            settings say, and no license.
        revision: The branch; by default main.
        private: Whether a new repository is private.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default unchanged.
        message: Commit message.

    Returns:
        The address of exactly this version, for `load`: `hf:owner/name@commit`.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        TypeError: The network is of a class without a file format.
        ValueError: The card is about another class of networks.
        OSError: The hub rejects the upload, or cannot be reached.

    Example:
        >>> from inverso.priors import DCGAN
        >>> print(readme(DCGAN(16, width=4), "me/tiny"))  # what push writes
        ---
        library_name: inverso
        pipeline_tag: unconditional-image-generation
        tags:
        - inverso
        - inverse-problems
        - image-restoration
        - DCGAN
        ---
        <BLANKLINE>
        # tiny
        ...
    """
    hub = need("huggingface_hub", what="publishing on the hub")
    text = readme(network, repo_id, card=card)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _save(network, folder / WEIGHTS, dtype)
        (folder / "README.md").write_text(text, encoding="utf-8")
        if card is not None and (longer := _longer(card)).is_file():
            (folder / f"{card.name}.md").write_text(longer.read_text(encoding="utf-8"), encoding="utf-8")
        api = hub.HfApi(library_name="inverso")
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                folder_path=folder, repo_id=repo_id, revision=revision, commit_message=message, repo_type="model"
            )
        except (OSError, ValueError):
            raise
        except Exception as error:
            # Its HTTP library, whose errors these are, changes from release to release.
            msg = f"could not publish {repo_id} on the hub: {first_line(error)}"
            raise ConnectionError(msg) from error
    return f"hf:{repo_id}@{commit.oid}"


def readme(network: nn.Module, repo_id: str, *, card: Card | None = None) -> str:
    """Write the README of a network's repository: its card, with metadata for the hub as YAML.

    Args:
        network: The network.
        repo_id: `owner/name`, for the example that loads it.
        card: Description of the network.

    Returns:
        The text, in Markdown.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        ValueError: The card is about another family.
    """
    family = type(network).__name__
    if card is not None and card.family != family:
        msg = f"the card {card.name!r} is about a {card.family}, and the network is a {family}"
        raise ValueError(msg)
    kind = _kind(network)
    metadata = need("huggingface_hub", what="publishing on the hub").ModelCardData(
        library_name="inverso",
        pipeline_tag="unconditional-image-generation" if kind == "prior" else "image-to-image",
        tags=["inverso", "inverse-problems", "image-restoration", family],
        **({} if card is None else _license(card.license)),
    )
    size = _size(getattr(network, "image_shape", None) if card is None else card.image_shape)
    count = sum(weight.numel() for weight in network.parameters())
    rows = [("Kind", kind), ("Family", f"`inverso` {family}"), ("Images", size), ("Parameters", f"{count:,}")]
    if card is not None:
        known = [(said, getattr(card, name)) for name, said in _SAID]
        rows += [(said, str(value)) for said, value in known if value not in {None, ""}]
    table = "\n".join(f"| {said} | {value.replace('|', '/')} |" for said, value in rows)
    title = repo_id.rpartition("/")[2] if card is None else card.name
    return (
        f"---\n{metadata.to_yaml().strip()}\n---\n\n# {title}\n\n| | |\n|---|---|\n{table}\n\n"
        "```sh\npip install 'inverso-imaging[hub]'\n```\n\n"
        f'```python\nimport inverso\n\nnetwork = {_PACKAGES[kind]}.load("hf:{repo_id}")\n```\n'
    )


def _save(network: object, path: Path, dtype: torch.dtype | None) -> None:
    if isinstance(network, LatentEncoder):
        save_encoder(network, path, dtype=dtype)
    elif isinstance(network, Restorer):
        save_restorer(network, path, dtype=dtype)
    elif isinstance(network, LatentPrior | Denoiser):
        save_prior(network, path, dtype=dtype)


def _kind(network: object) -> str:
    kinds = {"encoder": LatentEncoder, "restorer": Restorer, "denoiser": Denoiser, "prior": LatentPrior}
    for kind, family in kinds.items():
        if isinstance(network, family):
            return kind
    msg = f"network must be a prior, a denoiser, an encoder or a restorer of inverso, got {type(network).__name__}"
    raise TypeError(msg)


def _longer(card: Card) -> Traversable:
    """Return the file of the long card of a network that comes with inverso, to which short ones refer."""
    return files(_PACKAGES[card.kind]) / "weights" / f"{card.name}.md"


def _license(terms: str) -> dict[str, Any]:
    for start, name in _LICENSES.items():
        if terms.startswith(start):
            return {"license": name}
    return {"license": "other", "license_name": terms}


def _size(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "of any size"
    channels, height, width = shape
    return f"{'gray' if channels == 1 else 'color'}, {height} × {width} pixels"

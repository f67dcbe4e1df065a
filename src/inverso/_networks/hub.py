"""Networks from the Hugging Face hub: which files of a repository to download, and messages for failures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from inverso._extras import need
from inverso.errors import InversoError

PREFIX = "hf:"
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".bin")
"""How files of weights end, best first."""
# What diffusers saves, best first, and the settings that belong to it.
DIFFUSERS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.safetensors",
)
SETTINGS = (
    "model_index.json",
    "config.json",
    "scheduler_config.json",
    "unet/config.json",
    "scheduler/scheduler_config.json",
)
MAX_NAMED = 8

_ADDRESS = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/\s]+))?(?:/(?P<file>\S[^\n]*))?")


@dataclass(frozen=True)
class Address:
    """A network on the hub, `hf:owner/name@revision/file`.

    Args:
        repository: `owner/name`.
        revision: A branch, a tag or, for a fixed version, a commit; None for the branch main.
        file: The file in the repository; None for its only file of weights.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address.

        Raises:
            ValueError: The text is not an address.

        Example:
            >>> Address.parse("hf:owner/name@v1/weights/net.pth")
            Address(repository='owner/name', revision='v1', file='weights/net.pth')
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or ".." in PurePosixPath(match["file"] or "").parts:
            msg = f"expected hf:OWNER/NAME, hf:OWNER/NAME@REVISION or one of them and /FILE, got {text!r}"
            raise ValueError(msg)
        return cls(match["repository"], match["revision"] and unquote(match["revision"]), match["file"])

    @property
    def page(self) -> str:
        """The web page of the file or the repository."""
        site = f"https://huggingface.co/{self.repository}"
        if self.file is None:
            return f"{site}/tree/{self.revision or 'main'}"
        return f"{site}/resolve/{self.revision or 'main'}/{self.file}"


def fetch_from_hub(text: str, *, progress: bool = True) -> Path:
    """Return the files of a network from the hub's cache, downloading them if necessary.

    Args:
        text: The address, for `Address.parse`.
        progress: Whether to show progress bars.

    Returns:
        The file of weights, or the folder of a diffusers model with weights and settings.

    Raises:
        ValueError: The text is not an address, or there is no such repository, revision or file, or no file of weights,
            or several.
        MissingPackageError: huggingface_hub is not installed.
        InversoError: The hub cannot be reached, and the files are not in its cache.
    """
    address = Address.parse(text)
    hub = _hub()
    with _explained(hub, address), _bars(hub, shown=progress):
        files = (address.file,) if address.file else pick(_files(hub, address), address)
        paths = [
            Path(hub.hf_hub_download(address.repository, name, revision=address.revision, library_name="inverso"))
            for name in files
        ]
    if len(paths) == 1:
        return paths[0]
    # Files of diffusers lie as they do in the repository; the first of them at its root or in `unet`.
    root = paths[0]
    for _ in PurePosixPath(files[0]).parts:
        root = root.parent
    return root


def pick(files: Sequence[str], address: Address) -> tuple[str, ...]:
    """Choose the files of a repository to download: a file of weights, or the files of a diffusers model.

    Raises:
        ValueError: There is no file of weights, or there are several.

    Example:
        >>> pick(["README.md", "net.pth", "model.safetensors"], Address("owner/name"))
        ('model.safetensors',)
    """
    for name in (*DIFFUSERS, *(f"unet/{name}" for name in DIFFUSERS)):
        settings = tuple(known for known in SETTINGS if known in files)
        if name in files and settings:
            return (*settings, name)
    weights = [name for name in files if name.endswith(SUFFIXES)]
    if not weights:
        msg = f"{address.repository} has no file of weights ({', '.join(SUFFIXES)}): {_list(files)}"
        raise ValueError(msg)
    best = next(suffix for suffix in SUFFIXES if any(name.endswith(suffix) for name in weights))
    candidates = [name for name in weights if name.endswith(best)]
    if len(candidates) > 1:
        at = f"@{address.revision}" if address.revision else ""
        msg = (
            f"{address.repository} has {len(candidates)} files of weights: {_list(candidates)}. "
            f"Name one: {PREFIX}{address.repository}{at}/{candidates[0]}"
        )
        raise ValueError(msg)
    return (candidates[0],)


def _hub() -> Any:  # noqa: ANN401 - a module
    for part in ("errors", "constants", "utils"):
        need(f"huggingface_hub.{part}", what=f"an address {PREFIX}OWNER/NAME")
    return need("huggingface_hub")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED]) or 'it is empty'}{more}"


def _files(hub: Any, address: Address) -> list[str]:  # noqa: ANN401 - a module
    """List a repository or, without a network, its files in the cache."""
    try:
        return sorted(hub.HfApi(library_name="inverso").list_repo_files(address.repository, revision=address.revision))
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError):
        raise
    except Exception:
        cached = _cached(hub, address)
        if not cached:
            raise
        return cached


def _cached(hub: Any, address: Address) -> list[str]:  # noqa: ANN401 - a module
    try:
        known = hub.scan_cache_dir()
    except hub.errors.CacheNotFound:
        return []
    wanted = address.revision or "main"
    return sorted(
        file.file_path.relative_to(revision.snapshot_path).as_posix()
        for repository in known.repos
        if repository.repo_id == address.repository and repository.repo_type == "model"
        for revision in repository.revisions
        if wanted in {revision.commit_hash, *revision.refs}
        for file in revision.files
    )


@contextmanager
def _bars(hub: Any, *, shown: bool) -> Iterator[None]:  # noqa: ANN401 - a module
    """Hide the hub's progress bars inside a `with` block."""
    if shown or hub.utils.are_progress_bars_disabled():
        yield
        return
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        hub.utils.enable_progress_bars()


def first_line(error: Exception) -> str:
    """Return what an error says first, without a full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def _explained(hub: Any, address: Address) -> Iterator[None]:  # noqa: ANN401 - a module
    """Turn the hub's errors into messages for users."""
    try:
        yield
    except (ValueError, InversoError):
        raise
    except Exception as error:
        # Its HTTP library, whose errors these may be, changes from release to release.
        raise _explanation(hub, address, error) from error


def _explanation(hub: Any, address: Address, error: Exception) -> Exception:  # noqa: ANN401 - a module
    errors, given = hub.errors, address.repository
    if isinstance(error, errors.GatedRepoError):
        return InversoError(
            f"{given} requires its terms to be accepted at {Address(given).page}, and then `hf auth login` here"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return ValueError(f"there is no repository {given} on the hub; if it is private, log in with `hf auth login`")
    if isinstance(error, errors.RevisionNotFoundError):
        return ValueError(f"{given} has no revision {address.revision!r}")
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return ValueError(f"{given} has no file {address.file!r}; see {Address(given, address.revision).page}")
    reason = first_line(error)
    folder = Path(hub.constants.HF_HUB_CACHE) / f"models--{given.replace('/', '--')}"
    return InversoError(
        f"could not get {given} from the hub: {reason}. Without a network, fetch {address.page} elsewhere and load it "
        f"by its path, or copy the folder {folder.name} of that machine's cache to {folder.parent}"
    )

"""Files of restorers: safetensors, with class and settings as metadata, in floats or packed bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from inverso._extras import MissingPackageError
from inverso._networks.files import read_file
from inverso._networks.native import build_from, build_network, save_network
from inverso.restorers._foreign import build_foreign
from inverso.restorers.base import Restorer
from inverso.restorers.networks import MobileRestorer, XGANRestorer
from inverso.restorers.repair import RepairRestorer
from inverso.restorers.slides import SlidesRestorer
from inverso.restorers.unet import UNetRestorer

_FAMILIES: Mapping[str, type[Restorer]] = {
    family.__name__: family for family in (UNetRestorer, MobileRestorer, XGANRestorer, RepairRestorer, SlidesRestorer)
}
_QUANTIZED = "inverso-quantized"


def save_restorer(restorer: Restorer, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a restorer to a safetensors file that `load` reads.

    For 1 to 8 bits per weight there is `inverso.compression.save_quantized`, whose files `load` reads as well.

    Args:
        restorer: A `UNetRestorer`, `MobileRestorer`, `XGANRestorer`, `RepairRestorer` or `SlidesRestorer`.
        path: The file, replaced if it exists; its folder must exist. It is written atomically.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default unchanged. Biases keep
            their type. Restorers are read back as float32.

    Raises:
        TypeError: The restorer is not of one of these classes.
        ValueError: The folder does not exist, the dtype is not supported, or a weight is too large for it.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from inverso.restorers import MobileRestorer, load, save_restorer
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_restorer(MobileRestorer(width=4), f"{folder}/tiny.safetensors", dtype=torch.float16)
        ...     load(f"{folder}/tiny.safetensors").config["width"]
        4
    """
    save_network(restorer, path, kind="restorer", families=_FAMILIES, dtype=dtype)


def read_restorer(path: str | Path) -> Restorer:
    """Read a file of `save_restorer` or `inverso.compression.save_quantized`, or a network of another project.

    Nothing in the file is executed. Networks of other projects need the package spandrel, which recognizes them by the
    names and shapes of their weights.

    Args:
        path: The file.

    Returns:
        The restorer on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: The file cannot be read, or does not contain a restorer. The message names the file.
    """
    from inverso.compression.packing import read_quantized  # noqa: PLC0415 - `import inverso` stays light

    path = Path(path)
    contents = read_file(path)
    try:
        if contents.metadata.get("format") == _QUANTIZED:
            packed = read_quantized(path)
            return build_network(packed.family, packed.config, packed.state, kind="restorer", families=_FAMILIES)
        if "family" not in contents.metadata:
            return build_foreign(contents.data)
        return build_from(contents, kind="restorer", families=_FAMILIES)
    except (ValueError, MissingPackageError) as error:
        msg = f"{path} cannot be used as a restorer: {error}"
        raise ValueError(msg) from error

"""Import optional packages when they are needed, with one error message if they are missing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inverso.errors import InversoError

DISTRIBUTION = "inverso-imaging"

EXTRAS = {
    "deepinv": "interop",
    "gradio": "app",
    "huggingface_hub": "hub",
    "lightning_fabric": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "pillow_heif": "heif",
    "pyarrow": "ray",
    "pylops": "interop",
    "ray": "ray",
    "spandrel": "interop",
}
"""Which extra brings an optional package."""


class MissingPackageError(InversoError, ImportError):
    """An optional package is not installed."""


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Turn a failed import in a `with` block into a MissingPackageError that says how to install the package.

    Args:
        what: What needs the package, as the message names it: "training".

    Raises:
        MissingPackageError: A package is not installed; the message says how to install it.

    Example:
        >>> with needing("training"):
        ...     raise ModuleNotFoundError(name="lightning_fabric")
        Traceback (most recent call last):
        inverso._extras.MissingPackageError: training needs the package lightning_fabric: pip install ...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        wanted = f"'{DISTRIBUTION}[{extra}]'" if extra else package
        msg = f"{what} needs the package {package}: pip install {wanted}"
        raise MissingPackageError(msg) from error


def need(package: str, *, what: str | None = None) -> Any:  # noqa: ANN401 - a module
    """Import an optional package.

    Args:
        package: Name to import; a submodule such as `onnxruntime.quantization` is allowed.
        what: What needs it, for the message; by default "this".

    Returns:
        The module.

    Raises:
        MissingPackageError: The package is not installed; the message says how to install it.

    Example:
        >>> need("math").floor(2.5)
        2
    """
    with needing(what or "this"):
        return importlib.import_module(package)

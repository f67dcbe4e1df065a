"""Read and write measurements: exactly, as an array in a file, or as a picture where they are one."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from inverso._checks import check_measurement
from inverso._files import replacing
from inverso._sources import existing
from inverso.images._decode import noise_of, reason
from inverso.images.io import read_image, save_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NPZ_KEY = "y"


def save_measurement(y: Tensor, path: str | Path) -> None:
    """Write a measurement: exactly as `.npz`, or as an 8-bit picture if it is one.

    Args:
        y: Real or complex tensor. For a picture: real, one image of one or three channels.
        path: `.npz`, or the suffix of a picture format.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The measurement is not a picture and the file is not `.npz`, or it has non-finite values.
        TypeError: The measurement is neither a floating-point nor a complex tensor.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> y = torch.randn(1, 3, 4, 4, dtype=torch.complex64)
        >>> with TemporaryDirectory() as folder:
        ...     save_measurement(y, Path(folder, "y.npz"))
        ...     torch.equal(load_measurement(Path(folder, "y.npz")), y)
        True
    """
    check_measurement(y)
    path = Path(path)
    if path.suffix.lower() == ".npz":
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, y=_as_array(y))
        return
    if y.is_complex() or y.ndim not in {3, 4} or y.shape[-3] not in {1, 3} or (y.ndim == 4 and len(y) != 1):
        kind = "complex" if y.is_complex() else "real"
        given = f"{kind}, shape {tuple(y.shape)}"
        msg = f"this measurement is not a picture ({given}): write it as {path.with_suffix('.npz')}"
        raise ValueError(msg)
    save_image(y, path)


def _as_array(y: Tensor) -> NDArray[Any]:
    plain = y.detach().resolve_conj().resolve_neg().cpu()
    # NumPy has no bfloat16, and float32 holds all of its numbers.
    array: NDArray[Any] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def load_measurement(path: str | Path, *, channels: int = 3, large: bool = False) -> Tensor:
    """Read a measurement written by `save_measurement`, or any picture.

    Args:
        path: `.npz` with one array, or a picture.
        channels: Channels of a picture: 3 or 1. An array is returned as it was saved.
        large: Whether to read pictures of more than 100 megapixels.

    Returns:
        The array as a tensor of its own shape and dtype; a picture as `(1, channels, H, W)`, float32, in [0, 1].

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged, has other arrays than `y`, or one that is neither floating-point nor complex.
    """
    return read_measurement(path, channels=channels, large=large)[0]


def read_measurement(path: str | Path, *, channels: int = 3, large: bool = False) -> tuple[Tensor, tuple[str, ...]]:
    """Read a measurement as `load_measurement` does, with lines that say what was changed on reading.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: As `load_measurement` says.
    """
    path = _named_right(path)
    if path.suffix.lower() != ".npz":
        return read_image(path, channels=channels, large=large)
    try:
        # A zip by content, not by name: np.load would take a bare array, and hand back something else.
        with zipfile.ZipFile(path):
            pass
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            array = archive[names[0]] if names == [_NPZ_KEY] else None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path} cannot be read as an .npz of numbers: {reason(error)}"
        raise ValueError(msg) from error
    if array is None:
        msg = f"{path} must hold one array called {_NPZ_KEY!r}, and holds {', '.join(names) or 'none'}"
        raise ValueError(msg)
    if array.dtype.kind not in "fc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        msg = f"{path} must hold floating-point or complex numbers, and holds {array.dtype}"
        raise ValueError(msg)
    # Torch reads native byte order only.
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False)), ()


def quantization_noise(path: str | Path) -> float:
    """Return the standard deviation of the rounding error in a measurement's file.

    Rounding to steps of `q` has the error `q / sqrt(12)`: `1 / (255 sqrt(12))` for 8-bit pictures, 257 times less for
    16-bit ones, none for `.npz` and floating-point pictures. The error of a JPEG, 0.003 to 0.05, is estimated from its
    quantization tables and coefficients.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is neither `.npz` nor a picture.
    """
    path = _named_right(path)
    return 0.0 if path.suffix.lower() == ".npz" else noise_of(path)


def _named_right(path: str | Path) -> Path:
    """Return the path of a file that may be a measurement.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is a bare array of NumPy.
    """
    path = existing(path)
    if path.suffix.lower() == ".npy":
        to = path.with_suffix(".npz")
        msg = f"{path} is no measurement: numbers are read from an .npz that calls them {_NPZ_KEY!r}, as numpy.savez("
        msg += f"{str(to)!r}, {_NPZ_KEY}=y) writes it"
        raise ValueError(msg)
    return path

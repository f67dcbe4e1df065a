"""Write the files: the page, the network with packed weights, and the runtime."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inverso._checks import as_generator
from inverso._networks.cards import Card
from inverso._random import normal
from inverso.browser._runtime import WASM, WEBGPU, find_runtime, runtime_version
from inverso.browser._weights import WEIGHTS, PackedNetwork, check_packed_bits, pack_onnx
from inverso.compression.onnx import run_onnx, to_onnx
from inverso.errors import InversoError
from inverso.images.io import photo
from inverso.priors import Denoiser, LatentPrior
from inverso.restorers import Restorer

_TILE, _MARGIN = 384, 32
"""Side of a window in pixels, and how much of it on each side is looked at and not used. With a margin of 32, `photos`
leaves less than 0.05 of 255 of a seam."""
_MULTIPLE = 8
_BITS, _VISIBLE = (8, 16), 2 / 255
_CHECKED_SIDE, _EXAMPLE_NOISE = 48, 0.1


@dataclass(frozen=True)
class Page:
    """The written files.

    Args:
        folder: Their folder.
        sent: Bytes of the page and the network, which every visitor downloads.
        runtime: Bytes of ONNX Runtime Web that a visitor without WebGPU downloads in addition.
        difference: Largest difference between the outputs of the network and of the packed one, on a known example.
        bits: Bits per weight.
    """

    folder: Path
    sent: int
    runtime: int
    difference: float
    bits: int


def write_page(
    network: nn.Module,
    folder: str | Path,
    *,
    name: str,
    bits: int | None = None,
    card: Card | None = None,
    runtime: str | Path | None = None,
    webgpu: bool = True,
) -> Page:
    """Write a folder of static files that restores photos in the visitor's browser.

    With a denoiser the page removes noise and fills painted areas, with a restorer it restores, with a generator it
    draws samples. It computes with ONNX Runtime Web from packed weights, makes no requests to other servers, and works
    offline after the first visit. Existing files of the page are replaced, other files in the folder are kept.

    Args:
        network: A denoiser of color or gray photos of any size, a restorer, or a generator.
        folder: Folder to write to; created if it does not exist.
        name: Name of the network on the page.
        bits: Bits per weight: 8 for almost equal outputs, 6 or 4 for smaller files, 16 or 32 for exact ones. By default
            8, or 16 if the output for the known example would otherwise change by more than 2/255.
        card: Card of the network, to be shown.
        runtime: Folder of the npm package `onnxruntime-web`; by default that of `find_runtime`.
        webgpu: Whether to include the runtime for browsers with WebGPU, 27 MB more on the server.

    Returns:
        The folder, and the sizes of its files.

    Raises:
        TypeError: The network is none of these, or `bits` is not an integer.
        ValueError: The page does not support the network, or the number of bits.
        InversoError: A package or the runtime is missing, or the network cannot be exported.

    Example:
        >>> from inverso.browser import write_page
        >>> from inverso.priors import load
        >>> write_page(load("photos"), "site", name="photos")  # doctest: +SKIP
    """
    if bits is not None:
        check_packed_bits(bits)
    kind = _kind(network)
    source = find_runtime(runtime)
    engines = {"wasm": WASM}
    if webgpu and all((source / file).is_file() for file in WEBGPU):
        engines["webgpu"] = WEBGPU
    folder = Path(folder)
    with TemporaryDirectory() as temporary:
        whole = Path(temporary, "network.onnx")
        to_onnx(network, whole)
        for taken in _BITS if bits is None else (bits,):
            packed = pack_onnx(whole, bits=taken)
            known, shapes, difference = _example(network, packed, Path(temporary))
            if difference <= _VISIBLE:
                break
        contents = {"model.onnx": packed.graph, WEIGHTS: packed.packed, "check.bin": known}
    contents |= _static_files() | _example_picture(network)
    facts = {
        "name": name,
        "kind": kind,
        "bits": taken,
        "bytes": len(packed.packed) + len(packed.graph),
        "weights": packed.layout,
        "engines": list(engines),
        "check": {"inputs": shapes},
        "card": _shown(card),
        "runtime": runtime_version(source),
        **_facts(network),
    }
    version = hashlib.sha256(repr(sorted(facts.items())).encode())
    for content in contents.values():
        version.update(content)
    facts["version"] = version.hexdigest()[:16]
    contents["model.json"] = json.dumps(facts, indent=1).encode()
    _write(folder, contents, {file: source / file for engine in engines.values() for file in engine})
    sent = sum(map(len, contents.values())) - len(contents.get("example.jpg", b""))
    return Page(folder, sent, sum((source / file).stat().st_size for file in WASM), difference, taken)


def _kind(network: nn.Module) -> str:
    if isinstance(network, Denoiser):
        if network.image_shape is not None:
            msg = (
                "the page processes photos of any size in windows, and this denoiser works for images of shape "
                f"{network.image_shape} only"
            )
            raise ValueError(msg)
        return "denoiser"
    if isinstance(network, LatentPrior):
        return "generator"
    if isinstance(network, Restorer):
        return "restorer"
    msg = f"a page shows a denoiser, a restorer or a generator, got {type(network).__name__}"
    raise TypeError(msg)


def _facts(network: nn.Module) -> dict[str, Any]:
    """Return the properties of the network that the page needs."""
    if isinstance(network, LatentPrior):
        return {"inputs": ["latent"], "output": "image", "latent": list(network.latent_shape), "size": None}
    multiple = int(getattr(network, "multiple", _MULTIPLE))
    window = {"tile": _TILE, "margin": _MARGIN, "multiple": multiple}
    if isinstance(network, Denoiser):
        ends = {"inputs": ["noisy", "sigma"], "output": "denoised"}
        return {**ends, "channels": network.channels, "size": None, **window}
    size = getattr(network, "trained_size", None)
    return {"inputs": ["degraded"], "output": "restored", "channels": 3, "size": size, **window}


def _shown(card: Card | None) -> dict[str, str]:
    """Choose the entries of the card that visitors see."""
    if card is None:
        return {}
    rows = {"License": card.license, "Learned from": card.data, "Undoes": card.damage, "Weak at": card.bias}
    return {term: text for term, text in rows.items() if text}


def _example(network: nn.Module, packed: PackedNetwork, folder: Path) -> tuple[bytes, list[list[int]], float]:
    """Return example inputs with the expected output, for a self-test of the page, and its error from packing."""
    inputs: tuple[Tensor, ...]
    if isinstance(network, LatentPrior):
        inputs = (network.sample_latent(1, seed=0).float(),)
    else:
        image = _example_input(network)
        inputs = (image, torch.tensor([_EXAMPLE_NOISE])) if isinstance(network, Denoiser) else (image,)
    path = folder / "model.onnx"
    path.write_bytes(packed.graph)
    packed.floats.tofile(folder / WEIGHTS)
    answer = run_onnx(path, *inputs)
    with torch.no_grad():
        expected = network(*inputs)
    difference = float((answer - expected).abs().max())
    if not difference < 1:
        msg = f"with these weights the network's answer moves by {difference:.2g}: take more bits"
        raise InversoError(msg)
    known = np.concatenate([values.numpy().astype(np.float32).ravel() for values in (*inputs, answer)])
    return known.tobytes(), [list(values.shape) for values in inputs], difference


def _static_files() -> dict[str, bytes]:
    with as_file(files("inverso.browser") / "page") as page:
        return {path.name: path.read_bytes() for path in sorted(page.iterdir()) if path.is_file()}


def _example_input(network: nn.Module) -> Tensor:
    """Degrade the example, or a crop of it, as the network expects it: by noise, or by a white box."""
    image = _photo(network)
    if getattr(network, "trained_size", None) is None:
        image = image[..., 60 : 60 + _CHECKED_SIDE, 120 : 120 + _CHECKED_SIDE].clone()
    if isinstance(network, Denoiser):
        image = image.mean(dim=1, keepdim=True) if network.channels == 1 else image
        return image + _EXAMPLE_NOISE * normal(image.shape, as_generator(0))
    quarter = image.shape[-1] // 4
    image[..., quarter : 2 * quarter, quarter : 2 * quarter] = 1
    return image


def _photo(network: nn.Module) -> Tensor:
    """Return a free photo that suits the network: a face for one of a fixed size, a cat for others."""
    size = getattr(network, "trained_size", None)
    return photo("cat", size=None) if size is None else photo("astronaut", size=size)


def _example_picture(network: nn.Module) -> dict[str, bytes]:
    """Make the file for "Try an example"."""
    if isinstance(network, LatentPrior):
        return {}
    from io import BytesIO  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415

    stream = BytesIO()
    pixels = (255 * _photo(network)[0]).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return {"example.jpg": stream.getvalue()}


def _write(folder: Path, contents: Mapping[str, bytes], runtime: Mapping[str, Path]) -> None:
    """Write all files under temporary names first, and move them into place when all are complete."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".new-") as name:
        fresh = Path(name)
        (fresh / "ort").mkdir()
        for file, content in contents.items():
            (fresh / file).write_bytes(content)
        for file, source in runtime.items():
            shutil.copyfile(source, fresh / "ort" / file)
        (folder / "ort").mkdir(exist_ok=True)
        for path in sorted((fresh / "ort").iterdir()):
            path.replace(folder / "ort" / path.name)
        # The page asks for model.json first: it comes last.
        for file in sorted(contents, key=lambda file: (file == "model.json", file)):
            (fresh / file).replace(folder / file)

"""Images a second of a restorer: PyTorch, torch.compile, and ONNX Runtime with floats and 8-bit integers.

    python benchmarks/restorers.py --restorer faces-64 --batch 8 --out restorers.csv

All of them restore the same random images with the same number of threads. Times are medians of rounds in which they
take turns, so that a busy machine disturbs all of them alike; compiling and the first call are not counted. What cannot
be run here is left out, and said so. Beside the speed: the largest difference from PyTorch's answer.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from inverso.compression._onnx_ends import RESTORER_INPUT as INPUT
from inverso.compression.onnx import quantize_onnx, to_onnx
from inverso.errors import InversoError
from inverso.restorers import load

CALIBRATION = 16


def main() -> None:
    """Measure, print one line per engine and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restorer", default="faces-64", help="name or file")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load(options.restorer)
    images = torch.rand(options.batch, 3, options.size, options.size, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        engines = _engines(model, images, Path(folder), options.threads)
        rows = _measure(engines, images, options.rounds)
    print(f"{options.restorer}, batch {options.batch}, {options.size} px, {options.threads} threads, CPU")
    print(f"{'engine':16} {'images/s':>9} {'x torch':>8} {'difference':>11}")
    for row in rows:
        print(f"{row['engine']:16} {row['images_per_s']:9.1f} {row['times_torch']:8.2f} {row['difference']:11.1e}")
    if options.out:
        with options.out.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _engines(model: nn.Module, images: Tensor, folder: Path, threads: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Make everything that restores, called once on the images."""
    makers: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "torch": lambda: model,
        "torch.compile": lambda: torch.compile(model),
        "onnx": lambda: _exported(model, images, folder, threads),
        "onnx int8": lambda: _in_integers(images, folder, threads),
        "onnx int8 weights": lambda: _in_integers(images[:0], folder, threads),
    }
    engines = {}
    for name, make in makers.items():
        try:
            engine = make()
            with torch.inference_mode():
                engine(images)
        except (InversoError, ValueError, RuntimeError, OSError) as error:
            # torch.compile needs a C++ compiler, ONNX its packages.
            print(f"{name} does not run here: {str(error).strip().splitlines()[0]}")
            continue
        engines[name] = engine
    return engines


def _exported(model: nn.Module, images: Tensor, folder: Path, threads: int) -> Callable[[Tensor], Tensor]:
    to_onnx(model, folder / "whole.onnx", size=images.shape[-1])
    return _session(folder / "whole.onnx", threads)


def _in_integers(images: Tensor, folder: Path, threads: int) -> Callable[[Tensor], Tensor]:
    """Quantize the exported network: on images, or without any its weights alone."""
    path = folder / f"int8-{len(images)}.onnx"
    quantize_onnx(folder / "whole.onnx", path, images=images[:CALIBRATION] if len(images) else None)
    return _session(path, threads)


def _session(path: Path, threads: int) -> Callable[[Tensor], Tensor]:
    import onnxruntime  # noqa: PLC0415

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])


def _measure(
    engines: dict[str, Callable[[Tensor], Tensor]], images: Tensor, rounds: int
) -> list[dict[str, float | str]]:
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    with torch.inference_mode():
        answers = {name: engine(images) for name, engine in engines.items()}
        for _ in range(rounds):
            for name, engine in engines.items():
                began = time.perf_counter()
                engine(images)
                seconds[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        {
            "engine": name,
            "images_per_s": len(images) / middle[name],
            "times_torch": middle["torch"] / middle[name],
            "difference": float((answers[name] - answers["torch"]).abs().max()),
        }
        for name in engines
    ]


if __name__ == "__main__":
    main()

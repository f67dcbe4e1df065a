"""What a generator evaluation costs: memory formats, precisions and torch.compile, ratios against the plain network.

    python benchmarks/passes.py --batches 1 5 16

An evaluation is a forward and a backward pass, to the latents as CSGM needs it, or to latents and weights as image
adaptation does. The ways take turns, and the ratio of each is that of the medians; below 1 it is faster.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import nn

from inverso.priors import LatentPrior, load

Way = tuple[Callable[[nn.Module], Any], Callable[[str], AbstractContextManager[Any]]]


def ways() -> dict[str, Way]:
    """Give every way to run a network: how it is prepared, and what it runs in."""

    def plainly(_: str) -> AbstractContextManager[Any]:
        return nullcontext()

    def in_half(device: str) -> AbstractContextManager[Any]:
        return torch.autocast(device, torch.bfloat16)

    return {
        "plain": (lambda network: network, plainly),
        "channels_last": (lambda network: network.to(memory_format=torch.channels_last), plainly),
        "bfloat16": (lambda network: network, in_half),
        "torch.compile": (torch.compile, plainly),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="faces-64", help="name or file")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 5, 16])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| to | batch | plain, ms per image | channels_last | bfloat16 | torch.compile |\n|---|---|---|---|---|---|")
    for weights in (False, True):
        for batch in options.batches:
            plain, *others = measure(load(options.prior, kind=LatentPrior), batch, weights=weights, options=options)
            ratios = " | ".join(f"{other / plain:.2f}" for other in others)
            to = "latents and weights" if weights else "latents"
            print(f"| {to} | {batch} | {1000 * plain / batch:.1f} | {ratios} |", flush=True)


def measure(prior: LatentPrior, batch: int, *, weights: bool, options: argparse.Namespace) -> list[float]:
    """Give the median seconds of an evaluation, for every way."""
    latents = prior.sample_latent(batch, seed=0).to(options.device)
    contenders = []
    for prepare, context in ways().values():
        network = copy.deepcopy(cast("nn.Module", prior)).to(options.device).requires_grad_(weights)
        contenders.append((prepare(network), context))
    seconds: list[list[float]] = [[] for _ in contenders]
    for repeat in range(options.repeats + 2):
        for k, (network, context) in enumerate(contenders):
            z = latents.clone().requires_grad_()
            began = time.perf_counter()
            with context(options.device):
                loss = network(z).float().square().sum()
            loss.backward()
            if options.device != "cpu":
                torch.cuda.synchronize()
            # The first passes compile, and warm the caches.
            if repeat > 1:
                seconds[k].append(time.perf_counter() - began)
    return [statistics.median(each) for each in seconds]


if __name__ == "__main__":
    main()

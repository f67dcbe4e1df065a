"""Run work on a Ray cluster, or on this machine as one: Ray Data with a pool of actors."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np

from inverso._checks import check_count, check_non_negative
from inverso._extras import need
from inverso.errors import InversoError
from inverso.jobs._supervisor import Limits, Supervisor
from inverso.jobs.work import Item, Outcome, Outcomes, Result, Work, photos_together

# Ray Data keeps a few hundred bytes per chunk in the driver, so that a million photos come in waves.
_WAVE = 4096
_IN_FLIGHT = 2
_OBJECT_STORE = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Workers of a Ray cluster: actors that load the networks once, each supervising a process that does the work.

    A photo that exceeds the limits of time or memory, or crashes its process, is tried once more separately and then
    set aside. An actor or a machine that dies is replaced, and its work is done elsewhere. Photos, results and networks
    given by path must be accessible from every machine: on a shared disk, or (photos) behind a URL.

    Args:
        address: Address of a cluster for `ray.init`: "auto", "ray://host:10001"; None for the cluster that is connected
            already, or named by RAY_ADDRESS, or else for this machine.
        num_gpus: GPUs per actor: 1, several, or a fraction to share a GPU; 0 for CPUs.
        num_cpus: CPUs per actor, and threads of its worker.
        actors: Largest number of actors; by default as many as the cluster has room for.
        batch: Photos solved at once; by default up to 8 small ones on a CPU and 32 on a GPU, large ones one by one.
        time_limit: Time limit in seconds for one photo.
        memory: Memory limit in bytes for one photo on a CPU; by default none.
    """

    address: str | None = None
    num_gpus: float = 0.0
    num_cpus: int = 1
    actors: int | None = None
    batch: int | None = None
    time_limit: float = 3600.0
    memory: int | None = None

    def __post_init__(self) -> None:
        check_non_negative(self.num_gpus, name="num_gpus")
        check_count(self.num_cpus, name="num_cpus")
        for name in ("actors", "batch"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name=name)
        self._limits()

    def together(self, pixels: int | None) -> int:
        """Return the number of photos per chunk for a size in pixels."""
        return photos_together(pixels, device=self._device, batch=self.batch)

    def run(self, work: Work[Item, Result], chunks: Iterable[Sequence[Item]]) -> Outcomes[Item, Result]:
        """Process chunks; yield each chunk's results when it ends, in any order.

        Raises:
            MissingPackageError: The package ray is missing.
            InversoError: The cluster has no room for one actor, or the connection is lost.
        """
        ray = need("ray", what="Ray()")
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.address)
        try:
            actors = self._actors(ray.cluster_resources())
            left = iter(chunks)
            while wave := list(itertools.islice(left, _WAVE)):
                yield from self._wave(work, wave, actors)
        except ray.exceptions.RayError as error:
            msg = f"Ray gave up: {str(error).strip().splitlines()[-1]}; what was done is kept"
            raise InversoError(msg) from error
        finally:
            if ours:
                ray.shutdown()

    def _wave(self, work: Work[Item, Result], chunks: Sequence[Sequence[Item]], actors: int) -> Outcomes[Item, Result]:
        data = need("ray.data", what="Ray()")
        context, log = data.DataContext.get_current(), logging.getLogger("ray.data")
        before = context.enable_progress_bars, log.level
        context.enable_progress_bars = False
        log.setLevel(logging.ERROR)
        try:
            yield from self._stream(data, work, chunks, actors)
        finally:
            context.enable_progress_bars = before[0]
            log.setLevel(before[1])

    def _stream(
        self,
        data: Any,  # noqa: ANN401 - the module ray.data
        work: Work[Item, Result],
        chunks: Sequence[Sequence[Item]],
        actors: int,
    ) -> Outcomes[Item, Result]:
        most = min(actors, len(chunks))
        rows = data.from_items([{"parcel": _Parcel(list(chunk))} for chunk in chunks], override_num_blocks=len(chunks))
        answered = rows.map_batches(
            _Actor,
            fn_constructor_kwargs={
                "work": work,
                "device": self._device,
                "limits": self._limits(),
                "folder": Path.cwd(),
            },
            batch_size=1,
            batch_format="numpy",
            # All at once, but none beyond need: the room of an actor that waits goes to one whose machine has died.
            compute=data.ActorPoolStrategy(
                min_size=1, initial_size=most, max_size=most, max_tasks_in_flight_per_actor=_IN_FLIGHT
            ),
            num_cpus=self.num_cpus,
            num_gpus=self.num_gpus or None,
        )
        for batch in answered.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            for parcel in batch["parcel"]:
                if isinstance(parcel.content, Exception):
                    raise parcel.content
                yield parcel.content

    def _actors(self, resources: dict[str, float]) -> int:
        room = int(resources.get("CPU", 0) // self.num_cpus)
        if self.num_gpus:
            room = min(room, int(resources.get("GPU", 0) / self.num_gpus + 1e-9))
        if room < 1:
            msg = (
                f"the cluster has {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs, and one actor "
                f"takes num_cpus={self.num_cpus} and num_gpus={self.num_gpus:g}"
            )
            raise InversoError(msg)
        return room if self.actors is None else min(room, self.actors)

    @property
    def _device(self) -> str:
        return "cuda" if self.num_gpus else "cpu"

    def _limits(self) -> Limits:
        return Limits(self.time_limit, self.memory, self.num_cpus)


@dataclass(frozen=True)
class _Parcel:
    """A wrapper for objects that Ray Data must not split into columns."""

    content: Any


class _Actor(Generic[Item, Result]):
    """A member of the pool: it answers Ray, while its worker process computes."""

    def __init__(self, work: Work[Item, Result], device: str, limits: Limits, folder: Path) -> None:
        self._supervisor = Supervisor(work, device=device, limits=limits, folder=folder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        parcels = np.empty(len(batch["parcel"]), dtype=object)
        for k, parcel in enumerate(batch["parcel"]):
            parcels[k] = _Parcel(self._run(parcel.content))
        return {"parcel": parcels}

    def _run(self, chunk: Sequence[Item]) -> Outcome[Item, Result] | Exception:
        try:
            return self._supervisor.run(chunk)
        except Exception as error:
            # As it is, and not in the wrappings of Ray: it ends the run, and the driver has to know it.
            return error


def _connect(ray: Any, address: str | None) -> None:  # noqa: ANN401
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if address is not None or os.environ.get("RAY_ADDRESS"):
        ray.init(address=address, **quiet)
    else:
        # Only names and records travel through Ray's memory.
        ray.init(include_dashboard=False, object_store_memory=_OBJECT_STORE, **quiet)

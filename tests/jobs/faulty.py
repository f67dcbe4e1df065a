"""A job that is quick, and does what its photos' names begin with: hang, crash, take memory, fail, fill the disk."""

import errno
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from inverso.errors import InversoError
from inverso.images import load_image, save_image
from inverso.jobs import Answer, Input
from inverso.jobs.photo_job import Described


@dataclass(frozen=True)
class Faulty:
    """Darkens photos, in so many seconds each; what a name asks for is not done where the file `cured` is.

    The folder `pids` gets a file for every worker, called as its process.
    """

    seconds: float = 0.0
    factor: float = 0.5
    cured: str = ""
    pids: str = ""
    suffix: str = ".png"

    def describe(self):
        return Described({"job": "darken", "factor": self.factor}, 16 * 16)

    def open(self, device):  # noqa: ARG002 - a job computes where it is told
        if self.pids:
            Path(self.pids, str(os.getpid())).touch()
        return _Opened(self)


@dataclass(frozen=True)
class _Opened:
    job: Faulty

    def read(self, file: Path, name: str) -> Input:
        return Input((name, load_image(file)), "all")

    def answer(self, inputs):
        return [self._one(*each.value) for each in inputs]

    def _one(self, name, image):
        time.sleep(self.job.seconds)
        if not (self.job.cured and Path(self.job.cured).exists()):
            misbehave(name)
        return Answer(partial(save_image, image * self.job.factor), details={"mean": float(image.mean())})


def misbehave(name):
    word = name.partition("-")[0]
    if word == "hang":
        time.sleep(1000)
    if word == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "memory":
        torch.zeros(2**36, dtype=torch.uint8).add_(1)
    if word == "fail":
        msg = f"there is something wrong with {name}"
        raise ValueError(msg)
    if word == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


@dataclass(frozen=True)
class Unopened:
    """A job whose networks are not where the worker is."""

    suffix: str = ".png"

    def describe(self):
        return Described({})

    def open(self, device):
        msg = f"there is no network on {device}"
        raise InversoError(msg)


@dataclass(frozen=True)
class Counting:
    """Work on numbers, in so many seconds each."""

    seconds: float = 0.0

    def open(self, device):  # noqa: ARG002 - additions need none
        return self.add

    def add(self, chunk):
        time.sleep(self.seconds * len(chunk))
        return [item + 1 for item in chunk]

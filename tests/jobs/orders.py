"""Orders that are quick, slow, refused, or end their process."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Double:
    number: int

    def carry_out(self, _device, tell) -> Mapping:
        tell({"share": 0.5})
        return {"double": 2 * self.number, "pid": os.getpid()}


@dataclass(frozen=True)
class Sleep:
    seconds: float = 600.0

    def carry_out(self, _device, tell) -> Mapping:
        tell({"share": 0.25})
        time.sleep(self.seconds)
        return {}


@dataclass(frozen=True)
class Crash:
    def carry_out(self, _device, _tell) -> Mapping:
        os._exit(1)


@dataclass(frozen=True)
class Refuse:
    def carry_out(self, _device, _tell) -> Mapping:
        msg = "no, thank you"
        raise ValueError(msg)

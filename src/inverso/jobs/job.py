"""The description of a job: operator, prior and method by name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from inverso._checks import as_seed, check_count, check_non_negative
from inverso.jobs.photo_job import Described

if TYPE_CHECKING:
    from inverso._types import ImageShape
    from inverso.jobs._networks import Networks
    from inverso.jobs._solving import Solving


@dataclass(frozen=True, kw_only=True)
class Job:
    """`inverso.solve` for every photo of a folder, described by names and numbers, so that it can be stored and sent.

    Args:
        method: Names of stages joined by "+"; None for the best fast method for prior and restorer, as in `solve`.
        operator: Operator as text: `"bicubic:4"`, `"fft:0.3"`; not needed by "ff".
        prior: Name or checkpoint of the prior, if a stage needs one; two of them for a generative prior and a denoiser.
        restorer: Name or checkpoint of the restorer, if a stage needs one.
        noise: Standard deviation of the noise in the image's unit. For measurements that are 8-bit pictures the noise
            is at least that of their rounding.
        seed: Seed of the starting latents and of simulated noise, which also depends on the photo's name.
        schedule: Schedule of the method, "default" or "iagan".
        starts: Number of starts over which results are averaged.
        size: Without a prior: side to which the central square of photos is resized; None keeps their size.
        simulate: Whether the files are photos that are measured first, so that results can be scored.
        crop: Whether photos may be cropped to a size that the operator's scale divides.
        large: Whether to read photos of more than 100 megapixels.
        face: Whether the prior's images are aligned faces, to be found in photos of any size.
        face_at: Poses of faces as `X,Y,SIDE` or `X,Y,SIDE,ANGLE`, separated by ";"; empty to detect them.

    Example:
        >>> from inverso.jobs import Job
        >>> job = Job(method="csgm+bp", operator="fft:0.3", prior="faces-64", simulate=True)
        >>> Job.from_json(job.to_json()) == job
        True
    """

    method: str | None = None
    operator: str | None = None
    prior: str | tuple[str, str] | None = None
    restorer: str | None = None
    noise: float = 0.0
    seed: int = 0
    schedule: str = "default"
    starts: int = 1
    size: int | None = None
    simulate: bool = False
    crop: bool = False
    large: bool = False
    face: bool = False
    face_at: str = ""

    def __post_init__(self) -> None:
        check_non_negative(self.noise, name="noise")
        check_count(self.starts, name="starts")
        as_seed(self.seed)
        if self.size is not None:
            check_count(self.size, name="size")
        if self.simulate and self.operator is None:
            msg = "simulate needs an operator to measure the photos with, such as operator='fft:0.3', and got none"
            raise ValueError(msg)

    @property
    def suffix(self) -> str:
        """Suffix of the results: of a lossless format."""
        return ".png"

    def to_json(self) -> str:
        """Convert the job to JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read a job from the JSON of `to_json`.

        Raises:
            ValueError: The text is not JSON, or not a job.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            msg = f"this is not a job in JSON: {error}"
            raise ValueError(msg) from error
        known = {each.name for each in fields(cls)}
        if not isinstance(content, dict) or set(content) - known:
            given = sorted(set(content) - known) if isinstance(content, dict) else type(content).__name__
            msg = f"a job has the settings {', '.join(sorted(known))}, got {given}"
            raise ValueError(msg)
        if isinstance(content.get("prior"), list):
            content["prior"] = tuple(content["prior"])
        return cls(**content)

    def describe(self) -> Described:
        """Return everything on which results depend: the settings, and the weights of the networks.

        Raises:
            ValueError: The method, operator, prior or restorer is unknown, or a stage misses what it needs.
        """
        from inverso._networks.fingerprint import fingerprint  # noqa: PLC0415

        networks = self.load()
        settings: dict[str, Any] = {"job": "solve", **json.loads(self.to_json())}
        for kind, network in networks.by_name().items():
            settings[f"weights of the {kind}"] = fingerprint(network)
        shape = networks.image_shape
        side = self.size if shape is None else shape[-1]
        return Described(settings, None if side is None else side * side)

    def open(self, device: str) -> Solving:
        """Load the networks for solving."""
        from inverso.jobs._solving import Solving  # noqa: PLC0415

        return Solving.begin(self, self.load().to(device), device=device)

    def load(self) -> Networks:
        """Load the networks, and check that the stages have what they need.

        Raises:
            ValueError: The method, operator, prior or restorer is unknown, or a stage misses what it needs.
        """
        from inverso.jobs._networks import Networks  # noqa: PLC0415
        from inverso.methods import best_for, stages_of  # noqa: PLC0415
        from inverso.operators.spec import parse_operator  # noqa: PLC0415
        from inverso.problem import Need  # noqa: PLC0415
        from inverso.stages.base import check_needs  # noqa: PLC0415

        networks = Networks.load(self.prior, self.restorer)
        has = networks.has
        if self.operator is not None:
            parse_operator(self.operator)
            has |= {Need.OPERATOR}
        method = best_for(has, starts=self.starts) if self.method is None else self.method
        check_needs(stages_of(method, schedule=self.schedule), has)
        if not self.face:
            self._check_size(networks.image_shape)
        elif Need.PRIOR not in has or self.operator is None:
            msg = "face=True needs a generative prior, as prior=, and the operator that measured y, as A="
            raise ValueError(msg)
        return networks

    def _check_size(self, shape: ImageShape | None) -> None:
        if shape is None:
            return
        channels, height, width = shape
        if height != width or channels not in {1, 3}:
            msg = f"the prior {self.prior!r} makes images of shape {shape}; photos are cropped to squares"
            raise ValueError(msg)
        if self.size not in {None, height}:
            msg = f"the prior {self.prior!r} makes {height} pixels, so size can only be {height}, got {self.size}"
            raise ValueError(msg)

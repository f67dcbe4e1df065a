"""The definition of experiments: cases x methods x metrics, comparisons and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from inverso._checks import check_non_negative
from inverso.experiments.groups import Groups
from inverso.experiments.photos import Photos, Size
from inverso.experiments.scores import Metric
from inverso.methods import Method, stages_of
from inverso.operators import LinearOperator
from inverso.priors.base import AnyPrior
from inverso.stages import Need, Stage

if TYPE_CHECKING:
    from inverso.experiments.runner import Finished
    from inverso.experiments.settings import Options


@runtime_checkable
class PhotoOperator(Protocol):
    """Factory of an operator that depends on the photos it measures, such as one that samples their edges.

    An optional method `stored_bytes(image_shape)` returns the number of bytes that a stored measurement takes, for the
    page.
    """

    def for_photos(self, photos: Tensor, seeds: tuple[int, ...]) -> LinearOperator:
        """Make the operator of photos `(n, C, H, W)`, with one seed for each."""


@dataclass(frozen=True)
class Case:
    """One row of a table: operator and noise.

    Args:
        name: Name in the table.
        operator: The operator. If it has a seed, every photo gets its own.
        noise: Standard deviation of the noise in the image's unit.
        eight_bit: Round the measurement to 8 bits, as a picture file does, and count the rounding as noise.

    Raises:
        ValueError: The noise is negative.

    Example:
        >>> from inverso.experiments import Case
        >>> from inverso.operators import FFTMask
        >>> Case("FFT 30 %", FFTMask(0.3), noise=10 / 255).title
        'FFT 30 %, noise 10/255'
    """

    name: str
    operator: LinearOperator | PhotoOperator
    noise: float = 0.0
    eight_bit: bool = False

    def __post_init__(self) -> None:
        check_non_negative(self.noise, name="noise")

    @property
    def title(self) -> str:
        """The name, and the noise if there is any."""
        noise = f", noise {round(255 * self.noise, 1):g}/255" if self.noise else ""
        return f"{self.name}{', 8 bits' if self.eight_bit else ''}{noise}"

    def operator_for(self, photos: Tensor, seeds: Sequence[int]) -> LinearOperator:
        """Make the operator that measures photos `(n, C, H, W)`, from one seed per photo."""
        if isinstance(self.operator, PhotoOperator):
            return self.operator.for_photos(photos, tuple(seeds))
        if not isinstance(self.operator, LinearOperator):
            msg = f"the operator of case {self.name!r} is neither a LinearOperator nor has it a method for_photos"
            raise TypeError(msg)
        if dataclasses.is_dataclass(self.operator) and any(f.name == "seed" for f in dataclasses.fields(self.operator)):
            return dataclasses.replace(self.operator, seed=tuple(seeds))
        return self.operator


@dataclass(frozen=True)
class Tuned:
    """A method with a setting chosen by tuning: the candidate with the best mean PSNR on photos that are not measured.

    Args:
        candidates: One stage per value of the setting.

    Raises:
        ValueError: There is no candidate.
    """

    candidates: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not self.candidates:
            msg = "a tuned method needs at least one candidate"
            raise ValueError(msg)


@dataclass(frozen=True)
class Using:
    """A method with its own networks, so that several restorers or priors can be compared in one table.

    Args:
        method: The method.
        restorer: Name of a restorer among those given to the runner.
        prior: Replacement of the table's prior: a name or checkpoint, a pair of two, or a network.

    Example:
        >>> from inverso.experiments import Using
        >>> Using("style+bp", prior="faces-64-style").prior
        'faces-64-style'
    """

    method: Method
    restorer: str | None = field(default=None, kw_only=True)
    prior: str | tuple[str, str] | AnyPrior | None = field(default=None, kw_only=True)


Entry: TypeAlias = "Method | Tuned | Using"
"""What an experiment's table can hold as a method."""


@dataclass(frozen=True)
class Curve:
    """A figure of the metric's mean over a number, with a line per method (or case).

    Args:
        name: Name of the file.
        label: Label of the horizontal axis.
        points: Series -> position -> name of a case, or of a method, according to `over`. A single series may have the
            name "".
        over: Whether positions belong to cases or to methods.
        log: Whether the axis is logarithmic.
    """

    name: str
    label: str
    points: Mapping[str, Mapping[float, str]]
    over: Literal["cases", "methods"] = "cases"
    log: bool = False


@dataclass(frozen=True)
class Experiment:
    """A table of cases and methods, with the question it answers.

    Args:
        name: Name for `inverso bench`.
        title: Its subject in a few words.
        question: The question it answers.
        source: The paper's table or figure that it repeats.
        cases: Its rows.
        methods: Its columns: name -> method as for `solve`, or a `Tuned` one.
        slow: Further columns, which run only on request.
        metrics: Names of per-image metrics from `inverso.metrics`, or own ones as `Metric`; the first one decides which
            method is best. "lpips" is left out if its weights are missing.
        tested: Metrics for which the page tests differences; by default the first one.
        comparisons: Pairs of methods whose difference the page tests, the one expected to be better first.
        case_comparisons: Pairs of titles of cases whose difference is tested for every method.
        curves: Figures in addition to the bars.
        size: How photos are cropped or resized: "prior" resizes their central squares to the prior's size, a number
            crops squares of so many pixels from their centers, "native" keeps them whole.
        prior: Name of the default prior; None if no method needs one.
        groups: Default function that divides the photos into groups to compare.
        appendix: Function that writes further sections of the page, from the results and the folder for plots.

    Raises:
        ValueError: Two cases have the same title, or a comparison or curve refers to an unknown case or method.

    Example:
        >>> from inverso.experiments import Case, Experiment
        >>> from inverso.operators import Bicubic
        >>> experiment = Experiment("mine", "Enlarging", "Which is best?", "", (Case("x2", Bicubic(2)),),
        ...                         {"pinv": "pinv", "csgm": "csgm"}, comparisons=(("csgm", "pinv"),))
        >>> list(experiment.chosen(["pinv"]).methods)
        ['pinv']
    """

    name: str
    title: str
    question: str
    source: str
    cases: tuple[Case, ...]
    methods: Mapping[str, Entry]
    slow: Mapping[str, Entry] = field(default_factory=dict, kw_only=True)
    metrics: tuple[str | Metric, ...] = field(default=("psnr", "ssim", "lpips"), kw_only=True)
    tested: tuple[str, ...] | None = field(default=None, kw_only=True)
    comparisons: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    case_comparisons: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    curves: tuple[Curve, ...] = field(default=(), kw_only=True)
    size: Size = field(default="prior", kw_only=True)
    prior: str | None = field(default="faces-64", kw_only=True)
    groups: Callable[[Photos], Groups] | None = field(default=None, kw_only=True)
    appendix: Callable[[Finished, Path], str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        titles = [case.title for case in self.cases]
        if len(set(titles)) < len(titles):
            msg = f"experiment {self.name!r} has two cases of the same title: {', '.join(titles)}"
            raise ValueError(msg)
        known = {*self.methods, *self.slow}
        _check_known(self.name, chain.from_iterable(self.comparisons), known)
        _check_known(self.name, chain.from_iterable(self.case_comparisons), set(titles))
        for curve in self.curves:
            names = chain.from_iterable(series.values() for series in curve.points.values())
            _check_known(self.name, names, set(titles) if curve.over == "cases" else known)

    @property
    def needs_restorer(self) -> bool:
        """Whether a method needs a restorer."""
        return any(_uses_restorer(entry) for entry in self.methods.values())

    def with_restorers(self, names: Sequence[str]) -> Experiment:
        """Return a table with one column per restorer for every method that needs one.

        Every restorer is included in the comparisons of its method, and compared with the first restorer.

        Args:
            names: Names of the restorers. With a single one the methods' names do not change.
        """
        methods: dict[str, Entry] = {}
        columns: dict[str, dict[str, str]] = {}
        for name, entry in self.methods.items():
            if isinstance(entry, Tuned | Using) or not _uses_restorer(entry):
                methods[name] = entry
                continue
            columns[name] = {each: name if len(names) == 1 else f"{name} ({each})" for each in names}
            methods |= {column: Using(entry, restorer=restorer) for restorer, column in columns[name].items()}
        pairs = [
            tuple(columns[method][restorer] if method in columns else method for method in pair)
            for pair in self.comparisons
            for restorer in (names if columns.keys() & set(pair) else [""])
        ]
        pairs += [(own[names[0]], own[other]) for own in columns.values() for other in names[1:]]
        return dataclasses.replace(self, methods=methods, comparisons=tuple((a, b) for a, b in pairs))

    def chosen(self, names: Sequence[str] | None) -> Experiment:
        """Return a table with some methods only.

        Args:
            names: Names of methods, slow ones included; None for all but the slow ones, `["all"]` for all.

        Raises:
            ValueError: A method is unknown.
        """
        everything = {**self.methods, **self.slow}
        if names is None:
            kept = dict(self.methods)
        elif list(names) == ["all"]:
            kept = everything
        else:
            unknown = [name for name in names if name not in everything]
            if unknown or not names:
                msg = f"experiment {self.name!r} has no method {unknown}; its methods are {', '.join(everything)}"
                raise ValueError(msg)
            kept = {name: everything[name] for name in everything if name in names}
        curves = [self._kept_curve(curve, kept) for curve in self.curves]
        return dataclasses.replace(
            self,
            methods=kept,
            slow={},
            comparisons=tuple(pair for pair in self.comparisons if kept.keys() >= set(pair)),
            curves=tuple(curve for curve in curves if curve.points),
        )

    @staticmethod
    def _kept_curve(curve: Curve, kept: Mapping[str, Entry]) -> Curve:
        if curve.over == "cases":
            return curve
        points = {
            series: {position: name for position, name in places.items() if name in kept}
            for series, places in curve.points.items()
        }
        return dataclasses.replace(curve, points={series: places for series, places in points.items() if places})


@runtime_checkable
class Study(Protocol):
    """An experiment that is not a table of cases and methods, but is also run by `inverso bench`.

    Attributes:
        name: Name for `inverso bench`.
        title: Its subject in a few words.
        question: The question it answers.
        summary: Description of its methods for `inverso bench --list`.
        options: Names of its options besides `--n`, `--seed`, `--fast`, `--device` and `--quiet`.
    """

    name: str
    title: str
    question: str
    summary: str
    options: frozenset[str]

    def run(self, data: Path, out: Path, options: Options, *, command: str = "") -> Path:
        """Run the study on the photos of a folder, write the results, and return the path of its page."""


def stages_in(entry: Entry) -> tuple[Stage, ...]:
    """Return the stages of a method, or of the candidates of a tuned one."""
    if isinstance(entry, Tuned):
        return entry.candidates
    return stages_of(entry.method if isinstance(entry, Using) else entry)


def _uses_restorer(entry: Entry) -> bool:
    return any(Need.RESTORER in stage.needs for stage in stages_in(entry))


def _check_known(experiment: str, names: chain[str], known: set[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        msg = f"experiment {experiment!r} compares or draws {unknown[0]!r}, which is none of {', '.join(sorted(known))}"
        raise ValueError(msg)

"""A prior of its own for every photo of a folder: what it costs, how good it is, and pictures of what it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from one_photo_report import picture_file, prior_folder, write_one_photo_report
from one_photo_uses import save_uses
from torch import Tensor
from tqdm.auto import tqdm

import inverso
from inverso._checks import check_count
from inverso._extras import needing
from inverso.experiments import Options
from inverso.experiments._environment import describe_run
from inverso.experiments._results import PHOTOS, Results, Row, check_settings, record_run
from inverso.experiments.photos import digests
from inverso.images.folders import pictures_below
from inverso.images.io import load_image
from inverso.metrics import diversity, psnr, sifid
from inverso.metrics._patch_features import PatchFeatures, stored_inception
from inverso.metrics.single_image import SingleImageFID
from inverso.priors import SinGAN
from inverso.priors.singan._pyramid import plan_pyramid

if TYPE_CHECKING:
    from inverso.training import SinGANRecipe

METHOD = "singan"
COLUMNS = ("height", "width", "scales", "fit_seconds", "seconds_per_100", "psnr", "sifid", "diversity")
REHEARSAL: Mapping[str, Any] = MappingProxyType({"max_size": 32, "min_size": 12, "width": 8, "steps": (8, 8)})
"""What a rehearsal changes in a recipe."""
FAST_SAMPLES = 8

_HUNDRED = 100
# The features of the single-image FID need so many pixels.
_SHORTEST = 16


@dataclass(frozen=True)
class OnePhoto:
    """An experiment in which every photo gets a prior of its own, a SinGAN, instead of cases, methods and one prior.

    Args:
        name: What `inverso bench` calls it.
        title: Its subject in a few words.
        question: What one wants to know.
        source: The paper it repeats.
        recipe: What decides the fits, among it `max_size`, the longest side that is learned; the default recipe if it
            is None.
        samples: Of each prior, on which quality is measured.

    Raises:
        ValueError: There are fewer than two samples.
    """

    name: str
    title: str
    question: str
    source: str
    recipe: SinGANRecipe | None = None
    samples: int = 50

    summary: ClassVar[str] = "singan, fitted to each photo"
    options: ClassVar[frozenset[str]] = frozenset({"size"})

    def __post_init__(self) -> None:
        check_count(self.samples, name="samples", minimum=2)

    def run(self, data: Path, out: Path, options: Options, *, command: str = "") -> Path:
        """Fit and measure a prior for every photo of a folder, and write what came out; give the path of the page.

        Raises:
            ValueError: The device is not the first of its kind, on which fits run, or as for `run_one_photo`.
        """
        results = run_one_photo(self, data, out, options, command=command)
        return write_one_photo_report(out, self, results)


@dataclass(frozen=True)
class Quality:
    """How good and how quick a prior of one photo is.

    Args:
        seconds_per_100: To draw 100 samples.
        psnr: Of the photo made from the fixed noise, at the finest scale, in dB.
        sifid: Single-image FID of the samples, and the features it was measured with.
        diversity: Of the samples.
    """

    seconds_per_100: float
    psnr: float
    sifid: SingleImageFID
    diversity: float


def run_one_photo(
    experiment: OnePhoto,
    data: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    command: str = "",
) -> Results:
    """Fit a prior to every photo, measure it, draw its uses, and append what came out to `results.csv`.

    Run again with the same settings, it goes on where it was stopped: after the last scale that was finished. Device
    and progress may change, and n may grow. Of the options it takes n, size (the longest side that is learned), seed,
    fast, device and progress.

    Args:
        experiment: Which it is.
        data: Folder of photos.
        out: Folder for the results; made if it is not there. `priors/` gets the priors, `pictures/` a sheet per photo.
        options: How to run it.
        command: The command line behind the call, for the record.

    Returns:
        One row per photo.

    Raises:
        ValueError: The folder holds too few photos, one of them is too small, too long or flat, two of them differ in
            their suffix alone, or the results are those of other settings.
        InversoError: A fit turned non-finite.
    """
    options, out = options or Options(), Path(out)
    if torch.device(options.device).index:
        msg = f"fits run on the first device of a kind, got {options.device!r}: hide the others (CUDA_VISIBLE_DEVICES)"
        raise ValueError(msg)
    files = _photo_files(Path(data), options.n)
    recipe = _recipe(experiment, options)
    for name, file in files.items():
        _check_photo(name, _read(file), recipe)
    features: PatchFeatures = "random" if stored_inception() is None else "inception"
    out.mkdir(parents=True, exist_ok=True)
    settings = _settings(experiment, options, recipe, files, features)
    check_settings(out, settings)
    results = Results.open(out / "results.csv", COLUMNS, methods=[METHOD])
    left = options.n - len(results.finished)
    record_run(out, settings, describe_run(command, options.device) | {"left": left})
    case = f"up to {recipe.max_size} pixels"
    with tqdm(
        total=options.n, initial=len(results.finished), unit="photo", disable=not options.progress, position=0
    ) as bar:
        for name, file in files.items():
            if (case, name) in results.finished:
                continue
            bar.set_description(name)
            samples = FAST_SAMPLES if options.fast else experiment.samples
            values = _run_photo(_read(file), name, out, options, recipe, samples=samples, features=features)
            results.append([Row(case, name, METHOD, options.seed, values)])
            bar.update()
    return results


def measure_quality(
    prior: SinGAN,
    samples: Tensor,
    *,
    features: PatchFeatures | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Quality:
    """Measure a prior of one photo.

    Args:
        prior: The prior.
        samples: Some of its samples, `(n, C, H, W)`; as many are drawn at once for the timing.
        features: Of the single-image FID; by default inception's where its weights are stored.
        clock: What tells the seconds: `time.process_time` counts those that a busy processor worked.

    Returns:
        What was measured.

    Raises:
        ValueError: There are fewer than two samples, or they are too small for the single-image FID.

    Example:
        >>> from inverso.priors import SinGAN
        >>> prior = SinGAN([(16, 20), (20, 25)], width=4).eval()
        >>> _ = prior.photo.uniform_(generator=torch.Generator().manual_seed(0))
        >>> measure_quality(prior, prior.sample(4), features="random").sifid.features
        'random'
    """
    samples, photo = samples.cpu(), prior.photo.cpu()
    return Quality(
        seconds_per_100=_seconds_per_100(prior, len(samples), clock),
        psnr=reconstruction_psnr(prior),
        sifid=sifid(samples, photo, features=features or "auto"),
        diversity=diversity(samples, photo),
    )


def reconstruction_psnr(prior: SinGAN, scale: int = -1) -> float:
    """Measure how well the fixed noise gives the photo back, in dB.

    Args:
        prior: The prior.
        scale: At which to compare; negative ones count from the finest.

    Example:
        >>> from inverso.priors import SinGAN
        >>> reconstruction_psnr(SinGAN([(16, 20), (20, 25)], width=4).eval()) > 0
        True
    """
    with torch.no_grad():
        return float(psnr(prior.reconstruct(scale), prior.real(scale)))


def _run_photo(
    photo: Tensor,
    name: str,
    out: Path,
    options: Options,
    recipe: SinGANRecipe,
    *,
    samples: int,
    features: PatchFeatures,
) -> dict[str, float]:
    from inverso.training import Run, fit, read_rows  # noqa: PLC0415

    folder = prior_folder(out, name)
    run = Run(resume=True, progress=options.progress, device=torch.device(options.device).type)
    prior = fit(replace(recipe, seed=options.seed), photo, out=folder, run=run).to(options.device)
    rows = read_rows(folder / "losses.csv")
    quality = measure_quality(prior, prior.sample(samples, seed=options.seed), features=features)
    save_uses(prior, picture_file(out, name), seed=options.seed)
    height, width = prior.sizes[-1]
    return {
        "height": float(height),
        "width": float(width),
        "scales": float(len(prior.sizes)),
        "fit_seconds": sum(row["seconds"] for row in rows),
        "seconds_per_100": quality.seconds_per_100,
        "psnr": quality.psnr,
        "sifid": quality.sifid.mean,
        "diversity": quality.diversity,
    }


def _seconds_per_100(prior: SinGAN, batch: int, clock: Callable[[], float]) -> float:
    """Time 100 samples, drawn in batches as a user would."""
    prior.sample(1)
    began = clock()
    done = 0
    while done < _HUNDRED:
        # A GPU has finished when its answer is here.
        done += len(prior.sample(min(batch, _HUNDRED - done), seed=done).cpu())
    return clock() - began


def _photo_files(data: Path, n: int) -> dict[str, Path]:
    """List the first photos of a folder: name below it -> file."""
    files = pictures_below(data, name="data")
    if len(files) < n:
        msg = f"data={data} holds {len(files)} pictures, and n={n} needs {n}"
        raise ValueError(msg)
    named = {file.relative_to(data).as_posix(): file for file in files[:n]}
    seen: dict[Path, str] = {}
    for name, file in named.items():
        stem = file.with_suffix("")
        if stem in seen:
            msg = f"the results of {seen[stem]} and {name} would both be called {Path(name).stem}: rename one"
            raise ValueError(msg)
        seen[stem] = name
    return named


def _read(file: Path) -> Tensor:
    """Read a photo; one without any color is learned as a gray one, as `inverso single fit` does."""
    photo = load_image(file)
    return photo[:, :1] if bool((photo == photo[:, :1]).all()) else photo


def _recipe(experiment: OnePhoto, options: Options) -> SinGANRecipe:
    with needing(experiment.name):
        from inverso.training import SinGANRecipe  # noqa: PLC0415

    recipe = SinGANRecipe() if experiment.recipe is None else experiment.recipe
    if options.size is not None:
        recipe = replace(recipe, max_size=options.size)
    return replace(recipe, **REHEARSAL) if options.fast else recipe


def _check_photo(name: str, photo: Tensor, recipe: SinGANRecipe) -> None:
    """Find out before the hours of work whether a photo can be fitted and its prior measured."""
    size = (photo.shape[-2], photo.shape[-1])
    try:
        plan = plan_pyramid(size, min_size=recipe.min_size, max_size=recipe.max_size, scale_factor=recipe.scale_factor)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ValueError(msg) from error
    finest = plan.sizes[-1]
    learned = f"{name} would be learned at {finest[0]} x {finest[1]} pixels"
    if min(finest) < _SHORTEST:
        msg = f"{learned}, and single-image FID needs sides of at least {_SHORTEST}: set a larger max_size"
        raise ValueError(msg)
    if len(plan.sizes) == 1:
        msg = f"{learned}, at a single scale, which takes no image in: set a larger max_size, or a smaller min_size"
        raise ValueError(msg)
    if float(photo.min()) == float(photo.max()):
        msg = f"{name} is of one brightness all over: there is nothing to learn from it"
        raise ValueError(msg)


def _settings(
    experiment: OnePhoto,
    options: Options,
    recipe: SinGANRecipe,
    files: Mapping[str, Path],
    features: PatchFeatures,
) -> dict[str, Any]:
    """Say everything that the numbers depend on."""
    return {
        "inverso": inverso.__version__,
        "experiment": experiment.name,
        PHOTOS: digests(files),
        "samples": experiment.samples,
        "features": features,
        "seed": options.seed,
        "fast": options.fast,
        # One by one, so that a refusal can name what differs.
        **asdict(replace(recipe, seed=options.seed)),
    }


E10 = OnePhoto(
    name="e10",
    title="A prior from one photo",
    question="What does one photo alone teach a prior, how long does that take, and where does it fail?",
    source=(
        "the uses shown by Rott Shaham, Dekel & Michaeli, SinGAN: learning a generative model from a single natural "
        "image"
    ),
)

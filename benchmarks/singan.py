"""What a SinGAN costs and how good it is, and the dissertation's studies of what decides that.

    python benchmarks/singan.py --photo rocket --size 100 --out results/singan
    python benchmarks/singan.py --model photo.safetensors --out results/singan
    python benchmarks/singan.py --photo rocket --size 42 --square --study all --filters 32 64 --out results/singan
    python benchmarks/singan.py --smoke --study all --out /tmp/singan

Without a study one prior is fitted, or read, and measured: seconds per scale, seconds for 100 samples, single-image
FID, diversity. A study fits one prior for each of its settings, on the same photo and from the same seed; studies that
share a setting share its prior. Each writes a table in Markdown and a sheet of samples. Seconds are those that the
processor worked, over all threads, so that a busy machine counts hardly more of them.

Single-image FID and diversity are those of `inverso.metrics`; contrast is the spread of a sample's brightness over that
of the photo's, averaged over samples: near 0, the prior has collapsed to one color.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from one_photo import REHEARSAL, measure_quality, reconstruction_psnr
from one_photo_uses import pasted
from torch import Tensor

from inverso._files import replacing
from inverso.images import grid, load_image
from inverso.metrics import sifid
from inverso.priors import SinGAN, load
from inverso.priors.singan._pyramid import plan_pyramid
from inverso.priors.singan._resize import resize
from inverso.training import Run, SinGANRecipe, fit

# Free photos that come inside scikit-image, so that nothing is downloaded; coins and cells lie scattered.
PHOTOS = ("brick", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "moon", "rocket")
SHOWN = 4
FILTERS = (16, 32, 64, 128)


@dataclass(frozen=True)
class Fitted:
    """A prior and, if it was fitted just now, the processor seconds of its scales."""

    prior: SinGAN
    seconds: Sequence[float] = ()


@dataclass(frozen=True)
class Task:
    """What is measured, and where the answers go; fits are kept, as several studies have the default in common."""

    photo: Tensor
    recipe: SinGANRecipe
    filters: Sequence[int]
    seed: int
    samples: int
    out: Path
    progress: bool
    fits: dict[SinGANRecipe, Fitted] = field(default_factory=dict)


def main() -> None:
    """Measure one prior, or run the studies asked for."""
    options = _parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = replace(SinGANRecipe(max_size=options.size), **(REHEARSAL if options.smoke else {}))
    if options.steps:
        recipe = replace(recipe, steps=(options.steps[0], options.steps[-1]))
    task = Task(
        photo=central_square(_read(options.photo)) if options.square else _read(options.photo),
        recipe=recipe,
        filters=(4, 8) if options.smoke else options.filters,
        seed=options.seed,
        samples=8 if options.smoke else options.samples,
        out=options.out,
        progress=not options.quiet,
    )
    if options.model:
        task.fits[recipe] = Fitted(_load(options.model))
    names = list(STUDIES) if "all" in (options.study or []) else options.study
    if not names:
        measure(task, _fit(task, task.recipe))
        return
    for name in names:
        STUDIES[name](task)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", default="rocket", help=f"a file, or one of {', '.join(PHOTOS)}")
    parser.add_argument("--size", type=int, default=100, help="longest side in pixels")
    parser.add_argument("--square", action="store_true", help="take the photo's central square")
    parser.add_argument("--model", type=Path, help="take this prior and fit none by the default recipe")
    parser.add_argument("--study", action="append", choices=[*STUDIES, "all"], help="may be given several times")
    parser.add_argument("--steps", type=int, nargs="+", metavar="N", help="at the coarsest and the finest scale")
    parser.add_argument("--filters", type=int, nargs="+", metavar="N", default=FILTERS, help="for the study of them")
    parser.add_argument("--samples", type=int, default=50, help="of which quality is measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--smoke", action="store_true", help="rehearse it on 32 pixels, in a minute")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    return parser.parse_args()


def measure(task: Task, fitted: Fitted) -> None:
    """Write down everything about one prior."""
    prior = fitted.prior
    rows = [
        {
            "scale": str(k),
            "pixels": f"{height} x {width}",
            "noise": f"{prior.amplitudes[k]:.3f}",
            "reconstruction (dB)": f"{reconstruction_psnr(prior, k):.1f}",
            "CPU seconds": f"{fitted.seconds[k]:.1f}" if fitted.seconds else "",
        }
        for k, (height, width) in enumerate(prior.sizes)
    ]
    table = f"{_markdown(rows)}\n{_markdown([quality(task, fitted)])}"
    samples = prior.sample(SHOWN * SHOWN, seed=task.seed)
    columns = {f"samples {k + 1}": samples[k::SHOWN] for k in range(SHOWN)}
    _write(task, "measures", table, {"photo": prior.photo.expand(SHOWN, -1, -1, -1), **columns})


def quality(task: Task, fitted: Fitted) -> dict[str, str]:
    """Measure seconds and quality of one prior."""
    prior = fitted.prior
    samples = prior.sample(task.samples, seed=task.seed)
    measured = measure_quality(prior, samples, clock=time.process_time)
    return {
        "scales": str(len(prior.sizes)),
        "CPU seconds to fit": f"{sum(fitted.seconds):.0f}" if fitted.seconds else "",
        "CPU seconds for 100 samples": f"{measured.seconds_per_100:.1f}",
        "reconstruction (dB)": f"{measured.psnr:.1f}",
        f"single-image FID ({measured.sifid.features} features)": f"{measured.sifid.mean:.3g}",
        "diversity": f"{measured.diversity:.2f}",
        "contrast": f"{_contrast(samples, prior.photo):.2f}",
    }


def study_scales(task: Task) -> None:
    """Vary the number of scales: without the coarse ones, only textures are learned."""
    height, width = task.photo.shape[-2:]
    largest = math.ceil(min(height, width) * min(task.recipe.max_size / max(height, width), 1))
    smallest: dict[int, SinGANRecipe] = {}
    for side in range(largest, task.recipe.min_size - 1, -1):
        recipe = replace(task.recipe, min_size=side)
        plan = plan_pyramid((height, width), min_size=side, max_size=recipe.max_size, scale_factor=recipe.scale_factor)
        smallest[len(plan.sizes)] = recipe
    _compare(task, "scales", {f"from {recipe.min_size} px": recipe for recipe in smallest.values()})


def study_batch_norm(task: Task) -> None:
    """Compare networks with and without batch norm."""
    recipes = {name: replace(task.recipe, batch_norm=on) for name, on in (("with", True), ("without", False))}
    _compare(task, "batch-norm", recipes)


def study_weight_loading(task: Task) -> None:
    """Compare scales that start from the weights below with scales that start from fresh ones."""
    recipes = {name: replace(task.recipe, copy_weights=on) for name, on in (("loaded", True), ("fresh", False))}
    _compare(task, "weight-loading", recipes)


def study_filters(task: Task) -> None:
    """Vary the number of filters, with and without batch norm, on which it depends whether many are stable."""
    recipes = {}
    for batch_norm, suffix in ((True, ""), (False, ", no batch norm")):
        for width in task.filters:
            recipes[f"{width}{suffix}"] = replace(task.recipe, width=width, batch_norm=batch_norm)
    _compare(task, "filters", recipes)


def study_injection(task: Task) -> None:
    """Inject one image at every scale: what is kept of it, and how well it fits the photo."""
    prior = _fit(task, task.recipe).prior
    # A disk of another photo, in false colors.
    other = resize(_read("chelsea"), prior.sizes[-1]).clamp(0, 1).flip(1)
    image, mask = pasted(prior.photo, other[:, : prior.image_shape[0]])
    inside = mask.expand_as(image)
    columns, rows = {"injected": image}, []
    for start in range(1, len(prior.sizes)):
        answer = prior.harmonize(image, mask, start_scale=start, seed=task.seed)
        columns[f"scale {start}"] = answer
        kept = float(-10 * (answer[inside].clamp(0, 1) - image[inside]).square().mean().log10())
        score = sifid(answer, prior.photo)
        rows.append(
            {
                "start scale": str(start),
                "pixels": "{} x {}".format(*prior.sizes[start]),
                "PSNR to the injected object (dB)": f"{kept:.1f}",
                f"single-image FID ({score.features} features)": f"{score.mean:.3g}",
            }
        )
    _write(task, "injection", _markdown(rows), {"photo": prior.photo, **columns})


STUDIES: Mapping[str, Callable[[Task], None]] = {
    "scales": study_scales,
    "injection": study_injection,
    "batch-norm": study_batch_norm,
    "weight-loading": study_weight_loading,
    "filters": study_filters,
}


def _compare(task: Task, name: str, recipes: Mapping[str, SinGANRecipe]) -> None:
    """Fit by each recipe, one after the other; a table and a sheet with a column for each."""
    rows, columns = [], {}
    for label, recipe in recipes.items():
        fitted = _fit(task, recipe)
        columns["photo"] = fitted.prior.photo.expand(SHOWN, -1, -1, -1)
        rows.append({"setting": label, **quality(task, fitted)})
        columns[label] = fitted.prior.sample(SHOWN, seed=task.seed)
    _write(task, name, _markdown(rows), columns)


def _fit(task: Task, recipe: SinGANRecipe) -> Fitted:
    """Fit by a recipe, unless that was done before."""
    if recipe not in task.fits:
        ends = [time.process_time()]

        def note(_: Mapping[str, float]) -> None:
            ends.append(time.process_time())

        prior = fit(replace(recipe, seed=task.seed), task.photo, run=Run(progress=task.progress, report=note))
        task.fits[recipe] = Fitted(prior, [end - start for start, end in itertools.pairwise(ends)])
    return task.fits[recipe]


def _load(path: Path) -> SinGAN:
    prior = load(path)
    if not isinstance(prior, SinGAN):
        msg = f"{path} holds a {type(prior).__name__}, not a SinGAN"
        raise SystemExit(msg)
    return prior


def _read(name: str) -> Tensor:
    if name not in PHOTOS:
        return load_image(name)
    import skimage.data  # noqa: PLC0415

    pixels = torch.from_numpy(getattr(skimage.data, name)()).float() / 255
    return pixels.expand(3, -1, -1)[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]


def central_square(photo: Tensor) -> Tensor:
    """Cut the central square out of a photo."""
    height, width = photo.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[..., top : top + side, left : left + side]


def _contrast(samples: Tensor, photo: Tensor) -> float:
    spreads = samples.mean(dim=1).flatten(1).std(dim=1)
    return float(spreads.mean() / photo.mean(dim=1).std())


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _write(task: Task, name: str, table: str, columns: Mapping[str, Tensor]) -> None:
    text = f"# {name}\n\n{task.recipe}\n\n{table}"
    with replacing(task.out / f"{name}.md") as temporary:
        temporary.write_text(text)
    with replacing(task.out / f"{name}.png") as temporary:
        grid(columns).savefig(temporary, format="png")
    print(f"\n{name}\n\n{table}\nwrote {task.out / name}.md and .png")


if __name__ == "__main__":
    main()

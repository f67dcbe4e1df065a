"""`inverso train`: train a prior or a restorer on your own photos."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inverso.cli.options import RandomSeed, examples
from inverso.extras import needing

if TYPE_CHECKING:
    from inverso.training import Weights

app = typer.Typer(no_args_is_help=True, help="Train a prior or a restorer on your own photos.")

PRIOR_EPILOG = examples(
    "inverso train prior --data photos/ --out runs/flowers --steps 20000",
    "inverso train prior --data photos/ --out runs/flowers --resume",
)
STYLEGAN2_EPILOG = examples(
    "inverso train stylegan2 --data photos/ --out runs/flowers --steps 40000",
    "inverso train stylegan2 --data photos/ --out runs/flowers --resume --precision bf16-mixed",
)


@app.callback()
def _train() -> None:
    """Train a prior or a restorer on your own photos."""


ENCODER_EPILOG = examples(
    "inverso train encoder --data photos/ --out runs/encoder --steps 5000",
    "inverso train encoder --data photos/ --prior flowers.safetensors --out runs/encoder --resume",
)
RESTORER_EPILOG = examples(
    "inverso train restorer --data photos/ --out runs/restorer --steps 20000 --precision bf16-mixed",
    "inverso train restorer --data photos/ --corruptions white-noise,white-box:2",
    "inverso train restorer --data photos/ --corruption old-photo",
    "inverso train restorer --data photos/ --recipe mobile --weights perceptual=0,pixel=0.1",
)
Data = Annotated[Path, typer.Option("--data", help="Folder of photos, searched with its subfolders.")]
Steps = Annotated[int, typer.Option("--steps", help="Optimizer steps in all.")]
Side = Annotated[int | None, typer.Option("--size", help="Side of the images: 16, 32, 64, ...")]
Batch = Annotated[int | None, typer.Option("--batch", help="Photos per step.")]
Rate = Annotated[float | None, typer.Option("--lr", help="Step size of Adam.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder.")]
Devices = Annotated[int, typer.Option("--devices", help="Number of GPUs, or of processes on the CPU.")]
Precision = Annotated[str, typer.Option("--precision", help="32-true or bf16-mixed.", metavar="NAME")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
FALLING_HELP = "Optimizer steps in all; the step size falls towards the last."
OUT_HELP = "Folder for weights, checkpoints, losses and sample sheets."


@app.command(epilog=PRIOR_EPILOG)
def prior(  # noqa: PLR0913 - one argument per option
    *,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help=OUT_HELP)],
    steps: Steps = 20_000,
    size: Side = None,
    width: Annotated[int | None, typer.Option("--width", help="Channels of the widest resolution.")] = None,
    latent_dim: Annotated[int | None, typer.Option("--latent-dim", help="Length of the latent.")] = None,
    batch: Batch = None,
    lr: Rate = None,
    seed: RandomSeed = 0,
    resume: Resume = False,
    devices: Devices = 1,
    precision: Precision = "32-true",
    quiet: Quiet = False,
) -> None:
    """Train a generative prior on a folder of photos."""
    with needing("training"):
        from inverso.training import PriorRecipe, fit_prior  # noqa: PLC0415

    given: dict[str, Any] = {"size": size, "width": width, "latent_dim": latent_dim, "batch": batch, "lr": lr}
    recipe = replace(PriorRecipe(seed=seed), **{name: value for name, value in given.items() if value is not None})
    fit_prior(
        data,
        out=out,
        recipe=recipe,
        steps=steps,
        resume=resume,
        progress=not quiet,
        devices=devices,
        precision=precision,
    )
    typer.echo(f"wrote {out}")


@app.command(epilog=STYLEGAN2_EPILOG)
def stylegan2(  # noqa: PLR0913 - one argument per option
    *,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help=OUT_HELP)],
    steps: Steps = 40_000,
    size: Side = None,
    latent_dim: Annotated[int | None, typer.Option("--latent-dim", help="Length of latents and styles.")] = None,
    channel_base: Annotated[
        int | None, typer.Option("--channel-base", help="Channels at a side are this over the side, ...")
    ] = None,
    channel_max: Annotated[int | None, typer.Option("--channel-max", help="... and this many at most.")] = None,
    batch: Batch = None,
    lr: Rate = None,
    r1: Annotated[float | None, typer.Option("--r1", help="Weight of the R1 penalty; more for fewer photos.")] = None,
    shift: Annotated[
        int | None, typer.Option("--shift", help="Shift what the discriminator sees by up to so many pixels.")
    ] = None,
    seed: RandomSeed = 0,
    resume: Resume = False,
    devices: Devices = 1,
    precision: Precision = "32-true",
    quiet: Quiet = False,
) -> None:
    """Train a StyleGAN2 on a folder of photos."""
    with needing("training"):
        from inverso.training import StyleGAN2Recipe, fit_stylegan2  # noqa: PLC0415

    sizes = {"size": size, "latent_dim": latent_dim, "channel_base": channel_base, "channel_max": channel_max}
    given: dict[str, Any] = {**sizes, "batch": batch, "lr": lr, "r1": r1, "shift": shift}
    recipe = StyleGAN2Recipe(seed=seed, **{name: value for name, value in given.items() if value is not None})
    fit_stylegan2(
        data,
        out=out,
        recipe=recipe,
        steps=steps,
        resume=resume,
        progress=not quiet,
        devices=devices,
        precision=precision,
    )
    typer.echo(f"wrote {out}")


@app.command(epilog=ENCODER_EPILOG)
def encoder(  # noqa: PLR0913 - one argument per option
    *,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help=OUT_HELP)],
    prior: Annotated[str, typer.Option("--prior", help="Name of the prior, or its file.")] = "faces-64",
    steps: Annotated[int, typer.Option("--steps", help=FALLING_HELP)] = 5_000,
    width: Annotated[int | None, typer.Option("--width", help="Channels after the first convolution.")] = None,
    batch: Batch = None,
    lr: Rate = None,
    seed: RandomSeed = 0,
    resume: Resume = False,
    devices: Devices = 1,
    precision: Precision = "32-true",
    quiet: Quiet = False,
) -> None:
    """Train an encoder, which guesses from a measurement the latent that a search begins with."""
    with needing("training"):
        from inverso.training import EncoderRecipe, fit_encoder  # noqa: PLC0415
    from inverso.priors import LatentPrior, load  # noqa: PLC0415

    network = load(prior, kind=LatentPrior)
    given: dict[str, Any] = {"width": width, "batch": batch, "lr": lr}
    recipe = EncoderRecipe(
        size=network.image_shape[-1],
        anneal=steps,
        seed=seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    fit_encoder(
        data,
        prior=network,
        out=out,
        recipe=recipe,
        steps=steps,
        resume=resume,
        progress=not quiet,
        devices=devices,
        precision=precision,
    )
    typer.echo(f"wrote {out}")


@app.command(epilog=RESTORER_EPILOG)
def restorer(  # noqa: PLR0913 - one argument per option
    *,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help=OUT_HELP)] = Path("runs/restorer"),
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="unet, repair for old photos (the default where they are the only corruption), or mobile, x-gans or "
            "slides as in the papers.",
            metavar="NAME",
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help=FALLING_HELP)] = 20_000,
    size: Side = None,
    corruptions: Annotated[
        str | None,
        typer.Option(
            "--corruptions",
            "--corruption",
            help="What to undo and how often, as in white-noise:2,rgb-noise,white-box; or old-photo.",
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Weights of losses, as in pixel=1,adversarial=0.01,perceptual=0.")
    ] = None,
    batch: Batch = None,
    lr: Rate = None,
    seed: RandomSeed = 0,
    resume: Resume = False,
    devices: Devices = 1,
    precision: Precision = "32-true",
    quiet: Quiet = False,
) -> None:
    """Train a network that restores damaged photos in one pass, not knowing which pixels are wrong."""
    with needing("training"):
        from inverso.training import RECIPES, fit_restorer  # noqa: PLC0415

    mixture = None if corruptions is None else tuple(_pairs(corruptions, ":", default="1", name="--corruptions"))
    if recipe is None:
        recipe = "repair" if mixture is not None and {name for name, _ in mixture} == {"old-photo"} else "unet"
    if recipe not in RECIPES:
        msg = f"unknown recipe {recipe!r}; known are {', '.join(RECIPES)}"
        raise ValueError(msg)
    made = RECIPES[recipe](anneal=steps, seed=seed)
    given: dict[str, Any] = {"size": size, "batch": batch, "lr": lr, "corruptions": mixture}
    if weights is not None:
        given["weights"] = _reweighted(made.weights, _pairs(weights, "=", default=None, name="--weights"))
    fit_restorer(
        data,
        out=out,
        recipe=replace(made, **{name: value for name, value in given.items() if value is not None}),
        steps=steps,
        resume=resume,
        progress=not quiet,
        devices=devices,
        precision=precision,
    )
    typer.echo(f"wrote {out}")


def _pairs(text: str, separator: str, *, default: str | None, name: str) -> list[tuple[str, float]]:
    """Read `name:number,name:number`."""
    pairs = []
    for word in text.split(","):
        key, found, number = word.strip().partition(separator)
        if not found and default is not None:
            number = default
        try:
            pairs.append((key, float(number)))
        except ValueError as error:
            msg = f"{name} takes names and numbers as in a{separator}1,b{separator}0.5, got {word!r}"
            raise ValueError(msg) from error
    return pairs


def _reweighted(weights: Weights, pairs: list[tuple[str, float]]) -> Weights:
    known = [one.name for one in fields(weights)]
    for name, _ in pairs:
        if name not in known:
            msg = f"no loss is called {name!r}; known are {', '.join(known)}"
            raise ValueError(msg)
    return replace(weights, **dict(pairs))

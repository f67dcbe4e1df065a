"""The command `inverso`: its groups of commands put together."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from inverso.cli import bench, degrade, demo, export, models, page, quantize, restore, single, solve, train
from inverso.cli.group import OneLineErrors
from inverso.cli.operators import TakesOperator

app = typer.Typer(
    name="inverso",
    cls=OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the value of --version
    if wanted:
        from inverso import __version__  # noqa: PLC0415

        typer.echo(f"inverso {__version__}")
        raise typer.Exit


@app.callback()
def inverso(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Reconstruct images from what was measured of them, with generative priors."""


app.command(epilog=demo.EPILOG)(demo.demo)
app.command(cls=TakesOperator, epilog=degrade.EPILOG)(degrade.degrade)
app.command(epilog=restore.EPILOG)(restore.restore)
app.command(epilog=page.EPILOG)(page.app)
app.command(cls=TakesOperator, epilog=solve.EPILOG)(solve.solve)
app.command(epilog=models.EPILOG)(models.models)
app.command(epilog=bench.EPILOG)(bench.bench)
app.command(epilog=train.EPILOG, no_args_is_help=True)(train.train)
app.add_typer(single.app, name="single")
app.command(epilog=quantize.EPILOG)(quantize.quantize)
app.command(epilog=export.EPILOG)(export.export)


def main() -> None:
    """Run the command line."""
    # Large pages for large tensors, where the system has them: on photos of many megapixels most of the time of a mask
    # or a copy goes into small pages. Torch asks when it makes its first tensor.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    app()

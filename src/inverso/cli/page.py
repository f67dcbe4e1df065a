"""`inverso app`: serve a local web page to restore photos."""

from __future__ import annotations

from typing import Annotated

import typer

from inverso.cli.options import Device, examples, pick_device

EPILOG = examples("inverso app", "inverso app --port 8000 --open", "inverso app --host 0.0.0.0 --megapixels 20")


def app(
    *,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.", metavar="ADDRESS")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port, or the next that is free; 0 for any.")] = 7860,
    device: Device = None,
    megapixels: Annotated[float, typer.Option("--megapixels", help="Largest size of a photo or a result.")] = 50.0,
    megabytes: Annotated[float, typer.Option("--megabytes", help="Largest size of a file.")] = 100.0,
    time_limit: Annotated[
        float, typer.Option("--time-limit", help="Time limit of one photo.", metavar="SECONDS")
    ] = 1800.0,
    at_once: Annotated[int, typer.Option("--at-once", help="Photos worked on at a time; others wait.")] = 1,
    open_browser: Annotated[bool, typer.Option("--open", help="Also open the page in a browser.")] = False,
) -> None:
    """Serve a page on this machine to restore photos: drop, paint, compare, download."""
    from inverso.web import Settings, serve  # noqa: PLC0415

    settings = Settings(
        host=host,
        port=port,
        device=pick_device(device),
        megapixels=megapixels,
        megabytes=megabytes,
        time_limit=time_limit,
        at_once=at_once,
    )

    def ready(address: str) -> None:
        typer.echo(f"{address}  (Ctrl-C ends it)")
        if settings.is_public:
            typer.echo(f"everyone who can reach {host} can use it: there is no password", err=True)
        if open_browser:
            typer.launch(address)

    serve(settings, ready=ready)

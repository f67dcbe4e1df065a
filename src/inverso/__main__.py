"""Run the command line: `python -m inverso`, and the command `inverso`."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C is one line from the first moment on, when what it imports is still being read."""
    try:
        from inverso.cli.app import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()

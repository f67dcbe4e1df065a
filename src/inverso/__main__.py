"""Run the command line as `python -m inverso`."""

from inverso.cli.app import main

if __name__ == "__main__":
    main()

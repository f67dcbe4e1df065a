"""Errors and warnings of commands: one line on stderr, exit code 2 for bad input and 130 for Ctrl-C, no traceback."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from inverso._files import message_of
from inverso._machine import TOO_LARGE, lacks_memory
from inverso.cli.wording import in_options
from inverso.errors import InversoError

EXIT_BAD_INPUT = 2
_EXIT_INTERRUPTED = 130
_OPTIONS = "inverso.cli.options"
"""Key of the running command's options in what its context and those around it share."""


class OneLineErrors(TyperGroup):
    """A group of commands whose errors are one line each; `--debug` shows the traceback instead."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - the signature is the base class's
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run a command line; a wrong option is also reported in one line."""
        options = {"complete_var": complete_var, "windows_expand_args": windows_expand_args, **extra}
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **options)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **options)
        except OSError as error:
            # Of a command they are told by `invoke`: what is left is the output of --help and --version.
            if isinstance(error, BrokenPipeError) or "--debug" in (sys.argv[1:] if args is None else args):
                raise
            say_error(f"stdout cannot be written: {message_of(error)}")
            _forget_stdout()
            sys.exit(EXIT_BAD_INPUT)
        except Exception as error:
            message = _usage_message(error)
            if message is None:
                raise
            if message:
                say_error(message + _hint(sys.argv[1:] if args is None else args, message))
            sys.exit(EXIT_BAD_INPUT)
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Find the command that runs, and note its options."""
        _check_no_word_is_empty(args)
        name, command, rest = super().resolve_command(ctx, args)
        ctx.meta[_OPTIONS] = _options_in(command)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run a command."""
        # What Pillow warns of in a broken file is in the error, or does not keep the picture from being read.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        # What a terminal cannot show, such as the name of a file that is no UTF-8, is escaped, as it is on stderr.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        written = warnings.formatwarning
        if not ctx.params.get("debug"):
            warnings.formatwarning = partial(_as_one_line, ctx.meta)
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ValueError, TypeError, OSError, InversoError, ModuleNotFoundError) as error:
            if ctx.params.get("debug"):
                raise
            _stop(in_options(message_of(error), options_of(ctx)), EXIT_BAD_INPUT)
        except (MemoryError, RuntimeError) as error:
            if ctx.params.get("debug") or not lacks_memory(error):
                raise
            _stop(TOO_LARGE, EXIT_BAD_INPUT)
        except KeyboardInterrupt:
            _stop("interrupted", _EXIT_INTERRUPTED)
        finally:
            warnings.formatwarning = written


def options_of(context: typer.Context) -> Mapping[str, str]:
    """Return the options of the running command by the name of their argument, for `in_options`."""
    options: Mapping[str, str] = context.meta.get(_OPTIONS, {})
    return options


def given_options(context: typer.Context, names: Sequence[str]) -> list[str]:
    """Return the options, of those with these arguments, that the command line has."""
    options = options_of(context)
    # By its name, since Typer and Click each have a class of sources.
    return [options[name] for name in names if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]


def check_unused(context: typer.Context, names: Sequence[str], reason: str) -> None:
    """Raise for options that were given and have no effect in this call.

    Args:
        context: Context of the running command.
        names: Arguments of the options that have no effect.
        reason: Why they have none, and what to do.

    Raises:
        ValueError: One of them was given.
    """
    given = given_options(context, names)
    if given:
        msg = f"no effect of {', '.join(given)}: {reason}"
        raise ValueError(msg)


def _hint(args: Sequence[str], message: str) -> str:
    """Explain how to give a file whose name looks like an option."""
    if not message.startswith("No such option"):
        return ""
    files = [word for word in args if word.startswith("-") and Path(word).exists()]
    return f" (the file {files[0]} is given as ./{files[0]})" if files else ""


def _usage_message(error: Exception) -> str | None:
    """Return the message of a wrong command line: empty if the help was shown, None for any other error."""
    # Typer has carried its own copy of Click's exceptions since 0.20, so that their class has two homes.
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return ""
    read = getattr(error, "format_message", None)
    return None if read is None else f"{read()}{_given(error)}"


def _given(error: Exception) -> str:
    """Return the value that an option does not take, where Typer's message, as of 0.29, leaves it out."""
    read = getattr(error.__cause__, "errors", None)
    return f", got {read()[0]['input']!r}" if callable(read) else ""


def _check_no_word_is_empty(words: Sequence[str]) -> None:
    """Raise for an empty word, such as the unset variable of a script; `Path("")` would be the current folder.

    Raises:
        ValueError: A word is empty, or the value of an option.
    """
    for before, word in zip(("", *words), words, strict=False):
        if word == "" or (word.startswith("--") and word.endswith("=")):
            option = word[:-1] or before
            empty = f"the value of {option} is empty" if option.startswith("-") else "an input has an empty name"
            msg = f"{empty}: is a variable of a script unset?"
            raise ValueError(msg)


def _options_in(command: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the options of a command, or of all in a group, by the name of their argument."""
    if isinstance(command, TyperGroup):
        return {name: option for each in command.commands.values() for name, option in _options_in(each).items()}
    return {each.name: max(each.opts, key=len) for each in command.params if each.param_type_name == "option"}


def _as_one_line(
    meta: Mapping[str, Any],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Write a warning as one line; its place in the source, `--debug` shows."""
    del category, filename, lineno, line
    return f"warning: {' '.join(in_options(str(message), meta.get(_OPTIONS, {})).split())}\n"


def _forget_stdout() -> None:
    """Discard what could not be written: Python would try again when it ends, and complain."""
    with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _stop(message: str, code: int) -> NoReturn:
    say_error(message)
    raise typer.Exit(code)


def say_error(message: str) -> None:
    """Write an error to stderr, as one line."""
    typer.echo(f"error: {' '.join(in_options(message).split())}", err=True)

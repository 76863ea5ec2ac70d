"""How the process ends: every error a person can meet, written so that they can act on it, and the exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import click

from maestro.cli.options import GlobalOptions
from maestro.errors import MaestroError, missing_library

DEFECT = "this is a defect of Maestro"


def carry_out(
    action: Callable[[], Any], options: GlobalOptions, ended: Callable[[int], None] = lambda _code: None
) -> NoReturn:
    """Runs ``action`` and ends the process with its exit code, which ``ended`` is told when all is written."""
    obey_sigterm()
    try:
        result = action()
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the last place that can turn it into words
        code = explain(error, options)
    leave(code, ended)


def obey_sigterm() -> None:
    """Makes SIGTERM end what is going on as Ctrl-C does.

    Also after a run: Dagster then gives SIGTERM what SIGINT has, and a shell's background job ignores that.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def leave(code: int, ended: Callable[[int], None] = lambda _code: None) -> NoReturn:
    """Ends the process at once: taking the interpreter apart costs 0.2 s and has nothing left to do."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # The reader is gone; nobody to tell.
    try:
        ended(code)
    finally:
        os._exit(code)


def explain(error: BaseException, options: GlobalOptions) -> int:
    """Says on standard error what happened; the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        # `maestro logs | head`: who read has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    if options.debug:
        traceback.print_exception(error)
    error = missing_library(error) or error
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _say("cancelled")
        return 130
    if isinstance(error, MaestroError):
        _say(str(error) if error.where else f"error: {error}")
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return 2
    if isinstance(error, click.ClickException):
        _say(_usage(error))
        return 2
    _say(f"error: {type(error).__name__}: {_first_line(error)}; {DEFECT}")
    if not options.debug:
        _say("  next: run it again with --debug and report what it prints")
    return 1


def _usage(error: click.ClickException) -> str:
    message = error.format_message()
    # A sentence begins with one capital; a name in capitals (TEXT, FILE) stays as it is written.
    capitals = message[1:2].isupper()
    message = (message[:1] if capitals else message[:1].lower()) + message[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "maestro"
    return f"error: {message}\n  next: {where} --help"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return

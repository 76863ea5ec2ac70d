"""Writes what a person asked for: to the file they named, else to standard output."""

from __future__ import annotations

import os
from pathlib import Path

from maestro.cli.terminal import Terminal
from maestro.errors import InputError, Location


def write_output(terminal: Terminal, text: str, file: Path | None) -> None:
    """``text`` to ``file``, which is then named; to standard output when None.

    Raises:
        InputError: the file cannot be written.
    """
    if file is None:
        terminal.stream.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=Location(str(file)), next_step="name another file"
        ) from error
    terminal.line(f"wrote {file}")


def replace_file(file: Path, text: str) -> None:
    """Writes ``file`` whole or not at all; its folder is made when it is not there.

    Raises:
        InputError: it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=Location(str(file)), next_step="check the folder"
        ) from error

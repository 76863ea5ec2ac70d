"""References to secrets: settings say where a secret is, never what it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from maestro.errors import InputError, Location

REFERENCE_PATTERN = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"
Reference = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN)]
"""``env:NAME``, a variable of the server's environment, or ``file:PATH``, a file only its owner may read."""


def read_reference(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret ``reference`` names, without the line end at its end.

    Args:
        environ: the process's environment when None.

    Raises:
        InputError: it is no reference, there is nothing, it is empty, or others may read the file. The secret itself
            is never part of the message.
    """
    environ = os.environ if environ is None else environ
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        value = environ.get(name, "")
        if not value:
            raise InputError(f"the variable {name} is not set", next_step=f"set {name} in the server's environment")
        return value.rstrip("\r\n")
    if kind == "file" and name:
        return _of_file(Path(name).expanduser())
    raise InputError("this is no reference to a secret", next_step="write env:NAME or file:PATH")


def _of_file(path: Path) -> str:
    place = Location(str(path))
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"the secret cannot be read: {reason}", where=place, next_step="check the path") from None
    if stat.S_IMODE(mode) & 0o077:
        raise InputError("others may read this secret", where=place, next_step=f"chmod 600 {path}")
    if not text.strip():
        raise InputError("the file of the secret is empty", where=place, next_step="write the secret into it")
    return text.rstrip("\r\n")

"""What the prompt commands share: where the prompts are, and values of variables from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError, Location

if TYPE_CHECKING:
    from maestro.project import Project
    from maestro.prompts import Prompt

_LARGEST = 8 * 1024 * 1024


def project_of(options: GlobalOptions) -> Project | None:
    """The project, None outside of every repository: Maestro's own prompts are there all the same."""
    from maestro.project import Project

    try:
        return Project.find(options.project, file=options.file)
    except InputError:
        if not options.project.is_dir():
            raise
        return None


def folders_of(options: GlobalOptions) -> list[Path]:
    """Where prompts are, Maestro's own not among them."""
    from maestro.prompts.load import FOLDER

    project = project_of(options)
    return [project.root / FOLDER] if project is not None else []


def shown_file(path: Path) -> str:
    """``path`` as a person would write it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def values_of(prompt: Prompt, assignments: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` words as variables of ``prompt``.

    The value is JSON or, where it is none, text; a variable that is text takes it as it stands. ``@FILE`` is what a
    file holds, ``@-`` what standard input does.

    Raises:
        InputError: a word is no assignment, given twice, or it or its file is not UTF-8 or cannot be read.
    """
    from maestro.cli.llm_source import check_argument

    found: dict[str, Any] = {}
    properties = prompt.variables.get("properties", {})
    for word in assignments:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError(f"--var takes NAME=VALUE; found '{_short(word)}'", next_step="write --var name=value")
        if name in found:
            raise InputError(f"--var gives '{_short(name)}' twice", next_step="give it once")
        check_argument(name, "--var")
        check_argument(value, f"--var {_short(name)}")
        text = _file(value[1:]) if value.startswith("@") else value
        found[name] = text if _is_text(properties.get(name)) else _json_or_text(text)
    return found


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _file(name: str) -> str:
    from maestro.cli.llm_source import text_of

    where = Location("standard input" if name == "-" else name)
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            path = Path(name)
            if path.exists() and not path.is_file():
                raise InputError("it is no file", where=where, next_step="name a file with the value")
            with path.open("rb") as stream:
                data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=where, next_step="name a file") from None
    if len(data) > _LARGEST:
        raise InputError(f"it has more than {_LARGEST // 1024**2} MiB", where=where, next_step="name a smaller file")
    return text_of(data, where)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"

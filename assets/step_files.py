"""Reads the files by which a command hands over values: ``MAESTRO_OUTPUT`` and ``MAESTRO_METADATA``.

The syntax is that of ``GITHUB_OUTPUT`` (GitHub Actions, "Workflow commands", "Setting an output parameter" and
"Multiline strings"): a line ``name=value``, or ``name<<DELIMITER``, the lines of the value, and ``DELIMITER`` alone on
a line. Empty lines between entries mean nothing; of two entries of one name the later counts.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from maestro.errors import InputError, Location

OUTPUT = "MAESTRO_OUTPUT"
METADATA = "MAESTRO_METADATA"
LIMIT = 1024 * 1024
"""Largest such file, bytes; GitHub's limit for the outputs of a job."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def read_values(file: Path, variable: str) -> dict[str, str]:
    """The values in ``file``, named ``variable`` in errors; none when there is no such file.

    Raises:
        InputError: it is too large, no UTF-8, or a line is neither form. The line's text is not quoted: it may hold
            part of a secret.
    """
    if not file.is_file():
        return {}
    if file.stat().st_size > LIMIT:
        raise InputError(
            f"the step wrote more than {LIMIT:,} bytes to {variable}",
            next_step="keep large values as files: name them under 'outputs'",
        )
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _bad(variable, line, "is not UTF-8 text") from error
    return _parse([line.removesuffix("\r") for line in text.split("\n")], variable)


def read_metadata(file: Path) -> dict[str, Any]:
    """As :func:`read_values`, with numbers, booleans, lists and objects read as JSON (RFC 8259), the rest as text."""
    return {name: _json_or_text(value) for name, value in read_values(file, METADATA).items()}


def _parse(lines: list[str], variable: str) -> dict[str, str]:
    values: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and not 0 <= heredoc < equals:
            values[_name(line[:equals], variable, number)] = line[equals + 1 :]
            continue
        if heredoc < 0:
            raise _bad(variable, number, "is neither name=value nor name<<DELIMITER")
        name, delimiter = _name(line[:heredoc], variable, number), line[heredoc + 2 :]
        if not delimiter:
            raise _bad(variable, number, "has no delimiter after '<<'")
        try:
            end = lines.index(delimiter, at)
        except ValueError:
            raise _bad(variable, number, f"opens '{name}', which no delimiter line closes") from None
        values[name] = "\n".join(lines[at:end])
        at = end + 1
    return values


def _name(name: str, variable: str, line: int) -> str:
    if not _NAME.fullmatch(name):
        raise _bad(variable, line, "has a name with other characters than letters, digits, '_' and '-'")
    return name


def _bad(variable: str, line: int, what: str) -> InputError:
    return InputError(
        f"line {line} of {variable} {what}",
        where=Location(variable, line, 1),
        next_step=f"write lines such as: echo 'name=value' >> \"${variable}\"",
    )


def _json_or_text(value: str) -> Any:
    try:
        read = json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, (bool, int, float, list, dict)) else value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")

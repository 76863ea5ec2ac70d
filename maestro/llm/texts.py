"""Texts on their way to a model and back to people: whether they are UTF-8, and without codes for terminals."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor (ECMA-48).
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # OSC and others: titles, links.
)


def not_utf8(value: object) -> int | None:
    """Where the first text of a JSON-like value that is not UTF-8 goes wrong, in bytes from 0; None: all of them are.

    What is no text in UTF-8 stands in a ``str`` as a lone surrogate: Python puts undecodable bytes of arguments and
    files there, and JSON may escape one.
    """
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if one.isascii():
                continue
            try:
                one.encode("utf-8")
            except UnicodeEncodeError as error:
                return len(one[: error.start].encode("utf-8"))
        elif isinstance(one, Mapping):
            waiting += [*one, *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
    return None


def harmless(text: str) -> str:
    """``text`` for a terminal or a log: lines and tabs stay, control sequences go, other controls become spaces."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in _SEQUENCES.sub("", text.replace("\r\n", "\n")))

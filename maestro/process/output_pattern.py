"""Globs of declared outputs as regular expressions over paths relative to the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)


def output_pattern(globs: Iterable[str]) -> re.Pattern[str]:
    """A pattern whose ``fullmatch`` tells whether a POSIX path is meant by one of ``globs``.

    ``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[…]`` is a set; a glob that means a folder means
    all in it.
    """
    return re.compile("|".join(f"{_expression(glob)}(?:/.*)?" for glob in globs) or r"(?!)", re.DOTALL)


def _expression(glob: str) -> str:
    return "".join(map(_part, _PARTS.findall(glob.removeprefix("./").rstrip("/"))))


def _part(part: str) -> str:
    if part == "**/":
        return "(?:.*/)?"
    if part == "**":
        return ".*"
    if part == "*":
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 2:
        inner = part[1:-1].replace("\\", r"\\")
        return f"(?!/)[^{inner[1:]}]" if inner.startswith("!") else f"(?!/)[{inner}]"
    return re.escape(part)

"""What a model's answer names: findings, each with a file and a line, out of JSON or out of Markdown.

Lenient about form: a JSON array anywhere in the text, one in an object, or places written as ``file:line``. Strict
about meaning: an answer that names nothing and does not say that there is nothing is no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["json", "markdown", "none_said", "unreadable"]

_MOST_CHARACTERS = 200_000
_MOST_FINDINGS = 200
_LISTS = ("findings", "issues", "problems", "defects", "comments", "results")
_FILES = ("file", "path", "filename", "file_path")
_LINES = ("line", "line_number", "lineno", "start_line", "row")
_TEXTS = ("message", "why", "description", "title", "kind", "issue", "text", "comment")

_PLACE = re.compile(
    r"(?P<file>(?:[\w.@~+-]{1,80}/){0,20}[\w.@~+-]{1,120})"
    r"(?:`|\*\*)?"
    r"(?::(?: ?line )?|#L|,? \(?(?:at |on |in )?lines? |\(L?)"
    r"(?P<line>\d{1,7})(?!\.\d)"
)
_NAMED = re.compile(r"[A-Za-z_.]")
_NOTHING = re.compile(
    r"\b(?:no|not any|zero|0|without|none)\b[^.\n]{0,40}\b(?:issues?|problems?|findings?|defects?|bugs?|concerns?)\b"
    r"|\b(?:lgtm|looks good|nothing (?:to report|wrong|found|to find))\b"
    r"|\b(?:did|do|could) ?(?:not|n't) (?:find|see|spot)\b"
    r"|^\W{0,5}none\W{0,5}$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A place that is said to be wrong.

    Args:
        file: as it was written, without ``a/``, ``b/`` and ``./``.
        line: from 1; None when only the file was named.
        text: what was said about it, cut.
    """

    file: str
    line: int | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that an answer names, in its order.

    Args:
        form: ``none_said``: it says in words that there is nothing. ``unreadable``: neither.
    """

    found: tuple[Finding, ...]
    form: Form

    @property
    def readable(self) -> bool:
        """Whether it can be told what the answer says."""
        return self.form != "unreadable"


def read_findings(text: str) -> Findings:
    """The findings of an answer. Never raises: what makes no sense is ``unreadable``."""
    text = text[:_MOST_CHARACTERS]
    for value in _json_values(text):
        listed = _listed(value)
        if listed is not None:
            found = tuple(one for one in map(_of_json, listed[:_MOST_FINDINGS]) if one is not None)
            if found or not listed:
                return Findings(found, "json")
    found = tuple(_of_text(text))
    if found:
        return Findings(found, "markdown")
    return Findings((), "none_said" if _NOTHING.search(text) else "unreadable")


def _json_values(text: str) -> Iterator[Any]:
    """The JSON arrays and objects in a text, outermost ones, at most a few: whole, in a fence, or after words."""
    decoder = json.JSONDecoder()
    place, tries = 0, 0
    while tries < 50 and (start := _next_start(text, place)) is not None:
        tries += 1
        try:
            value, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            place = start + 1
            continue
        yield value


def _next_start(text: str, place: int) -> int | None:
    starts = [at for at in (text.find("[", place), text.find("{", place)) if at >= 0]
    return min(starts, default=None)


def _listed(value: Any) -> list[Any] | None:
    """The list of findings in a JSON value; None when it holds none (a footnote's ``[1]`` is no list of findings)."""
    if isinstance(value, list):
        return value if all(isinstance(one, dict) for one in value) else None
    if isinstance(value, dict):
        for name in _LISTS:
            if isinstance(value.get(name), list):
                return _listed(value[name])
        return [value] if _first(value, _FILES) is not None else None
    return None


def _of_json(value: dict[str, Any]) -> Finding | None:
    file, line = _first(value, _FILES), _first(value, _LINES)
    if not isinstance(file, str) or not file:
        return None
    place = _PLACE.fullmatch(file)
    if line is None and place is not None:
        file, line = place["file"], place["line"]
    number = re.match(r"\s*L?(\d{1,7})", str(line)) if line is not None and not isinstance(line, bool) else None
    said = _first(value, _TEXTS)
    return Finding(tidy(file), int(number[1]) if number else None, str(said or "")[:300])


def _first(value: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _of_text(text: str) -> Iterator[Finding]:
    """Places in words; a place named twice counts once, as people repeat themselves in a summary."""
    seen: set[tuple[str, int]] = set()
    for line in text.splitlines():
        for match in _PLACE.finditer(line[:2000]):
            file, number = tidy(match["file"]), int(match["line"])
            if not _is_file(file) or (file, number) in seen:
                continue
            seen.add((file, number))
            if len(seen) > _MOST_FINDINGS:
                return
            yield Finding(file, number, line.strip()[:300])


def _is_file(name: str) -> bool:
    """Whether it looks like a file: a path, or a name with an ending. ``at 12:30`` and ``see 3:4`` are none."""
    if "://" in name or not _NAMED.search(name):
        return False
    last = name.rpartition("/")[2]
    return "/" in name or "." in last.strip(".") or last in ("Containerfile", "Dockerfile", "Makefile")


def tidy(file: str) -> str:
    """A path as the cases write it: without ``a/``, ``b/``, ``./`` and quotes."""
    file = file.strip().strip("`'\"*").replace("\\", "/")
    while file.startswith("./"):
        file = file[2:]
    return file[2:] if file[:2] in ("a/", "b/") else file

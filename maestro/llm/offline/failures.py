"""Triage without a model: the lines of a log that say that something failed, as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from maestro.llm.offline.text import counted, fenced, plain

MOST = 15
_LAST = 10
_LONGEST = 2000
_DIGITS = re.compile(r"\d+")
_STRONG = re.compile(
    r"^\s*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt)(?::|$)|^E   +\S|^(?:FAILED|ERROR) \S|^--- FAIL: "
    r"|^not ok \d|panicked at|Segmentation fault|core dumped|\bOOMKilled\b|Out of memory|Killed$|BUILD FAILED"
    r"|^npm ERR!|^FATAL\b|^fatal: |^Exception in thread|^\s*[✕✗\u00d7✘] |\berror\[E\d+\]|\bundefined reference to\b"
    r"|^.{1,200}:\d+:(?:\d+:)? (?:fatal )?error\b"
)
_WEAK = re.compile(
    r"\b(?:error|failed|failure|fatal|exception|traceback|cannot|could not|timed out|permission denied|no such file"
    r"|command not found|refused|denied|abort(?:ed|ing)?|exit (?:code|status) [1-9]\d*|exited with [1-9]\d*)\b",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"\b(?:0|no|without|zero) (?:errors?|fail(?:ed|ures?))\b|\b(?:errors?|failures?|failed)\s*[:=]\s*0\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log, numbered from 1."""

    number: int
    text: str
    strong: bool


def failing_lines(text: str) -> list[Line]:
    """The lines that say that something failed, in their order; one of those that differ in numbers only."""
    found: list[Line] = []
    seen: set[str] = set()
    for number, raw in enumerate(text.split("\n"), 1):
        # Pieces of an escape sequence would hide what a line begins with.
        line = plain(raw[:_LONGEST], _LONGEST)
        strong = _STRONG.search(line) is not None
        if not strong and (_WEAK.search(line) is None or _NOTHING.search(line)):
            continue
        form = _DIGITS.sub("#", line.strip())
        if form not in seen:
            seen.add(form)
            found.append(Line(number, line, strong))
    return found


def triage(text: str, lines: list[Line]) -> Iterator[str]:
    """What failed, line by line, in Markdown."""
    strong = [one for one in lines if one.strong]
    chosen = strong or lines
    if not chosen:
        last = [line for line in text.rstrip().split("\n") if line.strip()][-_LAST:]
        yield "The log does not show the cause: no line of it says that something failed. No model has read it."
        yield from ("", "## Its last lines", "", *fenced(last))
        return
    yield f"{counted(len(chosen), 'line')} of the log say that something failed; no model has read it."
    shown = chosen[:MOST]
    yield from ("", "## Evidence", "", *fenced(f"{one.number:>6} | {one.text}" for one in shown))
    if len(chosen) > MOST:
        yield f"… and {len(chosen) - MOST:,} more"

"""What changed between two versions of a prompt, and whether its version says so."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from maestro.prompts.model import Prompt

Verdict = Literal["same", "changed", "not_renumbered", "renumbered"]


@dataclass(frozen=True, slots=True)
class Change:
    """A part that differs.

    Args:
        part: ``messages``, ``variables`` …
        lines: a unified diff of it, without line ends.
    """

    part: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How ``new`` differs from ``old``.

    Args:
        verdict: ``same``: what is asked is the same, under the same version; ``changed``: it differs, and so does the
            version; ``not_renumbered``: it differs under one version; ``renumbered``: only the version differs.
    """

    old: Prompt
    new: Prompt
    verdict: Verdict
    changes: tuple[Change, ...]


def compare(old: Prompt, new: Prompt) -> Comparison:
    """What differs between two prompts; descriptions and tests do not change what is asked, but are shown."""
    changes = tuple(
        Change(part, lines)
        for part, before, after in _parts(old, new)
        if (lines := tuple(difflib.unified_diff(before, after, old.file, new.file, lineterm="", n=2)))
    )
    asked = any(one.part not in ("description", "tests") for one in changes)
    verdict: Verdict = "changed" if asked else "renumbered"
    if old.version == new.version:
        verdict = "not_renumbered" if asked else "same"
    return Comparison(old, new, verdict, changes)


def _parts(old: Prompt, new: Prompt) -> Iterator[tuple[str, list[str], list[str]]]:
    yield "name", [old.name], [new.name]
    yield "description", old.description.splitlines(), new.description.splitlines()
    for part, value in (
        ("variables", lambda one: one.variables),
        ("limits", _limits),
        ("requires", lambda one: sorted(one.requires)),
        ("policy", lambda one: one.policy),
    ):
        yield part, _lines(value(old)), _lines(value(new))
    yield "messages", _messages(old), _messages(new)
    yield "tests", _tests(old), _tests(new)


def _limits(one: Prompt) -> dict[str, object]:
    return {
        "max_input_tokens": one.max_input_tokens,
        "max_output_tokens": one.max_output_tokens,
        "temperature": one.temperature,
    }


def _messages(one: Prompt) -> list[str]:
    return [line for message in one.messages for line in (f"--- {message.role}", *message.source.splitlines())]


def _tests(one: Prompt) -> list[str]:
    return _lines([test.model_dump(exclude_defaults=True) for test in one.tests])


def _lines(value: object) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False).splitlines()

"""Counts what a rendering does, and follows personal data through what changes it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

MAX_WORK = 1_000_000
MAX_TEXT = 1024 * 1024
METER = " meter"
"""Name of the meter among a template's variables; no template can write it."""


class PersonalText(str):
    """A text that holds personal data; so does every part of it."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> PersonalText:
        return PersonalText(super().__getitem__(key))


@dataclass(slots=True)
class Meter:
    """Counts what a rendering does.

    Args:
        deadline: of ``time.monotonic()``.
        personal: personal texts, as they were given and as filters have changed them.
    """

    deadline: float
    work: int = 0
    personal: set[str] = field(default_factory=set)

    def spend(self, amount: int = 1) -> None:
        """Counts ``amount`` steps.

        Raises:
            SecurityError: it was too much, or took too long.
        """
        self.work += amount
        if self.work > MAX_WORK:
            raise SecurityError(f"the template does more than {MAX_WORK:,} steps")
        self.in_time()

    def in_time(self) -> None:
        """Raises SecurityError when the time is over."""
        if time.monotonic() > self.deadline:
            raise SecurityError("rendering takes too long")

    def found(self, texts: Iterable[str], text: str) -> Iterator[bool]:
        """Of each of ``texts`` whether it is in ``text``; a hundred thousand in a long one take minutes.

        Raises:
            SecurityError: the time is over.
        """
        for number, one in enumerate(texts):
            if number % 64 == 0:
                self.in_time()
            yield one in text

    def carried(self, inputs: Iterable[Any], output: Any) -> Any:
        """``output``, marked as personal when one of ``inputs`` is."""
        sources = [one for one in inputs for one in (one if isinstance(one, list | tuple) else (one,))]
        marked = [str(one) for one in sources if isinstance(one, PersonalText)]
        if not marked:
            return output
        if isinstance(output, str):
            # A single letter would be found everywhere.
            if len(output.strip()) > 1 and not all(self.found(marked, output)):
                self.personal.add(output.strip())
            return PersonalText(output)
        if isinstance(output, list | tuple):
            return [self.carried(sources, one) if isinstance(one, str) else one for one in output]
        return output


def meter_of(context: Context) -> Meter:
    """The meter of the rendering that is going on."""
    found = context.resolve(METER)
    assert isinstance(found, Meter)
    return found


def bounded(size: int) -> None:
    """Raises SecurityError for a text of more than 1 MiB."""
    if size > MAX_TEXT:
        raise SecurityError("the text would be larger than 1 MiB")

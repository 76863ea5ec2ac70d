"""Replaces the values of secrets by ``***``, in whatever form ``encodings`` knows them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, SupportsIndex

from maestro.errors import InputError
from maestro.secrets.encodings import forms
from maestro.secrets.patterns import alternation
from maestro.secrets.values import MINIMUM_LENGTH

MASK = "***"
_MASK = MASK.encode()
_HEAD = MINIMUM_LENGTH
"""Bytes every form has at least, by which a possible beginning of one is found."""
_PIECE = 32 * 1024
"""Bytes searched at once: nothing else runs in the process meanwhile."""


class Masker:
    """Masks the given values; thread safe, and it neither prints nor pickles them.

    Args:
        values: the values of secrets, each of at least four characters.

    Raises:
        InputError: a value is too short to be masked.
    """

    __slots__ = ("_forms", "_heads", "_longest", "_pattern")

    def __init__(self, values: Iterable[str]) -> None:
        values = tuple(values)
        if any(len(value.strip()) < MINIMUM_LENGTH for value in values):
            raise InputError(
                f"a secret has fewer than {MINIMUM_LENGTH} characters, which cannot be masked safely",
                next_step="use a longer value for it",
            )
        self._forms = sorted({form for value in values for form in forms(value)})
        self._longest = max(map(len, self._forms), default=0)
        self._pattern = alternation(self._forms) if self._forms else None
        self._heads = alternation(form[:_HEAD] for form in self._forms) if self._forms else None

    def __repr__(self) -> str:
        return f"Masker(active={self.active})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a masker holds values of secrets and is not pickled; make a new one where it is needed")

    @property
    def active(self) -> bool:
        """False when there is nothing to mask."""
        return self._pattern is not None

    def data(self, data: bytes) -> bytes:
        """``data`` with every form of every value replaced."""
        parts: list[bytes] = []
        position = 0
        for start, end in self.spans(data):
            parts += (data[position:start], _MASK)
            position = end
        return b"".join((*parts, data[position:])) if parts else data

    def text(self, text: str) -> str:
        """``text`` with every form of every value replaced."""
        if self._pattern is None:
            return text
        handler = "surrogateescape"
        try:
            data = text.encode("utf-8", handler)
        except UnicodeEncodeError:
            handler = "surrogatepass"
            data = text.encode("utf-8", handler)
        masked = self.data(data)
        return text if masked is data else masked.decode("utf-8", handler)

    def value(self, value: Any) -> Any:
        """A JSON-like value with all its texts masked, keys and numbers too."""
        if self._pattern is None or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, int | float):
            return value if self.text(repr(value)) == repr(value) else MASK
        if isinstance(value, dict):
            masked: dict[Any, Any] = {}
            for key, item in value.items():
                masked[self._distinct(self.value(key), masked)] = self.value(item)
            return masked
        if isinstance(value, list | tuple | set | frozenset):
            items = [self.value(item) for item in value]
            return items if isinstance(value, list) else tuple(items)
        return value

    @staticmethod
    def _distinct(key: Any, taken: dict[Any, Any]) -> Any:
        """``key``, numbered when masking made it equal to another one, so that no entry is lost."""
        number = 2
        distinct = key
        while distinct in taken:
            distinct = f"{key} ({number})"
            number += 1
        return distinct

    def spans(self, data: bytes, stop: int | None = None, covered: int = 0) -> Iterator[tuple[int, int]]:
        """Start and end of every stretch to mask, in order; forms that overlap make one stretch.

        Args:
            data: what is searched.
            stop: forms that begin here or later are left alone.
            covered: that many bytes at the start are masked already; the first stretch is then what they grow to.
        """
        if self._pattern is None:
            return
        limit = len(data) if stop is None else stop
        start, end = 0, covered
        position = 0
        while (match := self._search(self._pattern, data, position)) and match.start() < limit:
            if match.start() >= end:
                if end:
                    yield start, end
                start, end = match.span()
            else:
                end = max(end, match.end())
            # From the next byte, not from the end: another form may begin within this one.
            position = match.start() + 1
        if end:
            yield start, end

    def _search(self, pattern: re.Pattern[bytes], data: bytes, position: int) -> re.Match[bytes] | None:
        for begin in range(position, len(data), _PIECE):
            # What begins in the piece is seen whole; what begins behind it may not be, and is found in the next.
            match = pattern.search(data, begin, begin + _PIECE + self._longest)
            if match is not None and match.start() < begin + _PIECE:
                return match
        return None

    def open_end(self, data: bytes) -> int:
        """Where the longest beginning of a form starts that reaches the end of ``data``; its length when none does."""
        if self._heads is None:
            return len(data)
        size = len(data)
        position = max(0, size - self._longest + 1)
        while match := self._heads.search(data, position):
            if self._begins(data[match.start() :]):
                return match.start()
            position = match.start() + 1
        for position in range(max(0, size - _HEAD + 1), size):
            if self._begins(data[position:]):
                return position
        return size

    def _begins(self, tail: bytes) -> bool:
        """Whether a form begins with ``tail`` and goes on."""
        index = bisect_left(self._forms, tail + b"\0")
        return index < len(self._forms) and self._forms[index].startswith(tail)

"""Many literal byte strings as one regular expression that tries the longest first and shares their beginnings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby


def alternation(literals: Iterable[bytes]) -> re.Pattern[bytes]:
    """A pattern that matches the longest of ``literals`` at a place; the empty one must not be among them."""
    return re.compile(_expression(sorted(set(literals))), re.DOTALL)


def _expression(ordered: Sequence[bytes]) -> bytes:
    """Of sorted distinct literals. Sharing beginnings keeps the work at each place independent of their number."""
    branches = []
    for _first, group in groupby((word for word in ordered if word), key=lambda word: word[0]):
        words = list(group)
        shared = _shared_beginning(words[0], words[-1])
        rest = [word[len(shared) :] for word in words]
        branches.append(re.escape(shared) + (_expression(rest) if len(rest) > 1 else b""))
    joined = b"(?:" + b"|".join(branches) + b")"
    # Greedy: what goes on is tried before what may end here.
    return joined + b"?" if ordered and not ordered[0] else joined


def _shared_beginning(first: bytes, last: bytes) -> bytes:
    """Of the first and last of sorted words, which is that of all of them."""
    length = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        length += 1
    return first[:length]

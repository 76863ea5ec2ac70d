"""Which hash each row must have, by what was signed.

The rows, the stored leaves and the stored inner nodes each offer a hash for every subtree. From a signed root down,
those that hash to their signed parent are genuine, whoever else was changed. So a change is narrowed down to a row
wherever one of the three was left alone, and to a range where none was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from maestro.audit.merkle import Node, Range, cover, fold, hash_children, split

Hash = bytes | None
Source = Callable[[int, int], Hash]
"""The root of a range of leaves, or None when it is not known."""


class Tree:
    """All perfect subtrees over leaves of which some may be missing.

    Args:
        leaves: None where a leaf is not known.
    """

    def __init__(self, leaves: Sequence[Hash]) -> None:
        self.levels: list[Sequence[Hash]] = [leaves]
        while len(below := self.levels[-1]) > 1:
            self.levels.append(
                [
                    hash_children(left, right) if left is not None and right is not None else None
                    for left, right in zip(below[::2], below[1::2], strict=False)
                ]
            )

    def root(self, start: int, end: int) -> Hash:
        """The root of a range; None when a leaf of it is missing."""
        hashes = [self._node(level, index) for level, index in cover(start, end)]
        known = [one for one in hashes if one is not None]
        return fold(known) if len(known) == len(hashes) else None

    def _node(self, level: int, index: int) -> Hash:
        return self.levels[level][index] if level < len(self.levels) and index < len(self.levels[level]) else None


def stored(nodes: Mapping[Node, bytes]) -> Source:
    """Roots by the inner nodes as they are stored."""

    def root(start: int, end: int) -> Hash:
        hashes = [nodes.get(node) for node in cover(start, end)]
        known = [one for one in hashes if one is not None]
        return fold(known) if len(known) == len(hashes) else None

    return root


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the leaves under a signed root.

    Args:
        leaves: index -> the hash it must have, where that is not the row's own.
        unknown: ranges of which nothing is left that was signed.
    """

    leaves: Mapping[int, bytes]
    unknown: Sequence[Range]


def authenticate(size: int, root: bytes, rows: Source, others: Sequence[Source]) -> Truth:
    """Descends from a signed root over ``size`` leaves; where the rows agree it goes no deeper."""
    leaves: dict[int, bytes] = {}
    unknown: list[Range] = []
    waiting: list[tuple[int, int, bytes]] = [(0, size, root)] if size else []
    while waiting:
        start, end, genuine = waiting.pop()
        if rows(start, end) == genuine:
            continue
        if end - start == 1:
            leaves[start] = genuine
            continue
        middle = start + split(end - start)
        pair = _pair(genuine, start, middle, end, [rows, *others])
        if pair is None:
            unknown.append((start, end))
        else:
            waiting += [(middle, end, pair[1]), (start, middle, pair[0])]
    return Truth(leaves, unknown)


def _pair(parent: bytes, start: int, middle: int, end: int, sources: Sequence[Source]) -> tuple[bytes, bytes] | None:
    lefts = {one for source in sources if (one := source(start, middle)) is not None}
    rights = {one for source in sources if (one := source(middle, end)) is not None}
    for left in lefts:
        for right in rights:
            if hash_children(left, right) == parent:
                return left, right
    return None

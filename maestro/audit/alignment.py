"""From rows that do not fit to what was done: edited, dropped, inserted, put elsewhere, cut off.

A row that stands where it does not belong still hashes to a genuine leaf under its old index. So rows that were moved,
or shifted because another one was put in or taken out, are told from rows that were changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from maestro.audit.event import Row
from maestro.audit.report import Finding, Kind, rows_named

_NEAR = 32
_BUDGET = 300_000
"""Hashes spent on finding where rows come from."""


def leaf_of(row: Row, index: int) -> bytes | None:
    """The leaf hash; None when the row holds what no sound row can."""
    texts: tuple[object, ...] = (row.at, row.actor, row.kind, row.object, row.data)
    if not all(isinstance(one, str) for one in texts):
        return None
    try:
        return row.leaf(index)
    except UnicodeEncodeError:
        return None


def align(size: int, misfits: Mapping[int, Row], expected: Mapping[int, bytes], absent: Sequence[int]) -> list[Finding]:
    """Names what was done.

    Args:
        size: rows there should be.
        misfits: index -> row that is not the one that belongs there; indexes outside the log are allowed.
        expected: index -> genuine leaf hash, of the places where the genuine row is not.
        absent: indexes with no row at all.
    """
    came_from = _origins(misfits, expected)
    found_again = set(came_from.values())
    findings = _moved(came_from)
    lost = []
    for index in sorted(misfits):
        if index in came_from:
            if index in expected and index not in found_again:
                lost.append(index)
        elif not 0 <= index < size:
            findings.append(
                Finding("inserted", index, index, f"row {index} was inserted: no commit of the log wrote it")
            )
        elif index in found_again:
            findings.append(Finding("inserted", index, index, f"row {index} was inserted: another row belongs there"))
        else:
            findings.append(Finding("edited", index, index, f"row {index} was edited: it is not what was logged"))
    lost += [index for index in absent if index not in found_again]
    return sorted([*findings, *_gone(size, lost, set(absent))], key=lambda one: (one.first or 0, one.kind))


def _origins(misfits: Mapping[int, Row], expected: Mapping[int, bytes]) -> dict[int, int]:
    """Index of a row -> the index it was logged at, for those that only stand elsewhere."""
    came_from: dict[int, int] = {}
    free = set(expected)
    shift, budget = 0, _BUDGET
    for index in sorted(misfits):
        for place in _candidates(index, shift, free, budget):
            budget -= 1
            if place != index and leaf_of(misfits[index], place) == expected[place]:
                came_from[index] = place
                free.discard(place)
                shift = place - index
                break
    return came_from


def _candidates(index: int, shift: int, free: set[int], budget: int) -> Iterator[int]:
    """Where the row before came from, then nearby places, then all others while there is budget for so many."""
    if index + shift in free:
        yield index + shift
    if budget <= 0:
        return
    for distance in range(1, _NEAR + 1):
        yield from (place for place in (index + distance, index - distance) if place in free)
    if len(free) <= budget:
        yield from sorted(free)


def _moved(came_from: Mapping[int, int]) -> list[Finding]:
    findings: list[Finding] = []
    for first, last in _runs(sorted(came_from), lambda one, following: came_from[following] == came_from[one] + 1):
        origin, end = came_from[first], came_from[last]
        findings.append(
            Finding("reordered", origin, end, f"{rows_named(origin, end)} now stand at {first} to {last}")
            if first != last
            else Finding("reordered", origin, end, f"row {origin} now stands at {first}")
        )
    return findings


def _gone(size: int, lost: Sequence[int], absent: set[int]) -> list[Finding]:
    findings = []
    for first, last in _runs(sorted(set(lost)), lambda _one, _following: True):
        tail = last == size - 1 and first in absent
        kind: Kind = "truncated" if tail else "dropped"
        word = "cut off the end" if tail else "dropped"
        verb = "was" if first == last else "were"
        findings.append(Finding(kind, first, last, f"{rows_named(first, last)} {verb} {word}"))
    return findings


def _runs(indexes: Sequence[int], joined: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """First and last of each stretch of neighbours that are ``joined``."""
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and runs[-1][1] + 1 == index and joined(runs[-1][1], index):
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs

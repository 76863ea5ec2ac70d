"""Whether a version lies in an advisory's ranges: the evaluation algorithm of the OSV schema, section "Evaluation"."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cmp_to_key
from typing import Any, TypeAlias

from maestro.vulnerabilities.versions import Order, UnreadableVersionError

EVENTS = ("introduced", "fixed", "last_affected", "limit")
Range: TypeAlias = tuple[tuple[str, str], ...]
"""Events, (kind, version) each, in the order they were written."""


def is_affected(version: str, versions: Sequence[str], ranges: Sequence[Range], order: Order) -> bool:
    """Whether ``version`` is listed, or lies in one of ``ranges``.

    A bound that cannot be read leaves the list to decide, if there is one: it then holds every affected version.

    Raises:
        UnreadableVersionError: it cannot be said.
    """
    if version in versions:
        return True
    mine = order(version)
    if not ranges:
        return any(_equal(mine, listed, order) for listed in versions)
    for one in ranges:
        try:
            if in_range(mine, one, order):
                return True
        except UnreadableVersionError:
            if not versions:
                raise
    return False


def in_range(version: Any, events: Range, order: Order) -> bool:
    """Whether ``version``, already made comparable, lies in one range.

    Raises:
        UnreadableVersionError: a bound is no version of the ecosystem.
    """
    limits = [bound for kind, bound in events if kind == "limit"]
    if limits and not any(bound == "*" or version < order(bound) for bound in limits):
        return False
    affected = False
    for kind, bound in sorted((one for one in events if one[0] != "limit"), key=cmp_to_key(_comparison(order))):
        if kind == "introduced":
            if bound == "0" or not version < order(bound):
                affected = True
        elif kind == "fixed":
            if not version < order(bound):
                affected = False
        elif order(bound) < version:
            affected = False
    return affected


def fixed_after(version: str, ranges: Sequence[Range], order: Order) -> list[str]:
    """The versions later than ``version`` that mend it, lowest first; unreadable ones are left out."""
    mine = order(version)
    found: dict[str, Any] = {}
    for kind, bound in (event for one in ranges for event in one):
        if kind == "fixed" and bound != "0":
            with suppress(UnreadableVersionError):
                found[bound] = order(bound)
    later = [(bound, key) for bound, key in found.items() if mine < key]
    return [bound for bound, _ in sorted(later, key=cmp_to_key(_by_key))]


def _comparison(order: Order) -> Any:
    def compare(first: tuple[str, str], second: tuple[str, str]) -> int:
        if first[1] == second[1]:
            return 0
        # Zero stands for "before every version", also where a version may be lower than 0.
        if first[1] == "0":
            return -1
        if second[1] == "0":
            return 1
        return _compare(order(first[1]), order(second[1]))

    return compare


def _compare(first: Any, second: Any) -> int:
    return -1 if first < second else 1 if second < first else 0


def _by_key(first: tuple[str, Any], second: tuple[str, Any]) -> int:
    return _compare(first[1], second[1])


def _equal(mine: Any, listed: str, order: Order) -> bool:
    try:
        return bool(mine == order(listed))
    except UnreadableVersionError:
        return False

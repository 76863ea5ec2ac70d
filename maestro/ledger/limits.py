"""Which limit holds for a scope: what a person set, for it or a pattern, else the default; a workflow can lower it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from maestro.ledger.model import PULL_REQUEST_DEFAULT, Scope, Unit
from maestro.ledger.names import key_of, pattern_keys

Cell = tuple[str, str]
"""Key of a scope, unit."""
LEVELS = (80, 95, 100)


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that may be used; None: not limited. ``source``: ``default``, ``workflow``, or who set it."""

    amount: int | None
    source: str = "default"


UNLIMITED = Limit(None)


def effective(scope: Scope, unit: Unit, own: Mapping[Cell, Limit], workflow: Mapping[str, Mapping[str, int]]) -> Limit:
    """The limit that holds.

    Args:
        own: what persons set, for scopes and for patterns.
        workflow: key of a scope -> unit -> the workflow's upper bound, which only ever lowers.
    """
    found = _granted(scope, unit, own)
    bound = workflow.get(key_of(scope), {}).get(unit)
    if bound is not None and (found.amount is None or bound < found.amount):
        return Limit(bound, "workflow")
    return found


def levels(used: int, limit: int | None) -> tuple[int, ...]:
    """The thresholds, in per cent, that ``used`` has reached."""
    if limit is None or used <= 0:
        return ()
    return tuple(level for level in LEVELS if used * 100 >= level * limit)


def _granted(scope: Scope, unit: Unit, own: Mapping[Cell, Limit]) -> Limit:
    if own:
        for pattern in pattern_keys(key_of(scope)):
            found = own.get((pattern, unit))
            if found is not None:
                return found
    if scope.kind == "pull_request" and unit is Unit.USD:
        return Limit(PULL_REQUEST_DEFAULT)
    return UNLIMITED

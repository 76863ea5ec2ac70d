"""The workflow's ``budget`` as the ledger counts: which scope may use how much."""

from __future__ import annotations

from collections.abc import Mapping

from maestro.ledger.model import Attribution, Scope, ScopeKind, Unit, nanodollars
from maestro.workflow.budget import Amounts, Budget

Limits = Mapping[ScopeKind, Mapping[Unit, int]]
"""``project`` stands for the project's current month."""
_KINDS: Mapping[str, ScopeKind] = {"step": "step", "run": "run", "pull_request": "pull_request", "month": "project"}


def limits_of(budget: Budget | None) -> Limits:
    """What the workflow grants each kind of scope."""
    return {} if budget is None else {_KINDS[name]: amounts(one) for name, one in budget.limits.items()}


def limits_for(attribution: Attribution, limits: Limits) -> dict[Scope, Mapping[Unit, int]]:
    """The same for the scopes ``attribution`` lies in now."""
    return {
        scope: limits[scope.kind]
        for scope in attribution.scopes()
        if scope.kind in limits and (scope.kind != "project" or scope.month is not None)
    }


def amounts(given: Amounts) -> dict[Unit, int]:
    """Dollars as nanodollars, minutes as seconds, gigabytes as bytes."""
    found = {
        Unit.USD: None if given.usd is None else nanodollars(given.usd, up=False),
        Unit.TOKENS: given.tokens,
        Unit.RUNS: given.runs,
        Unit.MINUTES: None if given.minutes is None else round(given.minutes * 60),
        Unit.GIGABYTES: None if given.gigabytes is None else round(given.gigabytes * 1e9),
    }
    return {unit: amount for unit, amount in found.items() if amount is not None}

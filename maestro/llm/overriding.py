"""Which override holds for a request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from maestro.ledger.model import Attribution
from maestro.llm.state import Override

ANY = "*"


def applicable(
    overrides: Iterable[Override], target: str, asked: str, attribution: Attribution, at: datetime
) -> Override | None:
    """The override that decides: of those in force, that of the innermost scope, of these the newest.

    Args:
        target: the route a request without a target takes, else what it names; asked: as it was asked, maybe empty.
    """
    scopes = {str(scope): place for place, scope in enumerate(attribution.scopes(at))}
    found = [
        one
        for one in overrides
        if one.revoked is None
        and one.created <= at < one.expires
        and one.target in (ANY, target, asked or target)
        and one.scope in scopes
    ]
    return max(found, key=lambda one: (scopes[one.scope], one.target != ANY, one.created, one.id), default=None)

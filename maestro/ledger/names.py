"""Names of scopes: as people write them, as rows keep them, and the patterns that stand for many of them.

A limit may be given to a pattern: ``tenant:acme@*`` is every month of a tenant, ``pull_request:acme/app#*`` every pull
request of a project, ``run:*`` every run. The most particular limit counts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import cast, get_args

from maestro.errors import InputError
from maestro.ledger.model import Attribution, Scope, ScopeKind, Unit

MOST = 2**63 - 1
"""Largest amount a row can hold."""
LONGEST_NAME = 512
KINDS: tuple[ScopeKind, ...] = get_args(ScopeKind)
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])|\*")
_WRITTEN = re.compile(r"(?P<kind>[a-z_]+):(?P<name>.+?)(@(?P<month>\d{4}-\d{2}|\*))?", re.DOTALL)


def parse_scope(text: str) -> Scope:
    """The scope ``text`` names: ``tenant:acme``, ``project:acme/app@2026-11``, ``pull_request:acme/app#7``, ``run:*``.

    Raises:
        InputError: it names none.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None or found["kind"] not in KINDS:
        raise InputError(
            f"'{text}' is no scope of budgets",
            next_step=f"write one of {', '.join(KINDS)}, a colon and a name, as in tenant:acme or tenant:acme@2026-11",
        )
    scope = Scope(cast(ScopeKind, found["kind"]), found["name"], found["month"])
    checked_scope(scope)
    return scope


def checked_scope(scope: Scope) -> Scope:
    """The scope itself.

    Raises:
        InputError: its name or its month cannot be one.
    """
    if scope.kind not in KINDS:
        raise InputError(f"'{scope.kind}' is no kind of scope", next_step=f"use one of {', '.join(KINDS)}")
    _checked_name("scope", scope.name)
    if scope.month is not None and not _MONTH.fullmatch(scope.month):
        raise InputError(f"'{scope.month}' is no month", next_step="write it like 2026-11, or * for every month")
    if scope.month is not None and scope.kind not in ("tenant", "project"):
        raise InputError(
            f"'{scope}' can have no month", next_step="give months to tenants and projects only; leave @… out"
        )
    return scope


def checked_attribution(attribution: Attribution) -> Attribution:
    """The attribution itself, when every scope that follows from it is its own.

    Raises:
        InputError: a name is empty or too long, has control characters, or would make two budgets one.
    """
    for what in ("tenant", "project", "run", "step"):
        name = getattr(attribution, what)
        if name is None:
            continue
        _checked_name(what, name)
        if name == "*":
            raise InputError(f"a {what} cannot be named '*'", next_step="name the one that spends")
        # acme/app of one tenant and app of the tenant acme/… would share a budget otherwise.
        if what in ("tenant", "run") and "/" in name:
            raise InputError(f"the {what} '{name}' has a '/' in its name", next_step="use a name without one")
    if attribution.step is not None and attribution.run is None:
        raise InputError(f"the step '{attribution.step}' belongs to no run", next_step="name the run too")
    number = attribution.pull_request
    if number is not None and (isinstance(number, bool) or number < 0 or number > MOST):
        raise InputError(f"{number} is no number of a pull request", next_step="give its number")
    _checked_name("actor", attribution.actor)
    return attribution


def checked_amount(unit: Unit, amount: int) -> int:
    """The amount itself.

    Raises:
        InputError: it is no whole number from 0 to ``MOST``.
    """
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise InputError(f"{amount!r} is no amount of {Unit(unit).value}", next_step="give a whole number")
    if not 0 <= amount <= MOST:
        raise InputError(
            f"{amount} is no amount of {Unit(unit).value} the ledger can hold", next_step=f"give 0 to {MOST}"
        )
    return amount


def checked_text(what: str, text: str) -> str:
    """The text itself; ``what`` names it in the message.

    Raises:
        InputError: it is empty, too long or has control characters.
    """
    return _checked_name(what, text)


def key_of(scope: Scope) -> str:
    """How rows name a scope; kinds and months have no colon, so no two scopes have one key."""
    return f"{scope.kind}:{scope.month or ''}:{scope.name}"


def scope_of(key: str) -> Scope:
    """The other way round."""
    kind, month, name = key.split(":", 2)
    return Scope(cast(ScopeKind, kind), name, month or None)


def patterns(scope: Scope) -> tuple[Scope, ...]:
    """The scope and the patterns it falls under, the most particular first."""
    found = [scope]
    if scope.month is not None:
        found += [Scope(scope.kind, scope.name, "*"), Scope(scope.kind, "*", scope.month)]
    if scope.kind == "pull_request":
        found.append(Scope(scope.kind, scope.name.rpartition("#")[0] + "#*"))
    if scope.kind == "project":
        found.append(Scope(scope.kind, scope.name.partition("/")[0] + "/*", scope.month and "*"))
    found.append(Scope(scope.kind, "*", scope.month and "*"))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def pattern_keys(key: str) -> tuple[str, ...]:
    """Keys of the scope with this key and of the patterns it falls under, the most particular first."""
    return tuple(key_of(pattern) for pattern in patterns(scope_of(key)))


def month_of(at: float) -> str:
    """The calendar month (UTC) of a time in seconds since 1970."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


@lru_cache(maxsize=4096)
def scopes_in(attribution: Attribution, month: str) -> tuple[Scope, ...]:
    """The scopes of an attribution in a month ``2026-11``, the outermost first."""
    year, _, number = month.partition("-")
    return attribution.scopes(datetime(int(year), int(number), 1, tzinfo=UTC))


def _checked_name(what: str, name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"no {what} is given", next_step=f"name the {what}")
    if len(name) > LONGEST_NAME:
        raise InputError(f"the {what} has {len(name)} characters", next_step=f"use at most {LONGEST_NAME}")
    if not name.isprintable():
        raise InputError(f"the {what} has control characters", next_step="leave them out")
    return name

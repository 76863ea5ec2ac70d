"""Scopes, amounts and times of budgets as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import TYPE_CHECKING

from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.cli.money_source import MoneyPlace
    from maestro.ledger.model import Scope, Unit

_NUMBER = re.compile(r"\$?(\d[\d_]*(?:\.\d+)?|\.\d+)\s*([kKmM]?)")
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}
_ALIASES = {"dollars": "usd", "$": "usd", "token": "tokens", "run": "runs", "min": "minutes", "gb": "gigabytes"}
_KIND_ALIASES = {"pr": "pull_request", "pull-request": "pull_request"}
_MONTHS = ("month", "*")
_DAYS = re.compile(r"(\d{1,4})([hd])")
UNLIMITED = "unlimited"
DEFAULT = "default"


def read_scope(text: str, place: MoneyPlace, now: datetime) -> Scope:
    """The scope ``text`` names.

    Beside the whole name (``project:acme/app@2026-11``) there are short ones, of the project one is in: ``tenant``,
    ``project``, ``pull_request:7``; ``@month`` is this month, ``@*`` every month.

    Raises:
        InputError: it names none.
    """
    from maestro.ledger.names import KINDS, parse_scope

    kind, colon, name = text.partition(":")
    if not colon:
        kind, at, month = kind.partition("@")
        name = f"{at}{month}"
    kind = _KIND_ALIASES.get(kind, kind)
    if kind == "month" and not colon:
        raise InputError(
            "'month' alone does not say whose", next_step="write project@month for this one, project@* for every month"
        )
    if kind not in KINDS:
        near = get_close_matches(kind, [*KINDS, *_KIND_ALIASES], n=1)
        hint = f"did you mean '{_KIND_ALIASES.get(near[0], near[0])}'? " if near else ""
        raise InputError(
            f"'{kind}' is no kind of scope",
            next_step=f"{hint}write one of {', '.join(KINDS)}, a colon and a name, as in tenant:acme",
        )
    if name.endswith("@month"):
        name = f"{name.removesuffix('@month')}@{now.astimezone(UTC):%Y-%m}"
    if not colon or (kind == "pull_request" and name.isdecimal()):
        name = _own(kind, name, place)
    if kind == "project" and "/" not in name.partition("@")[0] and not name.startswith("*"):
        raise InputError(
            f"the project '{name}' has no tenant",
            next_step=f"write project:TENANT/{name}, as in project:{place.tenant}/{name}",
        )
    return parse_scope(f"{kind}:{name}")


def _own(kind: str, rest: str, place: MoneyPlace) -> str:
    if kind == "tenant":
        return f"{place.tenant}{rest}"
    if kind == "project":
        return f"{place.tenant}/{place.required_project()}{rest}"
    if kind == "pull_request" and rest.isdecimal():
        return f"{place.tenant}/{place.required_project()}#{rest}"
    raise InputError(f"'{kind}' does not say which one", next_step=f"write {kind}:NAME")


def read_amount(text: str, *, bounded: bool = False) -> tuple[Unit, int | str | None]:
    """A unit and its amount in the ledger's whole numbers; None: not limited; ``default``: as if nothing was set.

    Args:
        bounded: as of :func:`whole`; the caller refuses the two words.

    Raises:
        InputError: it is no ``UNIT=AMOUNT``.
    """
    name, equals, value = text.partition("=")
    unit = read_unit(name)
    value = value.strip()
    if not equals or not value:
        raise InputError(f"'{text}' is no amount", next_step="write UNIT=AMOUNT, as in usd=10.50 or tokens=200k")
    if value in (UNLIMITED, "none"):
        return unit, None
    if value == DEFAULT:
        return unit, DEFAULT
    return unit, whole(unit, value, bounded=bounded)


def read_unit(name: str) -> Unit:
    """The unit called so.

    Raises:
        InputError: there is none.
    """
    from maestro.ledger.model import Unit

    known = [one.value for one in Unit]
    lowered = name.strip().lower()
    if _ALIASES.get(lowered, lowered) not in known:
        near = get_close_matches(lowered, [*known, *_ALIASES], n=1)
        hint = f"did you mean '{_ALIASES.get(near[0], near[0])}'? " if near else ""
        raise InputError(f"'{name}' is no unit of budgets", next_step=f"{hint}use one of {', '.join(known)}")
    return Unit(_ALIASES.get(lowered, lowered))


def whole(unit: Unit, text: str, *, bounded: bool = False) -> int:
    """An amount as the ledger counts: nanodollars, tokens, runs, seconds, bytes; fractions of one are refused.

    Args:
        bounded: neither ``unlimited`` nor ``default`` may stand in its place, so neither is suggested.

    Raises:
        InputError: it is no number from 0 on, or more exact than the ledger.
    """
    from maestro.ledger.model import NANO, Unit
    from maestro.ledger.names import MOST

    scale = {Unit.USD: NANO, Unit.MINUTES: 60, Unit.GIGABYTES: 1_000_000_000}.get(unit, 1)
    found = _NUMBER.fullmatch(text.strip()) if len(text) <= 40 else None
    try:
        value = Decimal(found[1].replace("_", "")) * _FACTORS[found[2].lower()] * scale if found else None
    except InvalidOperation:
        value = None
    if value is None:
        raise InputError(
            f"'{text[:40]}' is no amount of {unit.value}",
            next_step="write a number from 0 on, as in 10.50 or 200k"
            + ("" if bounded else "; or unlimited, or default"),
        )
    if value != value.to_integral_value():
        raise InputError(f"'{text}' is more exact than the ledger counts {unit.value}", next_step="round it")
    if value > MOST:
        raise InputError(
            f"'{text}' is more than the ledger can count", next_step="give less" if bounded else "write unlimited"
        )
    return int(value)


def read_until(text: str, now: datetime, option: str) -> datetime:
    """A time to come: ``12h``, ``30d``, a day, or a time with its zone.

    Raises:
        InputError: it is no time, or over already.
    """
    at = _moment(text, now, ahead=True)
    if at is None:
        raise InputError(
            f"{option} '{text}' is no time", next_step="write 12h, 30d, 2027-01-31 or 2027-01-31T12:00:00Z"
        )
    if at <= now:
        raise InputError(f"{option} {text} is over already", next_step="give a time that is to come")
    return at


def read_since(text: str, now: datetime, option: str = "--since") -> datetime:
    """A time that was: ``12h`` ago, ``30d`` ago, a day, or a time with its zone.

    Raises:
        InputError: it is no time.
    """
    at = _moment(text, now, ahead=False)
    if at is None:
        raise InputError(
            f"{option} '{text}' is no time", next_step="write 12h, 30d, 2027-01-31 or 2027-01-31T12:00:00Z"
        )
    return at


def _moment(text: str, now: datetime, *, ahead: bool) -> datetime | None:
    found = _DAYS.fullmatch(text)
    try:
        if found:
            apart = timedelta(hours=int(found[1]) * (24 if found[2] == "d" else 1))
            return now + apart if ahead else now - apart
        if len(text) == len("2027-01-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo is not None else None


def nearest(text: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?``, or nothing."""
    found = get_close_matches(text, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(one) for one in found)}?" if found else ""

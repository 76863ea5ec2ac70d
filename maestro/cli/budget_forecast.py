"""``maestro budget forecast``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.ledger.insight.anomaly import Anomaly
    from maestro.ledger.insight.forecast import MonthForecast
    from maestro.ledger.model import Scope, Unit

_LOOK_BACK = timedelta(days=150)
_TOLD_DAYS = 31
_LEAST_EXCESS_CENTS = 10


@example_command(
    "forecast",
    example="""maestro budget forecast
maestro budget forecast tenant:acme --unit tokens --json""",
)
@click.argument("scope", required=False)
@click.option("--unit", "unit_name", default="usd", show_default=True, metavar="UNIT", help="What is counted.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, scope: str | None, unit_name: str, server_home: Path | None, as_json: bool) -> int:
    """Say how the month will end, and which days were out of line.

    SCOPE is a tenant, a project or a pull request; this project if not given. The interval holds eight months in ten;
    with less than a week of spend there is no forecast.
    """
    from maestro.cli.budget_words import read_scope, read_unit
    from maestro.cli.money_source import place_of
    from maestro.ledger.insight.anomaly import anomalies
    from maestro.ledger.insight.daily import daily
    from maestro.ledger.insight.forecast import day_of_reaching, month_forecast
    from maestro.ledger.model import NANO, Scope, Unit

    place = place_of(options, server_home)
    now = datetime.now(UTC)
    unit = read_unit(unit_name)
    found = read_scope(scope or "project", place, now)
    with place.ledger() as ledger:
        charges = ledger.charges(now - _LOOK_BACK, None, unit=unit.value, **_filters(found))
        days = daily(charges, now.date() + timedelta(days=1), unit=unit)
        monthly = Scope(found.kind, found.name, f"{now:%Y-%m}") if found.kind in ("tenant", "project") else found
        limit = ledger.balance(monthly, unit).limit
    forecast = month_forecast(days, now, unit=unit)
    least = NANO * _LEAST_EXCESS_CENTS // 100 if unit is Unit.USD else 0
    # Of today only a part is over.
    odd = [one for one in anomalies(days.before(now.date()), least=least) if (now.date() - one.day).days <= _TOLD_DAYS]
    reached = None if limit is None else day_of_reaching(forecast, limit, now)
    terminal = Terminal(options)
    if as_json:
        terminal.json(_json(found, forecast, odd, unit, limit, reached))
        return 0
    terminal.line(f"{printable(str(found))}: {forecast.sentence}")
    if limit is not None:
        _show_limit(terminal, monthly, unit, limit, forecast, reached)
    for one in odd:
        terminal.line(_anomaly_line(one, unit))
    if not odd and days.amounts:
        terminal.line(f"no day of the last {_TOLD_DAYS} was out of line")
    return 0


def _filters(scope: Scope) -> Mapping[str, Any]:
    if scope.name.endswith("*") or scope.month is not None:
        raise InputError(f"'{scope}' is no single scope", next_step="name one without * and without a month")
    if scope.kind == "tenant":
        return {"tenant": scope.name}
    if scope.kind == "project":
        tenant, _, project = scope.name.partition("/")
        return {"tenant": tenant, "project": project}
    if scope.kind == "pull_request":
        whole, _, number = scope.name.rpartition("#")
        tenant, _, project = whole.partition("/")
        if number.isdecimal() and project:
            return {"tenant": tenant, "project": project, "pull_request": int(number)}
    raise InputError(
        f"there is no forecast of {scope}", next_step="name a tenant, a project or a pull request like acme/app#7"
    )


def _show_limit(
    terminal: Terminal, scope: Scope, unit: Unit, limit: int, forecast: MonthForecast, reached: Any
) -> None:
    from maestro.ledger.model import shown

    if reached is None:
        word = "holds" if forecast.likely is not None else "is"
        terminal.line(f"the budget of {scope} {word} {shown(unit, limit)}")
    else:
        terminal.line(f"the budget of {scope}, {shown(unit, limit)}, is likely used up on {reached.isoformat()}")


def _anomaly_line(one: Anomaly, unit: Unit) -> str:
    from maestro.ledger.model import shown

    again = f", day {one.lasts} of it" if one.lasts > 1 else ""
    return (
        f"out of line: {shown(unit, one.amount)} on {one.day:%a %Y-%m-%d}{again}; such a day costs about "
        f"{shown(unit, one.expected)}, and at most {shown(unit, one.bound)}"
    )


def _json(
    scope: Scope, forecast: MonthForecast, odd: list[Anomaly], unit: Unit, limit: int | None, reached: Any
) -> dict[str, Any]:
    from maestro.ledger.insight.export import exact

    def text(amount: int | None) -> str | None:
        return None if amount is None else exact(unit, amount)

    return {
        "scope": str(scope),
        "month": forecast.month,
        "unit": unit.value,
        "spent": text(forecast.spent),
        "low": text(forecast.low),
        "likely": text(forecast.likely),
        "high": text(forecast.high),
        "quality": forecast.quality,
        "days_of_history": forecast.days,
        "limit": text(limit),
        "limit_reached_on": None if reached is None else reached.isoformat(),
        "sentence": forecast.sentence,
        "out_of_line": [
            {
                "day": one.day.isoformat(),
                "amount": text(one.amount),
                "expected": text(one.expected),
                "bound": text(one.bound),
                "score": round(one.score, 2),
                "lasts": one.lasts,
            }
            for one in odd
        ],
    }

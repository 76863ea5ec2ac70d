"""``maestro budget show``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.ledger.model import Balance, Scope, Unit
    from maestro.ledger.reading import LimitSet
    from maestro.ledger.store import Ledger

_MOST = 200


@example_command(
    "show",
    example="""maestro budget show
maestro budget show project@month pull_request:7
maestro budget show --all --json""",
)
@click.argument("scopes", nargs=-1, metavar="[SCOPE]...")
@click.option("--all", "everything", is_flag=True, help="Every scope anything was counted in; runs and steps too.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions, scopes: tuple[str, ...], everything: bool, server_home: Path | None, as_json: bool
) -> int:
    """Show what was granted, spent and is left.

    SCOPE is like project:acme/app, project:acme/app@2026-11 (one month), pull_request:acme/app#7, run:ID, step:ID/STEP,
    where ID may be how a run's id begins, or latest; of the project one is in also project, project@month, tenant and
    pull_request:7. Without one: this project's, without runs, and what the budget of its maestro.yaml grants each step,
    run, pull request and month.
    """
    from maestro.cli.budget_of_workflow import limits_at_hand
    from maestro.cli.budget_words import read_scope
    from maestro.cli.money_source import place_of
    from maestro.cli.run_named import with_whole_run

    place = place_of(options, server_home)
    now = datetime.now(UTC)
    wanted = [with_whole_run(options, place, read_scope(one, place, now)) for one in scopes]
    workflow = limits_at_hand(options, place)
    with place.ledger() as ledger:
        # What lost callers hold is nobody's any more.
        ledger.expire()
        known = ledger.scopes()
        asked = wanted or _usual(place, known, now, everything=everything)
        shown = asked if as_json else asked[:_MOST]
        balances = ledger.balances(shown, limits=workflow.for_scopes(shown, place))
        limits = ledger.limits()
        for one in wanted:
            _check_known(ledger, one, known, balances, limits)
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "balances": [balance_json(one) for one in balances],
                "limits": [_limit_json(one) for one in limits],
                "workflow": [_workflow_json(*row) for row in workflow.rows()],
            }
        )
        return 0
    if not balances:
        terminal.line("nothing was spent and no budget was set; a pull request may spend $10.00 unless told otherwise")
    else:
        heads = ("SCOPE", "UNIT", "LIMIT", "SPENT", "RESERVED", "LEFT", "USED", "SET BY")
        for line in terminal.table(heads, [_row(one) for one in balances]):
            terminal.line(line)
    if len(asked) > _MOST:
        terminal.line(f"and {len(asked) - _MOST} scopes more; name those you want")
    listed = {one.scope for one in balances}
    rows = [_limit_row(one) for one in limits if one.scope not in listed]
    rows += [_workflow_row(*row, workflow.file) for row in workflow.rows()]
    if rows and not wanted:
        terminal.line()
        for line in terminal.table(("SET FOR", "LIMIT", "BY", "REASON"), rows):
            terminal.line(line)
    if workflow.problem:
        terminal.line(f"the budget of {workflow.file} is not known, since it has mistakes: see `maestro plan`")
    return 0


def _usual(place: MoneyPlace, known: list[Scope], now: datetime, *, everything: bool) -> list[Scope]:
    """What is shown without being asked for: the project's own, the month's first, and its newest pull requests."""
    from maestro.ledger.model import Attribution

    if everything:
        return known
    month = f"{now:%Y-%m}"
    if place.project is None:
        return [one for one in known if one.kind in ("tenant", "project") and one.month in (None, month)]
    project = f"{place.tenant}/{place.project}"
    own = list(Attribution(place.tenant, place.project).scopes(now))
    requests = [one for one in known if one.kind == "pull_request" and one.name.startswith(f"{project}#")]
    return own + sorted(requests, key=lambda one: int(one.name.rpartition("#")[2]), reverse=True)[:10]


def _check_known(
    ledger: Ledger, scope: Scope, known: list[Scope], balances: list[Balance], limits: list[LimitSet]
) -> None:
    from maestro.cli.budget_words import nearest

    there = scope in known or any(one.scope == scope for one in balances) or any(one.scope == scope for one in limits)
    hint = "" if there else nearest(str(scope), [str(one) for one in known])
    if hint:
        raise InputError(f"nothing was spent in {scope}, and no budget was set for it", next_step=hint)


def _row(one: Balance) -> tuple[str, ...]:
    from maestro.ledger.model import shown

    limit = "-" if one.limit is None else shown(one.unit, one.limit)
    left = "-" if one.left is None else shown(one.unit, one.left)
    used = "-" if one.limit is None else f"{one.fraction:.0%}"
    spent, reserved = shown(one.unit, one.spent), shown(one.unit, one.reserved)
    source = "-" if one.limit is None else one.source
    return (printable(str(one.scope)), one.unit.value, limit, spent, reserved, left, used, printable(source))


def _limit_row(one: LimitSet) -> tuple[str, ...]:
    from maestro.ledger.model import shown

    amount = f"{one.unit.value} unlimited" if one.limit is None else shown(one.unit, one.limit)
    return (printable(str(one.scope)), amount, printable(one.actor), printable(one.reason))


def _workflow_row(each: str, unit: Unit, amount: int, file: str) -> tuple[str, ...]:
    from maestro.ledger.model import shown

    return (each, shown(unit, amount), "the workflow", f"budget in {file}; the lower limit counts")


def _workflow_json(each: str, unit: Unit, amount: int) -> dict[str, Any]:
    from maestro.ledger.insight.export import exact

    return {"for": each, "unit": unit.value, "limit": exact(unit, amount)}


def balance_json(one: Balance) -> dict[str, Any]:
    """A balance as ``--json`` writes it: decimal texts in people's units, and the ledger's whole numbers."""
    from maestro.ledger.insight.export import exact

    def text(amount: int | None) -> str | None:
        return None if amount is None else exact(one.unit, amount)

    return {
        "scope": str(one.scope),
        "unit": one.unit.value,
        "limit": text(one.limit),
        "spent": text(one.spent),
        "reserved": text(one.reserved),
        "left": text(one.left),
        "used": round(one.fraction, 4),
        "source": one.source,
        "whole": {"limit": one.limit, "spent": one.spent, "reserved": one.reserved, "left": one.left},
    }


def _limit_json(one: LimitSet) -> dict[str, Any]:
    from maestro.ledger.insight.export import exact

    return {
        "scope": str(one.scope),
        "unit": one.unit.value,
        "limit": None if one.limit is None else exact(one.unit, one.limit),
        "by": one.actor,
        "reason": one.reason,
        "at": one.at.timestamp(),
    }

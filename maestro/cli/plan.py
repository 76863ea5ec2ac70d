"""``maestro plan``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from maestro.cli.complete import complete_selection
from maestro.cli.options import JSON_OPTION, PARAM_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.prepare import Asked, Prepared, open_project, prepared
from maestro.cli.terminal import Terminal, plural, printable
from maestro.execution.planner import Action, PlannedStep
from maestro.steps import Forecast

_NAMED = 5


@example_command(
    "plan",
    example="""maestro plan                         # the whole workflow
maestro plan test --param level=2    # stage or step "test" and what it waits for
maestro plan build+ --json           # "build" and everything that waits for it""",
)
@click.argument("select", nargs=-1, metavar="[SELECT]...", shell_complete=complete_selection)
@click.option("--only", is_flag=True, help="Only the chosen steps, not what they wait for.")
@PARAM_OPTION
@click.option("--revision", metavar="REV", help="Plan this commit, branch, tag or kept tree; not the checkout.")
@click.option("--base", metavar="REV", help="What changed() compares with.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    select: tuple[str, ...],
    only: bool,
    assignments: tuple[str, ...],
    revision: str | None,
    base: str | None,
    as_json: bool,
) -> int:
    """Show what a run would do, and why, and what is missing for it.

    SELECT names steps (ID, STAGE/ID, STAGE/ID/CELL) or stages; a "+" behind it adds everything that waits for it.
    """
    terminal = Terminal(options)
    with prepared(open_project(options), Asked(select, only, assignments, revision, base)) as ready:
        if as_json:
            terminal.json(to_json(ready))
        else:
            show(terminal, ready)
    return 0


def to_json(ready: Prepared) -> dict[str, Any]:
    """The plan as documented in docs/cli.md."""
    plan = ready.plan
    return {
        "project": plan.project,
        "workflow": plan.workflow,
        "revision": plan.revision,
        "params": dict(plan.params),
        "steps": [
            {
                "step": step.node.name,
                "kind": step.node.step.run,
                "action": step.action,
                "reason": step.reason,
                "does": step.does,
                "after": list(step.node.upstream),
                "missing_tools": [{"tool": one.tool, "install": one.install} for one in step.missing_tools],
                "missing_secrets": list(step.missing_secrets),
                "made_by_run": step.made_by_run,
                "forecast": forecast_json(step.forecast),
            }
            for step in plan.steps
        ],
        "missing": plan.missing,
        "forecast": total_json(plan.steps),
    }


def forecast_json(forecast: Forecast | None) -> dict[str, Any] | None:
    """What a step is expected to cost, in dollars as exact texts."""
    if forecast is None:
        return None
    return {
        "likely_usd": _usd(forecast.likely),
        "at_most_usd": _usd(forecast.at_most),
        "by": forecast.by,
        "refused": forecast.refused,
    }


def total_json(steps: Sequence[PlannedStep]) -> dict[str, Any] | None:
    """The sum over all steps that cost something; None where none does."""
    found = [step.forecast for step in steps if step.forecast is not None]
    if not found:
        return None
    known = [one.at_most for one in found if one.at_most is not None]
    likely = [one.likely for one in found if one.likely is not None]
    return {
        "steps": len(found),
        "likely_usd": _usd(sum(likely)) if len(likely) == len(found) else None,
        "at_most_usd": _usd(sum(known)),
        "unknown": len(_unknown(found)),
        "refused": sum(one.refused is not None for one in found),
    }


def _usd(nano: int | None) -> str | None:
    from maestro.ledger.model import dollars

    return None if nano is None else str(dollars(nano))


def title(ready: Prepared) -> str:
    """One line: workflow, project, revision."""
    revision = ready.revision
    name = revision.id if revision.dirty else revision.id[:12]
    notes = [f"branch {revision.branch}"] if revision.branch else []
    notes += ["uncommitted changes"] if revision.dirty and revision.head else []
    notes += ["no commit yet"] if revision.head is None else []
    about = f" ({', '.join(notes)})" if notes else ""
    return f"{ready.plan.workflow} of {ready.plan.project} at {name}{about}"


def show(terminal: Terminal, ready: Prepared) -> None:
    """The plan for people."""
    plan = ready.plan
    terminal.line(terminal.paint(title(ready), "bold"))
    if plan.params:
        given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in plan.params.items())
        terminal.line(f"params: {printable(given)}")
    terminal.line()
    rows = [(step.node.name, step.action, printable(step.reason)) for step in plan.steps]
    lines = terminal.table(("STEP", "WHAT", "WHY"), rows, painted=1)
    terminal.line(lines[0])
    for step, line in zip(plan.steps, lines[1:], strict=True):
        terminal.line(line)
        if step.action in ("run", "decide"):
            terminal.line(terminal.paint(f"    {printable(step.does)}", "dim"))
        if step.forecast is not None:
            terminal.line(terminal.paint(f"    {printable(forecast_line(step.forecast))}", "dim"))
        for tool in step.missing_tools:
            terminal.line(f"    {terminal.paint('missing', 'red')} {tool.tool}: {tool.install}")
        for secret in step.missing_secrets:
            terminal.line(f"    {terminal.paint('missing', 'red')} secret {secret}: {secret_advice(ready, secret)}")
    terminal.line()
    counts = Counter(step.action for step in plan.steps)
    words: dict[Action, str] = {"run": "to run", "cached": "cached", "decide": "to be decided", "skip": "skipped"}
    total = ", ".join(f"{counts[action]} {word}" for action, word in words.items() if counts[action])
    terminal.line(f"{plural(len(plan.steps), 'step')}: {total or 'nothing'}")
    spending = [step.forecast for step in plan.steps if step.forecast is not None]
    if spending:
        refused = [step for step in plan.steps if step.forecast is not None and step.forecast.refused is not None]
        of_them = f", {len(refused)} of them refused" if refused else ""
        terminal.line(f"money: at most {_sum(spending)} for {plural(len(spending), 'model step')}{of_them}")
        if refused:
            terminal.line(terminal.paint(printable(refused_line(refused)), "red"))
    if plan.missing:
        terminal.line(terminal.paint("A run would be refused until what is missing is there.", "red"))


def forecast_line(forecast: Forecast) -> str:
    """What a step may cost, and who would do it."""
    from maestro.ledger.model import Unit, shown

    if forecast.at_most is None:
        most = "an unknown price" if forecast.refused is None else ""
    else:
        most = f"at most {shown(Unit.USD, forecast.at_most)}"
    # Of what costs nothing all is said by the most.
    likely = f"likely {shown(Unit.USD, forecast.likely)}" if forecast.likely is not None and forecast.at_most else ""
    refused = "" if forecast.refused is None else "refused"
    return f"{', '.join(one for one in (most, likely, refused) if one)}; {forecast.by}"


def refused_line(steps: Sequence[PlannedStep]) -> str:
    """What is to come of a run with steps that would be refused."""
    names = ", ".join(step.node.name for step in steps[:_NAMED])
    names += f" and {len(steps) - _NAMED} more" if len(steps) > _NAMED else ""
    if all(step.node.step.continue_on_error for step in steps):
        return f"A run would go on without an answer for {names}: see why above."
    return f"A run cannot pass as things are: nothing would answer {names}; see why above."


def _unknown(spending: Sequence[Forecast]) -> list[Forecast]:
    """Those whose price nobody knows; what is refused has none."""
    return [one for one in spending if one.at_most is None and one.refused is None]


def _sum(spending: Sequence[Forecast]) -> str:
    from maestro.ledger.model import Unit, shown

    known = sum(one.at_most or 0 for one in spending)
    unknown = len(_unknown(spending))
    seen = [one.likely for one in spending if one.likely is not None]
    likely = f", likely {shown(Unit.USD, sum(seen))}" if known and len(seen) == len(spending) else ""
    unpriced = f" and {plural(unknown, 'unknown price')}" if unknown else ""
    return shown(Unit.USD, known) + likely + unpriced


def secret_advice(ready: Prepared, name: str) -> str:
    """How to get a secret that is not set."""
    source = ready.opened.loaded.workflow.secret_sources.get(name)
    if source is None:
        return f"declare it under 'secrets' and set ${name}"
    if source.provider == "file":
        return f"write it to {source.path} and run: chmod 600 {source.path}"
    return f"set the environment variable {source.variable or name}"


def missing_advice(ready: Prepared) -> list[str]:
    """One line for everything that is missing, with how to get it."""
    tools = {one.tool: f"{one.tool}: {one.install}" for step in ready.plan.steps for one in step.missing_tools}
    secrets = {
        name: f"secret {name}: {secret_advice(ready, name)}"
        for step in ready.plan.steps
        for name in step.missing_secrets
    }
    return [*tools.values(), *secrets.values()]

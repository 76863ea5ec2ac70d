"""``maestro evals list``."""

from __future__ import annotations

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command("list", example="maestro evals list\nmaestro evals list --json")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, as_json: bool) -> int:
    """List the weeks models were evaluated in, and how they compared."""
    from maestro.cli.evals_source import DATASET, history_of
    from maestro.evals.report import words
    from maestro.evals.results import passed_rate
    from maestro.ledger.model import Unit, shown

    history = history_of(options)
    found = [
        week
        for model in history.models(DATASET)
        for name in history.weeks(DATASET, model)
        if (week := history.get(DATASET, model, name)) is not None
    ]
    terminal = Terminal(options)
    if as_json:
        rows = [
            {
                "week": one.run.week,
                "model": one.run.model,
                "state": one.run.state,
                "compared": one.comparison.state if one.comparison else None,
                "baseline": one.comparison.baseline if one.comparison else None,
                "good": one.good,
                "accepted": one.accepted.model_dump(mode="json") if one.accepted else None,
                "passed": passed_rate(one.run).value,
                "answered": len(one.run.answered),
                "cases": one.run.asked.cases,
                "cost_nano": one.run.cost_nano,
                "runner": one.run.runner,
            }
            for one in found
        ]
        terminal.json({"dataset": DATASET, "weeks": rows})
        return 0
    if not found:
        terminal.line("no model was evaluated yet")
        return 0
    lines = [
        (
            one.run.week,
            printable(one.run.model),
            f"{sum(case.passed for case in one.run.results)} of {one.run.asked.cases}",
            words(one.comparison.state) if one.comparison else "not compared yet",
            "yes, accepted" if one.accepted else "yes" if one.good else "no",
            shown(Unit.USD, one.run.cost_nano),
        )
        for one in sorted(found, key=lambda one: (one.run.week, one.run.model))
    ]
    for line in terminal.table(("WEEK", "MODEL", "PASSED", "AGAINST LAST GOOD", "BASELINE", "COST"), lines):
        terminal.line(line)
    return 0

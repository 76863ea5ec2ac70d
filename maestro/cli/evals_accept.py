"""``maestro evals accept``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("accept", example="maestro evals accept gpt-4o-mini 2026-11-16 --reason 'the new version is cheaper'")
@click.argument("model")
@click.argument("week")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is the new normal, in one line.")
@pass_options
def command(options: GlobalOptions, model: str, week: str, reason: str) -> int:
    """Let later weeks be compared with a week that was a regression."""
    from maestro.cli.evals_source import DATASET
    from maestro.cli.evidence_source import evidence_of
    from maestro.evals.history import History, checked_week

    with evidence_of(options) as source:
        desk = source.desk
        history = History(desk.store, desk.project)
        week = checked_week(week)
        history.accept(DATASET, model, week, by=desk.actor, reason=reason, at=datetime.now(UTC))
        desk.note("evaluation.accepted", f"{DATASET}/{model}/{week}", {"reason": reason.strip()})
    Terminal(options).line(f"later weeks of {model} are compared with {week}")
    return 0

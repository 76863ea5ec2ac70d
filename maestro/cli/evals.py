"""``maestro evals``: the group; its commands are ``evals_list``, ``evals_report`` and ``evals_accept``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "list": "List the weeks models were evaluated in, and how they compared.",
    "report": "Show how a week's models compared with their last good week.",
    "accept": "Let later weeks be compared with a week that was a regression.",
}


class _Evals(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"evals_{name}"


command: click.Command = _Evals(
    name="evals",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Evaluations of models: list the weeks, show a report, accept a regression.",
    example="maestro evals list",
)

"""Entry point of ``maestro``: finds the command, runs it, and turns whatever happens into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import click

from maestro.cli.ending import carry_out
from maestro.cli.options import GlobalOptions, LazyGroup, global_options
from maestro.cli.warm.wanted import check

# One line for each command, so that `maestro --help` imports none of them; a test holds it equal to their own.
COMMANDS: Mapping[str, str] = {
    "init": "Write a maestro.yaml for this repository, after looking at what is there.",
    "plan": "Show what a run would do, and why, and what is missing for it.",
    "run": "Run the workflow, or the chosen steps of it.",
    "dev": "Start the Dagster UI and daemon on this project's state.",
    "server": "Take webhooks and deliver the registered projects.",
    "projects": "Add, list, show and remove the projects a server delivers.",
    "hooks": "List, show and replay the webhooks a server has taken.",
    "status": "List runs, or show the steps of one.",
    "logs": "Show what a run's steps have written.",
    "cancel": "Stop a run; what must be undone is undone.",
    "retry": "Resume a run at its first unfinished steps.",
    "artifacts": "List, get, verify and collect what steps left behind.",
    "evidence": "Show, verify, compare and export signed evidence; set artifacts aside.",
    "keys": "List, rotate, retire, revoke, export and import the keys evidence is signed with.",
    "audit": "Read, verify, prove and export the audit log.",
    "vulns": "Known vulnerabilities: the advisory database, scans, and where a vulnerability is.",
    "llm": "Language models: which there are, what was asked of them, and why the one that answered.",
    "budget": "Budgets: what was granted and spent, how the month will end, and who spent every cent.",
    "policy": "Test, ask and bundle the policies gates decide by.",
    "prompts": "List, render, test and compare the prompts models are asked with.",
    "evals": "Evaluations of models: list the weeks, show a report, accept a regression.",
    "waivers": "Let named findings pass for a time, signed and audited.",
    "config": "Show the effective configuration and where each part comes from.",
    "doctor": "Check that this machine has what Maestro and the workflow need.",
    "schema": "Print the JSON Schema of maestro.yaml.",
    "completion": "Print the script that completes commands in a shell.",
}


class _Commands(LazyGroup):
    def __init__(self) -> None:
        super().__init__(
            name="maestro",
            commands_of="maestro.cli",
            table=COMMANDS,
            params=list(global_options()),
            help="Conducts a repository's delivery: every step of its maestro.yaml, planned, run, cached and kept.",
            example="maestro init && maestro plan && maestro run",
        )


def group() -> LazyGroup:
    """The command ``maestro`` with all it offers."""
    made = _Commands()
    made.params.append(
        click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Version.")
    )
    return made


def _version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from maestro import __version__

        click.echo(f"maestro {__version__}")
        context.exit()


def main() -> None:
    """Runs ``maestro`` with the process's own arguments; does not return."""
    arguments = sys.argv[1:]
    carry_out_command(arguments, lambda _code: _start_warm_process(arguments))


def carry_out_command(arguments: Sequence[str], ended: Callable[[int], None]) -> NoReturn:
    """Carries out a command and ends the process; ``ended`` is told the exit code when all is done but that."""
    # Collecting while modules are imported finds nothing and costs a fifth of the start; runs turn it on again.
    gc.disable()
    options = GlobalOptions()

    def action() -> object:
        check(os.environ)
        return group().main(args=list(arguments), prog_name="maestro", obj=options, standalone_mode=False)

    carry_out(action, options, ended)


def _start_warm_process(arguments: Sequence[str]) -> None:
    if "dagster" not in sys.modules:
        return  # Nothing was run, so there is nothing to have ready for the next time.
    from maestro.cli.warm.start import start_after

    start_after(arguments, os.environ)

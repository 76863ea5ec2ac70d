"""``maestro policy explain``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.policy import Decision

_ID = re.compile(r"[0-9a-f]{4,16}")


@example_command(
    "explain",
    example="""maestro policy explain 3f9a1c                 # a decision of a gate
maestro policy explain decision.json
maestro policy explain input.json --policy supply_chain.release""",
)
@click.argument("what", metavar="DECISION")
@click.option("--policy", metavar="NAME", help="DECISION is an input document; ask this policy about it.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder or bundle to ask; the profile's if not given, else the policies Maestro ships.",
)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, what: str, policy: str | None, bundle: Path | None, as_json: bool) -> int:
    """Show every rule that spoke, and what would have to change.

    DECISION is the id of a decision, or a file with one; with --policy, a file with an input document.
    """
    from maestro.cli.policy_source import engine_of, read_document
    from maestro.policy import Decision, decide

    if policy is not None:
        document = read_document(what)
        with engine_of(options, bundle, None, None) as engine:
            decision = decide(engine, policy, document)
    elif _ID.fullmatch(what) and not Path(what).exists():
        decision = _found(options, what)
    else:
        decision = Decision.from_json(read_document(what))
    terminal = Terminal(options)
    if as_json:
        terminal.json(decision.to_json())
    else:
        _show(terminal, decision)
    return 0


def _found(options: GlobalOptions, id_: str) -> Decision:
    """The decision a gate of this project has left."""
    from maestro.artifacts import RecordStore
    from maestro.cli.artifact_source import store_of
    from maestro.cli.prepare import find_project
    from maestro.policy import Decision
    from maestro.runs.project_name import project_name

    store = store_of(options)
    records = RecordStore(store)
    project = project_name(find_project(options))
    found = {
        str(record.values["decision"]): artifact.sha256
        for revision in records.revisions(project)
        for record in records.steps_of_revision(project, revision)
        if str(record.values.get("decision", "")).startswith(id_)
        for artifact in record.artifacts()
        if artifact.name == "decision.json"
    }
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'no'} decisions of this project begin with '{id_}'",
            next_step="give the whole id, as the gate's log has it (`maestro logs latest GATE`); or a file",
        )
    return Decision.from_json(json.loads(store.get_bytes(next(iter(found.values())))))


def _show(terminal: Terminal, decision: Decision) -> None:
    from maestro.cli.policy_source import waived_line

    word, style = ("allowed", "green") if decision.allow else ("denied", "red")
    terminal.line(f"{decision.policy}: {terminal.paint(word, style)} at {decision.at}")
    terminal.line(f"decision {decision.id}, input {decision.input_digest}")
    terminal.line(f"bundle {decision.bundle_version} {decision.bundle_digest}, by {decision.engine}")
    if decision.error:
        terminal.line(f"there is no answer of the policy: {printable(decision.error)}")
    spoken = [("deny", one) for one in decision.reasons] + [("warn", one) for one in decision.warnings]
    rows = [
        tuple(printable(text) for text in (says, one.rule, one.object, one.actual, one.allowed)) for says, one in spoken
    ]
    if rows:
        terminal.line()
        for line in terminal.table(("SAYS", "RULE", "OBJECT", "ACTUAL", "ALLOWED"), rows):
            terminal.line(line)
    else:
        terminal.line("no rule spoke")
    if decision.waivers:
        terminal.line("\nwaived:")
        for waiver in decision.waivers:
            terminal.line(f"  {printable(waived_line(waiver))}")
    if decision.changes:
        terminal.line("\nto be allowed:")
        for change in decision.changes:
            terminal.line(f"  - {printable(change)}")

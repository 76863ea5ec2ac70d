"""``maestro evidence hold``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from maestro.cli.evidence_show import by_day
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.vault import Locked


@example_command(
    "hold",
    example="""maestro evidence hold v1.2 --reason 'case 4711'
maestro evidence hold v1.2 --lift --reason 'case 4711 closed'""",
)
@click.argument("revision", required=False, metavar="[REV]")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the vault and in the audit log.")
@click.option("--lift", is_flag=True, help="Lift the hold instead of placing it.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, revision: str | None, reason: str, lift: bool, as_json: bool) -> int:
    """Place or lift a legal hold on the evidence of a revision.

    While it is held it cannot be deleted, whatever its retention, if the vault is immutable.
    """
    from maestro.cli.evidence_source import evidence_of

    with evidence_of(options) as source:
        desk = source.desk
        named = source.revision(revision)
        # All that the vault has of it, and all that the index says it should have: neither can hide anything.
        indexed = {one.vault["key"] for one in desk.index.of_revision(desk.project, named) if one.vault is not None}
        keys = sorted(indexed | {one.key for one in desk.vault.list(f"evidence/{desk.project}/{named}/")})
        if not keys:
            raise InputError(
                f"the vault holds no evidence of revision {named}", next_step="see `maestro evidence show`"
            )
        held: list[Locked] = []
        try:
            for key in keys:
                held.append(desk.vault.hold(key, not lift, reason=reason))
        finally:
            # What was done is logged, also when the vault has refused in the middle of it.
            if held:
                desk.note(
                    "evidence.released" if lift else "evidence.held",
                    named,
                    {
                        "reason": reason,
                        "keys": [one.key for one in held],
                        "of": len(keys),
                        "project": desk.project,
                        "immutable": all(one.immutable for one in held),
                    },
                )
    terminal = Terminal(options)
    if as_json:
        terminal.json({"revision": named, "held": not lift, "evidence": [one.to_json() for one in held]})
        return 0
    said = f"legal hold {'lifted from' if lift else 'on'} {plural(len(held), 'statement')} of {named}"
    terminal.line(printable(said))
    for text in by_day(one.text() for one in held):
        terminal.line(f"vault: {printable(text)}")
    return 0

"""``maestro evidence hold``."""

from __future__ import annotations

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural
from maestro.errors import InputError


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
    """Place or lift a legal hold on the evidence of a revision: it cannot be deleted, whatever its retention."""
    from maestro.cli.evidence_source import evidence_of

    with evidence_of(options) as source:
        desk = source.desk
        named = source.revision(revision)
        keys = [one.vault["key"] for one in desk.index.of_revision(desk.project, named) if one.vault is not None]
        if not keys:
            raise InputError(
                f"the vault holds no evidence of revision {named}", next_step="see `maestro evidence show`"
            )
        held = [desk.vault.hold(key, not lift, reason=reason) for key in keys]
        desk.note(
            "evidence.released" if lift else "evidence.held",
            named,
            {"reason": reason, "keys": keys, "project": desk.project, "immutable": all(one.immutable for one in held)},
        )
    terminal = Terminal(options)
    if as_json:
        terminal.json({"revision": named, "held": not lift, "evidence": [one.to_json() for one in held]})
        return 0
    terminal.line(f"legal hold {'lifted from' if lift else 'on'} {plural(len(held), 'statement')} of {named}")
    for text in sorted({one.text() for one in held}):
        terminal.line(f"vault: {text}")
    return 0

"""``maestro evidence show``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import MaestroError

if TYPE_CHECKING:
    from maestro.evidence.desk import EvidenceDesk
    from maestro.evidence.index import Entry


@example_command(
    "show",
    example="""maestro evidence show                         # of the revision checked out
maestro evidence show v1.2 --json
maestro evidence show sha256:9f86d081…        # everything about one artifact or image""",
)
@click.argument("wanted", required=False, metavar="[REV|DIGEST]")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, wanted: str | None, as_json: bool) -> int:
    """Show the signed evidence of a revision or of one artifact.

    It is verified now, and the vault is asked how long it is locked. The exit code is 1 when a statement does not
    verify, or its subject is in quarantine.
    """
    from maestro.cli.evidence_source import evidence_of

    with evidence_of(options) as source:
        desk = source.desk
        if wanted is not None and wanted.startswith("sha256:"):
            title = source.digest(wanted)
            entries = [one for one in desk.index.of_subject(title) if one.project == desk.project]
        else:
            title = source.revision(wanted)
            entries = desk.index.of_revision(desk.project, title)
        rows = [_row(desk, entry) for entry in entries]
    terminal = Terminal(options)
    bad = [row for row in rows if row["state"] != "verified"]
    if as_json:
        terminal.json({"of": title, "evidence": rows})
        return 1 if bad else 0
    if not rows:
        terminal.line(f"there is no evidence of {printable(title)}; steps such as attest.provenance make it")
        return 0
    table = [
        (
            printable(row["type"]),
            row["state"],
            printable(row["subjects"][0].partition(":")[2][:12]) + ("…" if len(row["subjects"]) > 1 else ""),
            printable(f"{row['signer'] or '-'}{' (development)' if row['development'] else ''}"),
            printable(row["signed_at"][:19]) + "Z",
            printable(row["step"]),
        )
        for row in rows
    ]
    terminal.line(f"evidence of {printable(title)}")
    for line in terminal.table(("TYPE", "STATE", "SUBJECT", "SIGNER", "SIGNED (UTC)", "STEP"), table, painted=1):
        terminal.line(line)
    for row in bad:
        said = printable(f"{row['type']} {row['bundle'][:19]}: {row['reason']}")
        terminal.line(f"{terminal.paint(row['state'], 'red')} {said}")
    for text in by_day(row["lock"] for row in rows if row["lock"]):
        terminal.line(f"vault: {printable(text)}")
    return 1 if bad else 0


def by_day(texts: Iterable[str]) -> list[str]:
    """What the vault says, sorted and each once: statements made seconds apart are locked to the same day."""
    return sorted({re.sub(r" \d\d:\d\d:\d\d UTC", "", text) for text in texts})


def _row(desk: EvidenceDesk, entry: Entry) -> dict[str, Any]:
    """What is known of one statement. An entry that contradicts its statement is not verified."""
    status = desk.verifier.check_entry(entry)
    aside = next((one for one in map(desk.quarantine.of, entry.subjects) if one is not None), None)
    return {
        "type": entry.type,
        "state": status.state if status.state != "verified" or aside is None else "quarantined",
        "reason": status.reason or (aside.reason if aside else None),
        "code": status.code,
        "subjects": list(entry.subjects),
        "revision": entry.revision,
        "step": entry.step,
        "run": entry.run_id,
        "signer": None if status.verified is None else status.verified.signer.name,
        "development": None if status.verified is None else status.verified.signer.development,
        "signed_at": entry.signed_at,
        "bundle": f"sha256:{entry.bundle.sha256}",
        "audit": next((one.row for one in desk.logged(entry.revision) if one.bundle == entry.bundle.sha256), None),
        "lock": _lock(desk, entry),
    }


def _lock(desk: EvidenceDesk, entry: Entry) -> str | None:
    """What the vault itself says now, not what was noted when it was written."""
    if entry.vault is None:
        return None
    try:
        kept = desk.vault.status(entry.vault["key"])
    except MaestroError as error:
        return f"not known: {error.what}"
    if kept.sha256 != entry.bundle.sha256:
        return f"not this statement: under {entry.vault['key']} it keeps sha256:{kept.sha256}"
    return kept.text()

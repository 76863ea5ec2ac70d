"""``maestro evidence show``."""

from __future__ import annotations

from typing import Any

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable
from maestro.errors import MaestroError


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
    """Show the signed evidence of a revision or of one artifact, verified now, and how long it is locked.

    The exit code is 1 when a statement does not verify.
    """
    from maestro.cli.evidence_source import evidence_of

    with evidence_of(options) as source:
        desk = source.desk
        if wanted is not None and wanted.startswith("sha256:"):
            digest = source.digest(wanted)
            entries = [one for one in desk.index.of_subject(digest) if one.project == desk.project]
            title = digest
        else:
            title = source.revision(wanted)
            entries = desk.index.of_revision(desk.project, title)
        rows: list[dict[str, Any]] = []
        for entry in entries:
            subject = title if title in entry.subjects else entry.subjects[0]
            status = desk.verifier.check(entry.bundle, entry.type, subject, entry.revision, entry)
            quarantined = desk.quarantine.of(subject)
            rows.append(
                {
                    "type": entry.type,
                    "state": "quarantined" if quarantined else status.state,
                    "reason": quarantined.reason if quarantined else status.reason,
                    "code": status.code,
                    "subjects": list(entry.subjects),
                    "revision": entry.revision,
                    "step": entry.step,
                    "run": entry.run_id,
                    "signer": None if status.verified is None else status.verified.signer.name,
                    "development": None if status.verified is None else status.verified.signer.development,
                    "signed_at": entry.signed_at,
                    "bundle": f"sha256:{entry.bundle.sha256}",
                    "audit": entry.audit_index,
                    "lock": _lock(desk.vault, entry.vault),
                }
            )
        terminal = Terminal(options)
        bad = [row for row in rows if row["state"] != "verified"]
        if as_json:
            terminal.json({"of": title, "evidence": rows})
            return 1 if bad else 0
        if not rows:
            terminal.line(f"there is no evidence of {title}; steps such as attest.provenance make it")
            return 0
        table = [
            (
                row["type"],
                row["state"],
                row["subjects"][0].partition(":")[2][:12] + ("…" if len(row["subjects"]) > 1 else ""),
                printable(f"{row['signer'] or '-'}{' (development)' if row['development'] else ''}"),
                row["signed_at"][:19] + "Z",
                printable(row["step"]),
            )
            for row in rows
        ]
        terminal.line(f"evidence of {title}")
        for line in terminal.table(("TYPE", "STATE", "SUBJECT", "SIGNER", "SIGNED (UTC)", "STEP"), table, painted=1):
            terminal.line(line)
        for row in bad:
            terminal.line(f"{terminal.paint(row['state'], 'red')} {row['type']} {row['bundle'][:19]}: {row['reason']}")
        for text in sorted({row["lock"] for row in rows if row["lock"]}):
            terminal.line(f"vault: {text}")
        return 1 if bad else 0


def _lock(vault: Any, kept: Any) -> str | None:
    """What the vault itself says now, not what was noted when it was written."""
    if kept is None:
        return None
    try:
        text: str = vault.status(kept["key"]).text()
    except MaestroError as error:
        return f"not known: {error.what}"
    return text

"""``maestro evidence verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.signing import TrustRoot


@example_command(
    "verify",
    example="""maestro evidence verify                                     # the revision checked out
maestro evidence verify evidence.tar.zst --key release.pem  # a pack, offline, on any machine""",
)
@click.argument("wanted", required=False, metavar="[REV|PACK]")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Public key (PEM) you trust; for a pack.")
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False), help="Trust file; for a pack.")
@click.option("--audit-key", metavar="KEY", help="The audit log's public key: its line, or a file with it; for a pack.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    wanted: str | None,
    key: Path | None,
    trust: Path | None,
    audit_key: str | None,
    as_json: bool,
) -> int:
    """Verify the evidence of a revision, or an evidence pack, offline.

    Of a revision, what the contract under `evidence` requires must be there too. The exit code is 1 when anything
    does not hold.
    """
    pack = Path(wanted) if wanted else None
    if pack is not None and (pack.is_file() or pack.suffix in (".zst", ".tar")):
        return _pack(options, pack, _trusted(key, trust), audit_key, as_json)
    if key or trust or audit_key:
        raise click.UsageError("--key, --trust and --audit-key are for packs; a project has its own trust file")
    return _revision(options, wanted, as_json)


def _trusted(key: Path | None, trust: Path | None) -> TrustRoot | None:
    from maestro.cli.keys_source import read_file
    from maestro.signing import TrustRoot
    from maestro.signing.project_keys import trusted_pem

    if key and trust:
        raise click.UsageError("give --key or --trust, not both")
    if trust is not None:
        return TrustRoot.load(trust)
    if key is None:
        return None
    pem = read_file(str(key)).decode("utf-8", "replace")
    if not pem.lstrip().startswith("-----BEGIN"):
        # A PEM block somewhere in it would do for the parser, and which of several keys that is nobody would see.
        raise InputError(
            f"{key} is no public key in PEM",
            next_step="give `maestro keys export NAME`; a trust file goes with --trust",
        )
    return TrustRoot((trusted_pem(pem, name="given", at=datetime(2000, 1, 1, tzinfo=UTC)),))


def _audit_key(given: str | None) -> str | None:
    """The key's line, given itself or as a file."""
    from maestro.audit.keyfile import read_public

    return None if given is None else str(read_public(given))


def _pack(options: GlobalOptions, pack: Path, trust: TrustRoot | None, audit_key: str | None, as_json: bool) -> int:
    from maestro.evidence.pack_verify import verify_pack

    report = verify_pack(pack, trust=trust, audit_key=_audit_key(audit_key))
    terminal = Terminal(options)
    if as_json:
        terminal.json(report.to_json())
        return 0 if report.holds else 1
    terminal.line(printable(f"{pack.name}: {report.project}, revision {report.revision}, made {report.made_at}"))
    rows = [
        (
            printable(row["type"]),
            printable(row["subjects"][0].partition(":")[2][:12]) + ("…" if len(row["subjects"]) > 1 else ""),
            printable(f"{row['signer']}{' (development)' if row['development'] else ''}"),
            str(row["signed_at"])[:19] + "Z",
        )
        for row in report.statements
    ]
    for line in terminal.table(("VERIFIED", "SUBJECT", "SIGNER", "SIGNED (UTC)"), rows):
        terminal.line(line)
    for problem in report.problems:
        terminal.line(f"{terminal.paint('refused', 'red')} {printable(problem)}")
    if report.checkpoint:
        terminal.line(printable(f"audit log: {report.checkpoint}"))
    if report.own_keys:
        terminal.line(
            "the keys are the pack's own: it fits together, but who made it is not shown; give --key or --trust"
        )
    verdict = "everything holds" if report.holds else f"{plural(len(report.problems), 'problem')}"
    terminal.line(f"{plural(len(report.statements), 'statement')} verified, {verdict}")
    return 0 if report.holds else 1


def _revision(options: GlobalOptions, wanted: str | None, as_json: bool) -> int:
    from maestro.cli.evidence_source import evidence_of
    from maestro.evidence.overview import overview

    with evidence_of(options) as source:
        revision = source.revision(wanted)
        required = source.opened.loaded.workflow.required_evidence
        rows = overview(source.desk, revision, required)
    terminal = Terminal(options)
    bad = [row for row in rows if row["state"] != "verified"]
    if as_json:
        terminal.json({"revision": revision, "holds": bool(rows) and not bad, "evidence": rows})
        return 0 if rows and not bad else 1
    if not rows:
        terminal.line(f"there is no evidence of revision {revision}: nothing was run for it that makes any")
        return 1
    table = [
        (
            printable(row["type"]),
            row["state"],
            printable(row["subject"][:24]),
            printable(row["reason"] or row["against"] or ""),
        )
        for row in rows
    ]
    for line in terminal.table(("TYPE", "STATE", "SUBJECT", "REASON"), table, painted=1):
        terminal.line(line)
    terminal.line(
        f"{len(rows) - len(bad)} of {len(rows)} hold" + ("" if required else "; no contract says what must be there")
    )
    return 1 if bad else 0

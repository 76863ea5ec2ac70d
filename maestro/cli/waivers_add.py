"""``maestro waivers add``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal
from maestro.errors import InputError

_DAYS = re.compile(r"(\d{1,4})d")


@example_command(
    "add",
    example="""maestro waivers add CVE-2026-1234 --expires 30d --reason 'not reachable from our code'
maestro waivers add CVE-2026-1234 --purl pkg:pypi/libx --subject 'localhost:5000/*' --expires 2027-01-31 --reason …""",
)
@click.argument("finding")
@click.option("--reason", required=True, metavar="TEXT", help="Why it may pass, in one line.")
@click.option("--expires", required=True, metavar="WHEN", help="30d, 2027-01-31 or a time with zone; at most 365 days.")
@click.option("--approver", metavar="NAME", help="Who says so; you if not given.")
@click.option("--purl", metavar="PURL", help="Only in this package; without a version, in any version of it.")
@click.option("--subject", metavar="NAME", help="Only in this artifact: sha256:…, or a pattern of its name.")
@click.option("--path", "within", metavar="PATTERN", help="Only in these files; for secrets.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    finding: str,
    reason: str,
    expires: str,
    approver: str | None,
    purl: str | None,
    subject: str | None,
    within: str | None,
    as_json: bool,
) -> int:
    """Let a named finding pass until a day, for a reason, signed.

    FINDING is the id of a vulnerability, or the fingerprint of a secret, as a gate's decision shows it.
    """
    from maestro.cli.evidence_source import evidence_of
    from maestro.policy.waiver_store import keep_waiver
    from maestro.policy.waivers import make_waiver

    now = datetime.now(UTC)
    until = _until(expires, now)
    with evidence_of(options) as source:
        desk = source.desk
        waiver = make_waiver(
            finding,
            reason=reason,
            approver=approver or desk.actor,
            expires=until,
            now=now,
            purl=purl,
            subject=subject,
            file=within,
        )
        keep_waiver(desk.store, waiver, desk.signer, audit=lambda one: desk.note(one.kind, one.object, one.data))
    terminal = Terminal(options)
    if as_json:
        terminal.json(waiver.to_json())
    else:
        terminal.line(f"{waiver.id}: {waiver.finding} may pass until {waiver.expires}, by {waiver.approver}")
    return 0


def _until(text: str, now: datetime) -> datetime:
    found = _DAYS.fullmatch(text)
    if found:
        return now + timedelta(days=int(found[1]))
    try:
        if len(text) == len("2027-01-31"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InputError(f"--expires '{text}' is no time", next_step="write 30d, 2027-01-31 or 2027-01-31T12:00:00Z")
    return at

"""``maestro llm verify``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.audit_findings import tell_findings
from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, printable


@example_command("verify", example="maestro llm verify\nmaestro llm verify --json")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, server_home: Path | None, as_json: bool) -> int:
    """Compare the kept decisions with what the audit log says of them.

    Every decision that was changed, or is gone though its time was not over, is named with the entry of the log it is
    in, and every one that no entry has. Exit code 1 when there is any, or the log itself is not what was signed.
    """
    from maestro.cli.decision_audit import log_of
    from maestro.cli.llm_source import decisions_of
    from maestro.cli.money_source import place_of
    from maestro.llm.audit_check import anything_kept, verify_decisions

    place = place_of(options, server_home)
    terminal = Terminal(options)
    with decisions_of(place) as decisions:
        if place.server is None and not anything_kept(decisions.engine) and not _log_begun(options):
            terminal.json(_NOTHING) if as_json else terminal.line("no model was asked")
            return 0
        with log_of(options, place) as log:
            report = verify_decisions(decisions.engine, log)
    if as_json:
        terminal.json(report.to_json())
        return 0 if report.ok else 1
    tell_findings(terminal, report.findings)
    for index in report.repeated:
        terminal.line(f"{terminal.state('warn')} entry {index} is the second one of a batch, and says the same")
    for name, number in report.elsewhere.items():
        marked = f"{plural(number, 'decision')} marked as audited in another log, {printable(name)}"
        terminal.line(f"{terminal.state('warn')} {marked}: verify with the profile that names it")
    if report.waiting:
        terminal.line(f"{plural(report.waiting, 'decision')} not audited yet")
    if report.expired:
        terminal.line(f"{plural(report.expired, 'decision')} removed after the time they are kept for, as the log says")
    entries = f"{report.entries} {'entry' if report.entries == 1 else 'entries'}"
    told = f"{plural(report.decisions, 'decision')} as they were audited, in {entries} of the log"
    if report.ok:
        terminal.line(f"{terminal.state('ok')} {told}")
        return 0
    terminal.line(f"{plural(len(report.findings), 'finding')}; {told}")
    return 1


def _log_begun(options: GlobalOptions) -> bool:
    from maestro.audit.database import Database
    from maestro.audit.keyfile import public_file
    from maestro.cli.audit_source import find

    # Either alone is what is left of a log, and then there is something to find out.
    source = find(options, None)
    return public_file(source.key_file).is_file() or Database(source.url).exists()


_NOTHING = {
    "ok": True,
    "entries": 0,
    "decisions": 0,
    "expired": 0,
    "waiting": 0,
    "repeated": [],
    "elsewhere": {},
    "findings": [],
}

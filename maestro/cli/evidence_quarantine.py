"""``maestro evidence quarantine``."""

from __future__ import annotations

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "quarantine",
    example="""maestro evidence quarantine                   # what is set aside, and why
maestro evidence quarantine sha256:9f86… --reason 'built on a stolen laptop'
maestro evidence quarantine sha256:9f86… --release --reason 'was the wrong image'""",
)
@click.argument("digest", required=False, metavar="[DIGEST]")
@click.option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
@click.option("--release", is_flag=True, help="Let it be used again.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, digest: str | None, reason: str | None, release: bool, as_json: bool) -> int:
    """List what must not be used, set something aside, or release it."""
    from maestro.artifacts import Subject
    from maestro.cli.evidence_source import evidence_of

    if digest is None and (reason or release):
        raise click.UsageError("name what it is about: maestro evidence quarantine DIGEST --reason TEXT")
    if digest is not None and not (reason and reason.strip()):
        raise click.UsageError("say why: --reason TEXT")
    terminal = Terminal(options)
    with evidence_of(options) as source:
        desk = source.desk
        if digest is None:
            found = desk.in_quarantine()
            if as_json:
                terminal.json({"quarantine": [one.to_json() for one in found]})
            elif not found:
                terminal.line("nothing is in quarantine")
            for one in [] if as_json else found:
                terminal.line(printable(f"{one.digest}  {one.name}"))
                terminal.line(printable(f"  by {one.by} at {one.at}: {one.reason}"))
            return 0
        chosen = source.digest(digest)
        assert reason is not None
        if release:
            entry = desk.release(chosen, reason)
            said = "released"
        else:
            algorithm, _, value = chosen.partition(":")
            about = Subject(chosen, {algorithm: value})
            entry = desk.set_aside(about, reason, revision=None, step=None, by=desk.actor)
            said = "in quarantine"
    if as_json:
        terminal.json({"digest": chosen, "state": said, "reason": entry.reason, "by": entry.by})
    else:
        first = f", by {entry.by} before: {entry.reason}" if not release and entry.reason != reason else ""
        terminal.line(printable(f"{chosen}: {said}{first}"))
    return 0

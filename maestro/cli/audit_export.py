"""``maestro audit export``."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from maestro.cli.audit_source import DB_OPTION, KEY_OPTION, open_to_read
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal

if TYPE_CHECKING:
    from maestro.audit import AuditLog

_FILE = click.Path(dir_okay=False, path_type=Path)


@example_command(
    "export",
    example="""maestro audit export --format cef --output audit.cef
maestro audit export --to syslog+tls://siem.example:6514 --follow
maestro audit export --to https://siem.example/ingest --token-env SIEM_TOKEN""",
)
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "cef"]), default="jsonl", show_default=True, help="Form of a line."
)
@click.option("--output", type=_FILE, metavar="FILE", help="Write lines there; standard output if not given.")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, help="Index of the first entry.")
@click.option("--to", "receiver_url", metavar="URL", help="Forward what this receiver does not have yet.")
@click.option("--name", metavar="NAME", help="Name of the receiver's cursor; its address if not given.")
@click.option("--follow", is_flag=True, help="Go on forwarding until stopped, however long the receiver is away.")
@click.option("--token-env", metavar="NAME", help="Variable with the receiver's bearer token.")
@click.option("--ca-file", type=_FILE, metavar="FILE", help="Authorities to trust for TLS instead of the system's.")
@DB_OPTION
@KEY_OPTION
@pass_options
def command(
    options: GlobalOptions,
    form: str,
    output: Path | None,
    start: int,
    receiver_url: str | None,
    name: str | None,
    follow: bool,
    token_env: str | None,
    ca_file: Path | None,
    db: str | None,
    key: str | None,
) -> int:
    """Write entries as JSON lines or CEF, or forward them to a SIEM.

    Forwarding remembers in the database what the receiver has; an entry is sent at least once.
    """
    if receiver_url is None:
        if follow or name or token_env or ca_file:
            raise click.UsageError("--follow, --name, --token-env and --ca-file go with --to")
        with open_to_read(options, db, key) as log:
            _write(log, form, start, output)
        return 0
    if output is not None or start:
        raise click.UsageError("--output and --from do not go with --to")
    headers = {"authorization": f"Bearer {_token(token_env)}"} if token_env else {}
    from maestro.audit.receiver import open_receiver

    receiver = open_receiver(receiver_url, form=form, headers=headers, ca_file=ca_file)
    with open_to_read(options, db, key) as log:
        cursor = name or receiver_url
        if follow:
            import threading

            from maestro.audit.forward import follow as go_on

            go_on(log, receiver, cursor, threading.Event(), failed=lambda error: click.echo(str(error), err=True))
            return 0
        from maestro.audit.forward import forward

        sent = forward(log, receiver, cursor)
    Terminal(options).line(f"forwarded {sent} entries to {receiver_url}")
    return 0


def _write(log: AuditLog, form: str, start: int, output: Path | None) -> None:
    from maestro.audit.formats import FORMATS
    from maestro.errors import InputError, Location

    line = FORMATS[form]
    with ExitStack() as stack:
        stream: TextIO = sys.stdout
        if output is not None:
            try:
                stream = stack.enter_context(output.open("w", encoding="utf-8", newline="\n"))
            except OSError as error:
                raise InputError(
                    f"cannot be written: {error.strerror}", where=Location(str(output)), next_step="name another file"
                ) from error
        for entry in log.entries(start):
            stream.write(f"{line(entry, log.origin)}\n")


def _token(variable: str) -> str:
    from maestro.errors import InputError

    value = os.environ.get(variable, "").strip()
    if not value or not value.isascii() or not value.isprintable():
        raise InputError(f"the variable {variable} holds no token", next_step="set it, or leave out --token-env")
    return value

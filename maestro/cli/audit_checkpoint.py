"""``maestro audit checkpoint``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.audit_source import DB_OPTION, KEY_FILE_OPTION, open_to_write, write_file
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("checkpoint", example="maestro audit checkpoint --output checkpoint.txt")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it there; standard output if not given.",
)
@DB_OPTION
@KEY_FILE_OPTION
@pass_options
def command(options: GlobalOptions, output: Path | None, db: str | None, key_file: Path | None) -> int:
    """Sign and keep what the log is now.

    The checkpoint is a signed note (C2SP tlog-checkpoint). Keep a copy where nobody who can write to the database can
    change it: rows cut off the log later are found by it.
    """
    terminal = Terminal(options)
    with open_to_write(options, db, key_file) as log:
        note = log.checkpoint()
    if output is None:
        terminal.stream.write(note)
    else:
        write_file(output, note)
        terminal.line(f"wrote {output}")
    return 0

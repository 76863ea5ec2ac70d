"""``maestro audit consistency``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from maestro.cli.audit_source import DB_OPTION, KEY_OPTION, open_to_read, read_note, write_file
from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal

_FILE = click.Path(dir_okay=False, path_type=Path)


@example_command(
    "consistency",
    example="""maestro audit consistency checkpoint.txt
maestro audit consistency last-year.txt today.txt --output consistency.json""",
)
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE, required=False)
@click.option("--output", type=_FILE, metavar="FILE", help="Write the proof there, for `audit prove --verify`.")
@DB_OPTION
@KEY_OPTION
@pass_options
def command(
    options: GlobalOptions, old: Path, new: Path | None, output: Path | None, db: str | None, key: str | None
) -> int:
    """Prove that the log of today begins with the log of an earlier checkpoint.

    OLD and NEW are files with checkpoints; NEW is the log as it is now when not given.
    """
    terminal = Terminal(options)
    earlier, later = read_note(old), read_note(new) if new is not None else None
    with open_to_read(options, db, key) as log:
        proof = log.consistency(earlier, later)
        first, second = proof.verify(log.key)
    if output is not None:
        write_file(output, json.dumps(proof.to_json(), indent=2, ensure_ascii=False) + "\n")
    terminal.line(
        f"{terminal.state('ok')} the log {second.origin} of {second.size} entries begins with all of the log of "
        f"{first.size} entries"
    )
    return 0

"""``maestro artifacts gc``."""

from __future__ import annotations

import re
from datetime import timedelta

import click

from maestro.artifacts import RecordStore, collect, plan_collection
from maestro.cli.artifact_source import store_of
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, size
from maestro.errors import InputError

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_AGE = re.compile(r"(\d{1,9})([mhdw])")


@example_command(
    "gc",
    example="""maestro artifacts gc                              # what would go
maestro artifacts gc --older-than 7d --yes        # let it go
maestro artifacts gc --keep-revisions 10 --yes""",
)
@click.option("--older-than", default="30d", show_default=True, metavar="AGE", help="Only what is older: 12h, 30d.")
@click.option(
    "--keep-revisions", type=click.IntRange(0), metavar="N", help="Newest revisions to keep whatever their age."
)
@click.option("--yes", is_flag=True, help="Delete; without it only says what would go.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, older_than: str, keep_revisions: int | None, yes: bool, as_json: bool) -> int:
    """Delete what nothing needs any more; says so first, deletes with --yes.

    Nothing younger than an hour goes, nor the journal of outside effects.
    """
    age = _age(older_than)
    store = store_of(options)
    found = plan_collection(store, RecordStore(store), older_than=age, keep_revisions=keep_revisions)
    if yes:
        found = collect(store, found)
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "deleted": yes,
                "objects": [one.sha256 for one in found.objects],
                "bytes": found.bytes,
                "records": list(found.records),
            }
        )
        return 0
    verb = "deleted" if yes else "would delete"
    objects, records = plural(len(found.objects), "object"), plural(len(found.records), "record")
    terminal.line(f"{verb} {objects} ({size(found.bytes)}) and {records}")
    if not yes and (found.objects or found.records):
        terminal.line("next: add --yes")
    return 0


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise InputError(f"--older-than '{text}' is not an age", next_step="write one such as 12h, 30d or 8w")
    try:
        return int(found[1]) * _UNITS[found[2]]
    except OverflowError:
        raise InputError(
            f"--older-than '{text}' is too long ago", next_step="write one such as 12h, 30d or 8w"
        ) from None

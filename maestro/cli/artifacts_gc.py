"""``maestro artifacts gc``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click

from maestro.artifacts import ArtifactStore, Collection, RecordStore, collect, plan_collection
from maestro.cli.artifact_source import store_of
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.prepare import find_project
from maestro.cli.terminal import Terminal, plural, size
from maestro.errors import InputError
from maestro.execution.open_desk import open_desk
from maestro.profile import load_profile
from maestro.runs.project_name import project_name

_MOST_DIGESTS = 1000
"""Of deleted objects that the audit log names one by one."""
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

    Nothing younger than an hour goes, nor signed evidence, nor the journal of outside effects. What is deleted is
    written into the audit log.
    """
    age = _age(older_than)
    store = store_of(options)
    found = plan_collection(store, RecordStore(store), older_than=age, keep_revisions=keep_revisions)
    if yes and (found.objects or found.records):
        found = _collect(options, store, found, {"older_than": older_than, "keep_revisions": keep_revisions})
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


def _collect(options: GlobalOptions, store: ArtifactStore, planned: Collection, asked: Mapping[str, Any]) -> Collection:
    """Deletes what was planned, and writes one row about it into the audit log; what was deleted."""
    project = find_project(options)
    name = project_name(project)
    desk = open_desk(project, name, load_profile(options.profile), store, os.environ)
    try:
        # Opened first: without a log nothing is deleted.
        desk.audit  # noqa: B018 - opens the log
        done = collect(store, planned)
        data = {
            "project": name,
            "objects": len(done.objects),
            "bytes": done.bytes,
            "records": len(done.records),
            "digests": [f"sha256:{one.sha256}" for one in done.objects[:_MOST_DIGESTS]],
            **asked,
        }
        desk.note("artifact.deleted", store.url, data)
    finally:
        desk.close()
    return done


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

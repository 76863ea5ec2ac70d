"""``maestro audit show``."""

from __future__ import annotations

import json

import click

from maestro.cli.audit_source import DB_OPTION, KEY_OPTION, open_to_read
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

_WIDEST = 60


@example_command(
    "show",
    example="""maestro audit show
maestro audit show --kind waiver. --limit 100
maestro audit show 42                         # one entry, with all its data""",
)
@click.argument("index", type=click.IntRange(min=0), required=False)
@click.option("--kind", metavar="KIND", help="Only this kind; with a dot at the end, all that begin so: 'waiver.'.")
@click.option("--actor", metavar="NAME", help="Only what this person or service did.")
@click.option("--object", "target", metavar="OBJECT", help="Only what was done to this.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="The newest so many.")
@DB_OPTION
@KEY_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    index: int | None,
    kind: str | None,
    actor: str | None,
    target: str | None,
    limit: int,
    db: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """List what was decided, signed, waived and deleted, the newest last."""
    from maestro.audit.reader import Filter, last_indexes
    from maestro.errors import InputError

    terminal = Terminal(options)
    with open_to_read(options, db, key) as log:
        if index is not None:
            found = list(log.entries(index, index + 1))
            if not found:
                raise InputError(f"there is no entry {index}", next_step=f"the log has {log.size}; they count from 0")
        else:
            chosen = Filter(kind, actor, target)
            newest = last_indexes(log.database, limit, chosen)
            found = list(log.entries(newest[0], chosen=chosen))[-limit:] if newest else []
    if as_json:
        terminal.json({"entries": [entry.to_json() for entry in found]})
    elif index is not None:
        for name, value in found[0].to_json().items():
            terminal.line(f"{name:8}{printable(value if isinstance(value, str) else json.dumps(value))}")
    elif not found:
        terminal.line("no entries")
    else:
        rows = []
        for entry in found:
            at = f"{entry.at:%Y-%m-%d %H:%M:%S}Z"
            rows.append((str(entry.index), at, entry.kind, printable(entry.actor)[:30], _short(entry.object)))
        for line in terminal.table(("INDEX", "AT", "KIND", "ACTOR", "OBJECT"), rows):
            terminal.line(line)
    return 0


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"

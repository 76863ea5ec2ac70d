"""``maestro hooks show``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal, printable


@example_command("show", example="maestro hooks show 42\nmaestro hooks show 42 --raw > body.json")
@click.argument("delivery", metavar="ID")
@click.option("--raw", is_flag=True, help="Write the body alone, byte for byte.")
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, delivery: str, raw: bool, home: Path | None, as_json: bool) -> int:
    """Show one webhook: headers, body and what became of it.

    ID is its number in `maestro hooks list`, or the sender's id of the delivery.
    """
    from maestro.cli.hooks_source import Hooks, outcome_json, outcome_text, payload_of, shown_time
    from maestro.cli.server_home import server_home

    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    hooks = Hooks(server_home(options, home))
    found = hooks.find(delivery)
    if raw:
        sys.stdout.buffer.write(found.body)
        sys.stdout.buffer.flush()
        return 0
    outcome = hooks.outcomes.get(found.id)
    content = payload_of(found)
    terminal = Terminal(options)
    if as_json:
        about = {
            "id": found.id,
            "received": found.received.timestamp(),
            "provider": found.provider,
            "delivery": found.delivery,
            "event": found.event,
            "project": found.project or None,
            "trace": found.trace,
            "headers": dict(found.headers),
            "body": content if content is not None else found.body.decode("utf-8", "replace"),
            "outcome": outcome_json(outcome),
        }
        terminal.json(about)
        return 0
    terminal.line(
        f"webhook {found.id}: {found.provider} {printable(found.event)}, delivery {printable(found.delivery)}"
    )
    terminal.line(f"received {shown_time(found.received)} UTC, project {printable(found.project) or '-'}")
    state = terminal.state(outcome.state) if outcome else "new"
    terminal.line(f"{state}: {printable(outcome_text(outcome))}")
    terminal.line()
    for name, value in found.headers.items():
        terminal.line(f"{printable(name)}: {printable(value)}")
    terminal.line()
    if content is not None:
        # ASCII alone: what a stranger sent can neither move the cursor nor hide.
        terminal.line(json.dumps(content, indent=2))
    else:
        terminal.line(printable(found.body.decode("utf-8", "replace")))
    return 0

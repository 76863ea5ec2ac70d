"""``maestro llm tokens list``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command("list", example="maestro llm tokens list\nmaestro llm tokens list --json")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, server_home: Path | None, as_json: bool) -> int:
    """List tokens, whom they charge, and whether they count."""
    from maestro.cli.llm_tokens_source import tokens_of
    from maestro.cli.money_source import place_of

    now = datetime.now(UTC)
    found = tokens_of(place_of(options, server_home)).all()
    terminal = Terminal(options)
    if as_json:
        about = [
            {**{name: value for name, value in one.to_json().items() if name != "sha256"}, "state": one.state(now)}
            for one in found
        ]
        terminal.json({"tokens": about})
        return 0
    if not found:
        terminal.line("no tokens; maestro llm tokens add NAME")
        return 0
    heads = ("ID", "NAME", "STATE", "CHARGED TO", "UNTIL (UTC)", "BY")
    rows = []
    for one in found:
        charged = f"{one.tenant}/{one.project}" + (f"#{one.pull_request}" if one.pull_request is not None else "")
        until = f"{one.expires:%Y-%m-%d %H:%M}" if one.expires else "-"
        shown = (one.id, one.name, one.state(now), charged, until, one.by)
        rows.append(tuple(printable(text) for text in shown))
    for line in terminal.table(heads, rows):
        terminal.line(line)
    return 0

"""``maestro llm health``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.money_source import SERVER_HOME_OPTION
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable

_UNTRIED = "its key is there; whether it is accepted is seen when it is called"
"""litellm has no question that costs nothing."""


@example_command("health", example="maestro llm health\nmaestro llm health --json")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, server_home: Path | None, as_json: bool) -> int:
    """Show which models can be used right now, and why others cannot.

    Providers are asked whether they answer; no model is, so it costs nothing.
    """
    from maestro.cli.llm_source import catalogue_of, gateway_of
    from maestro.cli.money_source import place_of

    place = place_of(options, server_home)
    models = catalogue_of(place).models
    with gateway_of(place) as gateway:
        found = gateway.health()
    terminal = Terminal(options)
    if as_json:
        terminal.json({"models": {name: {"ready": why is None, "why": why} for name, why in found.items()}})
        return 0
    ready = [
        (name, "ok", _UNTRIED if models[name].kind == "litellm" else "") for name, why in found.items() if why is None
    ]
    others = [(name, "skipped", printable(why)) for name, why in found.items() if why is not None]
    rows = [(printable(name), state, why) for name, state, why in [*ready, *others]]
    for line in terminal.table(("MODEL", "STATE", "NOTE"), rows, painted=1):
        terminal.line(line)
    terminal.line(f"{len(ready)} of {len(rows)} can be used")
    return 0

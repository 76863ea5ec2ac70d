"""``maestro keys list``."""

from __future__ import annotations

from datetime import UTC, datetime

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command("list", example="maestro keys list\nmaestro keys list --json")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, as_json: bool) -> int:
    """List the keys whose signatures this project trusts."""
    from maestro.cli.keys_source import day, described, project_keys

    now = datetime.now(UTC)
    keys = project_keys(options)
    trust = keys.trust()
    terminal = Terminal(options)
    if as_json:
        terminal.json({"file": str(keys.trust_file), "keys": [described(one, now) for one in trust]})
        return 0
    if not trust.keys:
        terminal.line("no key is trusted; the first run that signs makes one, and so does: maestro keys rotate")
        return 0
    rows = [
        (
            one.name,
            one.state(now),
            one.keyid[:16],
            day(one.valid_from),
            day(one.valid_until),
            "development" if one.development else one.scheme,
        )
        for one in trust
    ]
    for line in terminal.table(("NAME", "STATE", "KEY ID", "FROM (UTC)", "UNTIL (UTC)", "KIND"), rows):
        terminal.line(line)
    if any(one.development and one.state(now) == "active" for one in trust):
        terminal.line("a development key lies unencrypted on this machine: good for trying out, not for releases")
    return 0

"""``maestro waivers list``."""

from __future__ import annotations

from datetime import UTC, datetime

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command("list", example="maestro waivers list\nmaestro waivers list --json")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, as_json: bool) -> int:
    """List waivers and whether they count."""
    from maestro.cli.artifact_source import store_of
    from maestro.cli.keys_source import project_keys
    from maestro.policy.waiver_store import kept_waivers

    found = kept_waivers(store_of(options), project_keys(options).trust(), now=datetime.now(UTC))
    terminal = Terminal(options)
    if as_json:
        terminal.json(
            {
                "waivers": [
                    {
                        "id": one.id,
                        "state": one.state,
                        "why": one.reason,
                        "signer": one.signer,
                        "waiver": one.waiver.to_json() if one.waiver else None,
                    }
                    for one in found
                ]
            }
        )
        return 0
    if not found:
        terminal.line("no waivers")
        return 0
    rows = [
        (
            one.id,
            one.state,
            one.waiver.finding if one.waiver else "-",
            one.waiver.expires if one.waiver else "-",
            printable(one.waiver.approver) if one.waiver else "-",
            printable(one.waiver.reason if one.waiver and one.state == "active" else one.reason or ""),
        )
        for one in found
    ]
    for line in terminal.table(("ID", "STATE", "FINDING", "EXPIRES", "APPROVER", "WHY"), rows):
        terminal.line(line)
    return 0

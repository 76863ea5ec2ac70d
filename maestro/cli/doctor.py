"""``maestro doctor``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, pad, plural, printable


@example_command(
    "doctor",
    example="""maestro doctor
maestro --profile postgres doctor --json""",
)
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, as_json: bool) -> int:
    """Check that this machine has what Maestro and the workflow need.

    The exit code is 1 when a check fails; a warning is about something only some workflows need.
    """
    from maestro.cli.checks import all_checks

    checks = list(all_checks(options))
    failed = any(check.state == "fail" for check in checks)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"ok": not failed, "checks": [asdict(check) for check in checks]})
        return int(failed)
    columns = max(len(check.name) for check in checks)
    for check in checks:
        state = terminal.state(check.state) + " " * (4 - len(check.state))
        terminal.line(f"{state}  {pad(check.name, columns)}  {printable(check.found)}")
        if check.next_step:
            terminal.line(f"      next: {printable(check.next_step)}")
    counts = Counter(check.state for check in checks)
    terminal.line(f"{counts['ok']} ok, {plural(counts['warn'], 'warning')}, {counts['fail']} failed")
    return int(failed)

"""``maestro doctor``."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION
from maestro.cli.terminal import Terminal, pad, plural, printable


@example_command(
    "doctor",
    example="""maestro doctor
maestro --profile postgres doctor --json
maestro doctor --home /srv/maestro       # a server instead of a project""",
)
@HOME_OPTION
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None, as_json: bool) -> int:
    """Check that this machine has what Maestro and the workflow need.

    The exit code is 1 when a check fails; a warning is about something only some workflows need. With --home, and when
    MAESTRO_SERVER_HOME is set outside of a project, a server is looked at instead of a project.
    """
    from maestro.cli.checks import all_checks, machine_checks

    if home is not None or (os.environ.get("MAESTRO_SERVER_HOME") and not _in_project(options)):
        from maestro.cli.server_checks import server_checks

        checks = [*machine_checks(options), *server_checks(options, home)]
    else:
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


def _in_project(options: GlobalOptions) -> bool:
    from maestro.cli.prepare import find_project
    from maestro.errors import MaestroError

    try:
        find_project(options)
    except MaestroError:
        return False
    return True

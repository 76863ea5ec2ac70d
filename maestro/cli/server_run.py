"""``maestro server run``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION


@example_command("run", example="maestro server run --home /srv/maestro")
@HOME_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None) -> int:
    """Run all programs of a server until Ctrl-C.

    The same as `maestro server`: gateway, warm server, conductor, the code of each project, Dagster's web server and
    daemon.
    """
    from maestro.cli.server_supervisor import serve

    return serve(options, home)

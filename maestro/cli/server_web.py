"""``maestro server web``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION


@example_command("web", example="maestro server web --home /srv/maestro")
@HOME_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None) -> int:
    """Run Dagster's web server alone, with the projects' code.

    A code server for each registered project is started beside it.
    """
    from maestro.cli.server_supervisor import serve

    return serve(options, home, only="web")

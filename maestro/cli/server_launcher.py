"""``maestro server launcher``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION


@example_command("launcher", example="maestro server launcher --home /srv/maestro")
@HOME_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None) -> int:
    """Run the warm server alone: starts runs at once.

    It starts the runs that the conductor of this machine admits.
    """
    from maestro.cli.server_alone import become

    become(options, home, "launcher")

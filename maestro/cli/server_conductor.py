"""``maestro server conductor``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION


@example_command("conductor", example="maestro server conductor --home /srv/maestro")
@HOME_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None) -> int:
    """Run the conductor alone: makes runs of deliveries, admits them, reports them.

    Of several on one database one acts; another takes over when it is gone.
    """
    from maestro.cli.server_alone import become

    become(options, home, "conductor")

"""``maestro server gateway``."""

from __future__ import annotations

from pathlib import Path

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.server_home import HOME_OPTION


@example_command("gateway", example="maestro server gateway --home /srv/maestro")
@HOME_OPTION
@pass_options
def command(options: GlobalOptions, home: Path | None) -> int:
    """Run the gateway alone: takes webhooks and keeps them.

    Several may serve one PostgreSQL database. On one machine each needs a home and a port (gateway.port) of its own.
    """
    from maestro.cli.server_alone import become

    become(options, home, "gateway")

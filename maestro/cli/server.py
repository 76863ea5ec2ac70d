"""``maestro server``: alone it is ``maestro server run``; its commands are ``server_run``, ``server_web`` …"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from maestro.cli.options import GlobalOptions, LazyGroup, global_options, pass_options
from maestro.cli.server_home import HOME_OPTION

COMMANDS: Mapping[str, str] = {
    "run": "Run all programs of a server until Ctrl-C.",
    "gateway": "Run the gateway alone: takes webhooks and keeps them.",
    "launcher": "Run the warm server alone: starts runs at once.",
    "conductor": "Run the conductor alone: makes runs of deliveries, admits them, reports them.",
    "web": "Run Dagster's web server alone, with the projects' code.",
    "daemon": "Run Dagster's daemon alone, with the projects' code.",
}


class _Server(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"server_{name}"


@click.command(
    "server",
    cls=_Server,
    commands_of="maestro.cli",
    table=COMMANDS,
    invoke_without_command=True,
    no_args_is_help=False,
    example="""maestro server                        # everything, on SQLite files in the home
maestro server --home /srv/maestro
maestro server gateway --home /srv/maestro   # one program of it, for a container""",
)
@HOME_OPTION
@pass_options
@click.pass_context
def command(context: click.Context, options: GlobalOptions, home: Path | None) -> int:
    """Take webhooks and deliver the registered projects.

    One Ctrl-C stops taking deliveries and gives the runs that go on the time server.yaml says (launcher.drain_seconds);
    a second one stops at once. Each program is started again when it dies.
    """
    if context.invoked_subcommand is not None:
        if home is not None:
            raise click.UsageError(f"write --home behind {context.invoked_subcommand}", context)
        return 0
    from maestro.cli.server_supervisor import serve

    return serve(options, home)


# As with a command that is no group, they may stand behind its name.
command.params += global_options(hidden=True)

"""``maestro dev``."""

from __future__ import annotations

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options


@example_command(
    "dev",
    example="""maestro dev                 # then open the address it prints
maestro dev --port 3333""",
)
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the UI listens on.")
@click.option("--browser", is_flag=True, help="Open a browser when the UI answers.")
@pass_options
def command(options: GlobalOptions, port: int, host: str, browser: bool) -> int:
    """Start the Dagster UI and daemon on this project's state.

    One Ctrl-C ends both. Runs started in the UI work in a checkout of their own, at the revision (partition) chosen.
    """
    from maestro.cli.dev_servers import serve

    return serve(options, host, port, open_browser=browser)

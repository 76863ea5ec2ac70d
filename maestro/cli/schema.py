"""``maestro schema``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.output_file import write_output
from maestro.cli.terminal import Terminal


@example_command(
    "schema",
    example="""maestro schema | head
maestro schema --write .maestro/schema.json    # then: # yaml-language-server: $schema=.maestro/schema.json""",
)
@click.option("--write", metavar="FILE", type=click.Path(path_type=Path), help="Write it to this file.")
@pass_options
def command(options: GlobalOptions, write: Path | None) -> int:
    """Print the JSON Schema of maestro.yaml.

    It knows the step kinds installed here; editors use it for completion and for the same errors.
    """
    from maestro.steps import Registry
    from maestro.workflow.schema import text

    schema = text(Registry())
    write_output(Terminal(options), schema, write)
    return 0

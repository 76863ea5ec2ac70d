"""``maestro schema``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal
from maestro.errors import InputError, Location


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
    terminal = Terminal(options)
    if write is None:
        terminal.stream.write(schema)
        return 0
    try:
        write.write_text(schema, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=Location(str(write)), next_step="name another file"
        ) from error
    terminal.line(f"wrote {write}")
    return 0

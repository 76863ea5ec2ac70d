"""``maestro vulns update``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal


@example_command(
    "update",
    example="""maestro vulns update ~/advisory-database/vulns          # a folder of OSV files, or a zip archive
maestro vulns update https://osv.example --ecosystem PyPI --ecosystem npm
maestro vulns update                                    # from $MAESTRO_ADVISORY_SOURCE""",
)
@click.argument("source", required=False, metavar="SOURCE")
@click.option(
    "--ecosystem", "ecosystems", multiple=True, metavar="NAME", help="Only this, of a server; may be repeated."
)
@click.option(
    "--database", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Folder of the database."
)
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions, source: str | None, ecosystems: tuple[str, ...], database: Path | None, as_json: bool
) -> int:
    """Bring the advisory database up to date.

    SOURCE is a folder of OSV files, a zip archive, or the address under which `{ecosystem}/all.zip` stand; without it
    $MAESTRO_ADVISORY_SOURCE. If anything goes wrong the database stays as it was.
    """
    from maestro.cli.prepare import find_project
    from maestro.errors import InputError
    from maestro.vulnerabilities.location import SOURCE_VARIABLE, ecosystems_of, home_folder, known_ecosystems
    from maestro.vulnerabilities.update import update

    chosen = source or os.environ.get(SOURCE_VARIABLE)
    if not chosen:
        raise InputError(
            "no source of advisories is named",
            next_step=f"name one, or set {SOURCE_VARIABLE} to a folder or an address",
        )
    wanted = known_ecosystems(ecosystems) if ecosystems else ecosystems_of(os.environ)
    folder = database or home_folder(find_project(options).ensure_home())
    made = update(folder, chosen, ecosystems=wanted)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"changed": made.changed, "digest": made.info.digest, "advisories": made.info.advisories})
        return 0
    what = "is new" if made.changed else "has not changed"
    terminal.line(f"the advisory database {what}: {made.info.advisories:,} in force, newest {made.info.modified}")
    return 0

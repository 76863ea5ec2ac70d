"""``maestro evidence export``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, plural, size


@example_command(
    "export",
    example="""maestro evidence export                       # of the revision checked out
maestro evidence export v1.2 -o evidence-v1.2.tar.zst""",
)
@click.argument("revision", required=False, metavar="[REV]")
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Where to; it must not exist.")
@JSON_OPTION
@pass_options
def command(options: GlobalOptions, revision: str | None, output: Path | None, as_json: bool) -> int:
    """Write the evidence pack of a revision, which a stranger can verify.

    It holds the statements, the documents they name, public keys, audit proofs, and how to verify all that with openssl
    alone. Nothing is written when a statement does not verify, or is missing.
    """
    from maestro.cli.evidence_source import evidence_of
    from maestro.evidence.pack import write_pack

    with evidence_of(options) as source:
        named = source.revision(revision)
        target = output or Path(f"evidence-{source.desk.project}-{named[:21]}.tar.zst")
        index = write_pack(source.desk, named, target)
    terminal = Terminal(options)
    if as_json:
        terminal.json({"pack": str(target), "bytes": target.stat().st_size, **index})
        return 0
    terminal.line(f"{target}: {plural(len(index['statements']), 'statement')}, {size(target.stat().st_size)}")
    terminal.line(f"verify it anywhere: maestro evidence verify {target.name} --key KEY.pem")
    return 0

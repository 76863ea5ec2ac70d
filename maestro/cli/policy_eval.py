"""``maestro policy eval``."""

from __future__ import annotations

from pathlib import Path

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command(
    "eval",
    example="""maestro policy eval supply_chain.release input.json
maestro policy eval access.release - --bundle policies --json < input.json""",
)
@click.argument("policy")
@click.argument("input_file", metavar="INPUT")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder or bundle; the profile's if not given, else the policies Maestro ships.",
)
@click.option("--opa", metavar="URL", help="An OPA server that has the bundle, instead of this process.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Time for the answer; as the profile says.")
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    policy: str,
    input_file: str,
    bundle: Path | None,
    opa: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Ask a policy about an input document; exit code 1 is a deny.

    INPUT is a JSON file such as the input.json a gate leaves, or - for standard input.
    """
    from maestro.cli.policy_source import decision_lines, engine_of, read_document
    from maestro.policy import decide

    document = read_document(input_file)
    with engine_of(options, bundle, opa, timeout) as engine:
        decision = decide(engine, policy, document)
    terminal = Terminal(options)
    if as_json:
        terminal.json(decision.to_json())
    else:
        for line, style in decision_lines(decision):
            terminal.line(terminal.paint(printable(line), style))
        for change in decision.changes:
            terminal.line(f"next: {printable(change)}")
    return 0 if decision.allow else 1

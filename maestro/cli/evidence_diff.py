"""``maestro evidence diff``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal

if TYPE_CHECKING:
    from maestro.cli.evidence_sboms import Side
    from maestro.sbom.comparison import Comparison

_FORMATS = ("terminal", "json", "markdown", "html")


@example_command(
    "diff",
    example="""maestro evidence diff v1.1 v1.2
maestro evidence diff main --format markdown -o comment.md
maestro evidence diff old.cdx.json new.spdx.json --format html -o components.html""",
)
@click.argument("before", metavar="REV|FILE")
@click.argument("after", metavar="[REV|FILE]", required=False)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="terminal", help="How it is written.")
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Where to.")
@click.option(
    "--vulnerabilities",
    nargs=2,
    metavar="BEFORE AFTER",
    type=click.Path(path_type=Path),
    help="Reports on the two, when files are compared.",
)
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    before: str,
    after: str | None,
    form: str,
    output: Path | None,
    vulnerabilities: tuple[Path, Path] | None,
    as_json: bool,
) -> int:
    """Compare the SBOMs of two revisions: components, licences, vulnerabilities.

    Without the second it is the revision checked out. What does not verify is not compared.
    """
    from maestro.sbom.comparison import compare_revisions
    from maestro.sbom.libraries import check_libraries

    check_libraries()
    old, new = _sides(options, before, after, vulnerabilities)
    comparison = compare_revisions((old.name, old.subjects), (new.name, new.subjects))
    form = "json" if as_json else form
    if form == "terminal" and output is None:
        _print(options, comparison)
        return 0
    text = _written(form, comparison)
    if output is None:
        Terminal(options).line(text.rstrip("\n"))
        return 0
    output.write_text(text, "utf-8")
    Terminal(options).line(f"wrote {output}")
    return 0


def _sides(
    options: GlobalOptions, before: str, after: str | None, reports: tuple[Path, Path] | None
) -> tuple[Side, Side]:
    from maestro.cli.evidence_sboms import side_of_file, side_of_revision

    files = [one is not None and Path(one).is_file() for one in (before, after)]
    if reports is not None and not all(files):
        raise click.UsageError("--vulnerabilities goes with two files; revisions have reports of their own")
    if after is not None and all(files):
        # Two documents need no project around them.
        first, second = reports or (None, None)
        return side_of_file(Path(before), first), side_of_file(Path(after), second)
    from maestro.cli.evidence_source import evidence_of

    with evidence_of(options) as source:
        old = side_of_file(Path(before), None) if files[0] else side_of_revision(source, before)
        new = side_of_file(Path(after), None) if after and files[1] else side_of_revision(source, after)
    return old, new


def _print(options: GlobalOptions, comparison: Comparison) -> None:
    from rich.console import Console

    from maestro.sbom.render_terminal import to_terminal

    terminal = Terminal(options)
    console = Console(
        file=terminal.stream,
        force_terminal=terminal.colored,
        no_color=not terminal.colored,
        highlight=False,
        # A pipe has no width; folded lines would be no help to the program behind it.
        width=None if terminal.interactive else 160,
    )
    for one in to_terminal(comparison):
        console.print(one)


def _written(form: str, comparison: Comparison) -> str:
    if form == "json":
        from maestro.sbom.render_json import to_json

        return json.dumps(to_json(comparison), indent=2, ensure_ascii=False) + "\n"
    if form == "html":
        from maestro.sbom.render_html import to_html

        return to_html(comparison)
    from maestro.sbom.render_markdown import to_markdown

    return to_markdown(comparison)

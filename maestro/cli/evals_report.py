"""``maestro evals report``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from maestro.cli.options import GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable


@example_command("report", example="maestro evals report 2026-11-16 --format html --output evals.html")
@click.argument("week")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    help="text: a table; html: a page that needs nothing else.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to; standard output if not given."
)
@pass_options
def command(options: GlobalOptions, week: str, form: Literal["text", "json", "html"], output: Path | None) -> int:
    """Show how a week's models compared with their last good week."""
    import json

    from maestro.artifacts import keys
    from maestro.cli.evals_source import DATASET, store_and_project
    from maestro.cli.output_file import write_output
    from maestro.errors import InputError
    from maestro.evals.history import checked_week

    store, project = store_and_project(options)
    kept = store.objects.read(
        keys.eval_report(project, DATASET, checked_week(week), "html" if form == "html" else "json")
    )
    if kept is None:
        raise InputError(
            f"there is no report of the week {week}",
            next_step="`maestro evals list` shows the weeks; the asset `evals/diff` makes their reports",
        )
    text = kept[0].decode()
    if form == "text":
        models = json.loads(text)["models"]
        lines = [f"{printable(one['model'])}: {printable(one['comparison']['sentence'])}" for one in models]
        text = "\n".join(lines or ["no model was evaluated"]) + "\n"
    write_output(Terminal(options), text, output)
    return 0

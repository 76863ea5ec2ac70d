"""A comparison for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro.sbom.comparison import Comparison, DiffTable, headline, tables

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_ROWS = 200
"""Rows of one table; who wants all of ten thousand reads another form."""

_STYLES = {"good": "green", "bad": "red", "plain": "bold"}


def to_terminal(comparison: Comparison) -> list[RenderableType]:
    """What rich prints."""
    from rich.text import Text

    shown: list[RenderableType] = [Text(printable(f"{comparison.before} -> {comparison.after}"), style="bold")]
    for subject in comparison.subjects:
        note = "" if subject.only is None else f" (only {subject.only})"
        shown += [
            Text(),
            Text.assemble((printable(subject.name), "bold cyan"), note),
            Text(printable(headline(subject))),
        ]
        for table in tables(subject):
            shown += [Text(), *_table(table)]
    if not comparison.subjects:
        shown.append(Text("neither has a bill of materials"))
    return shown


def printable(text: str) -> str:
    """``text`` without control characters, which could move the cursor or recolour what follows."""
    return "".join(character if character.isprintable() else " " for character in text)


def _table(table: DiffTable) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    # Text, and not str: rich would read markup out of a component's name.
    made = Table(box=None, pad_edge=False)
    for head in table.heads:
        made.add_column(head, overflow="fold", header_style="dim")
    for row in table.rows[:MOST_ROWS]:
        made.add_row(*(Text(printable(cell)) for cell in row))
    title = Text(table.title, style=_STYLES[table.tone])
    hidden = len(table.rows) - MOST_ROWS
    if hidden <= 0:
        return [title, made]
    return [title, made, Text(f"... and {hidden:,} more; --format json shows all", style="dim")]

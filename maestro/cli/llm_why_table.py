"""The table that answers "why this model"."""

from __future__ import annotations

import io
import shutil
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from maestro.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from rich.table import Table

    from maestro.llm.decisions import Outcome
    from maestro.llm.explain import Row
    from maestro.llm.model import Decision

_WIDEST = 120
_NARROWEST = 60
_ELSEWHERE = 80
_STYLES = {"chosen": "bold green", "answered": "bold green"}
_LABEL = 10


def show_decision(terminal: Terminal, decision: Decision, outcome: Outcome | None, *, dry: bool = False) -> None:
    """The one sentence, what is known of the request, and every candidate with its verdict; fits 80 columns.

    Args:
        dry: it was only thought of, and is kept nowhere.
    """
    from maestro.llm.explain import troubles, why_facts, why_table

    columns = _columns(terminal)
    state = outcome.state if outcome is not None else "dry run" if dry else "open"
    # Nobody could ask for a decision that is not kept by its id.
    name = "" if dry else f"{terminal.paint(decision.id, 'bold')}  "
    terminal.line(f"{name}{decision.at:%Y-%m-%d %H:%M:%S} UTC  {state}")
    terminal.line()
    facts = dict(why_facts(decision, outcome))
    if dry:
        facts["outcome"] = "nothing was asked, and nothing spent"
    for line in textwrap.wrap(printable(facts.pop("why", decision.why)), columns):
        terminal.line(terminal.paint(line, "bold"))
    terminal.line()
    for name, text in facts.items():
        lines = textwrap.wrap(printable(text), columns - _LABEL) or [""]
        terminal.line(terminal.paint(f"{name:{_LABEL}}", "dim") + lines[0])
        for line in lines[1:]:
            terminal.line(f"{'':{_LABEL}}{line}")
    rows = why_table(decision, outcome)
    usable = [one for one in rows if one.usable]
    against = [one for one in rows if one.against or not one.usable]
    if usable:
        terminal.line("\ncould be used, in this order ('at most' is what is set aside for it):")
        _print(terminal, _numbers(usable), columns)
    if against:
        terminal.line(f"\n{'what speaks against the others' if usable else 'what speaks against each'}:")
        _print(terminal, _reasons([(one.model, one.verdict, one.against) for one in against]), columns)
    if wrong := troubles(outcome):
        terminal.line("\nwhat went wrong on the way:")
        _print(terminal, _reasons(wrong), columns)


def _numbers(rows: list[Row]) -> Table:
    table = _table("candidate", "verdict", "quality", "at most", "about", "takes")
    for column in table.columns[2:]:
        column.justify = "right"
    for one in rows:
        _add(
            table, _STYLES.get(one.verdict, ""), one.model, one.verdict, one.quality, one.at_most, one.costs, one.takes
        )
    return table


def _reasons(rows: Iterable[tuple[str, str, str]]) -> Table:
    table = _table("candidate", "verdict", "because")
    table.columns[-1].ratio = 1
    for cells in rows:
        _add(table, "", *cells)
    return table


def _table(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head in heads:
        table.add_column(head.upper(), overflow="fold")
    return table


def _add(table: Table, style: str, *cells: str) -> None:
    from rich.text import Text

    # Text, not markup: names and reasons may hold brackets.
    table.add_row(*(Text(printable(cell), style=style) for cell in cells))


def _columns(terminal: Terminal) -> int:
    wide = shutil.get_terminal_size((_ELSEWHERE, 24)).columns if terminal.interactive else _ELSEWHERE
    return max(_NARROWEST, min(_WIDEST, wide))


def _print(terminal: Terminal, table: Table, columns: int) -> None:
    from rich.console import Console

    out = io.StringIO()
    colored = terminal.colored
    console = Console(file=out, width=columns, no_color=not colored, force_terminal=colored, highlight=False)
    console.print(table)
    for line in out.getvalue().splitlines():
        terminal.line(line.rstrip())

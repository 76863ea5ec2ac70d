"""A comparison as Markdown for a pull request: folded, within the size of a comment, and safe with any name in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from maestro.sbom.comparison import Comparison, DiffTable, headline, tables

COMMENT_LIMIT = 60_000
"""Characters; GitHub refuses comments of more than 65,536."""

_FENCE = re.compile(r"`+")
_LONGEST_CELL = 300


def to_markdown(comparison: Comparison, limit: int = COMMENT_LIMIT) -> str:
    """GitHub-flavoured Markdown of at most ``limit`` characters; what does not fit is counted, not shown."""
    lines = [f"### What changed in its components: {_code(comparison.before)} → {_code(comparison.after)}", ""]
    left = limit - sum(map(len, lines)) - 500
    for subject in comparison.subjects:
        note = "" if subject.only is None else f" (only {subject.only})"
        head = [f"**{_code(subject.name)}**{note}: {_plain(headline(subject))}", ""]
        left -= sum(map(len, head)) + len(head)
        if left < 0:
            lines += ["… and further subjects."]
            break
        lines += head
        for table in tables(subject):
            shown = _table(table, left)
            left -= sum(map(len, shown)) + len(shown)
            lines += shown
    if not comparison.subjects:
        lines.append("Neither has a bill of materials.")
    return "\n".join(lines).rstrip() + "\n"


def _table(table: DiffTable, left: int) -> list[str]:
    lines = [
        f"<details><summary>{_plain(table.title)}</summary>",
        "",
        _row(table.heads),
        _row(["---"] * len(table.heads)),
    ]
    end = ["", "</details>", ""]
    left -= sum(map(len, lines)) + sum(map(len, end)) + 80
    rows: list[str] = []
    for row in table.rows:
        line = _row([_code(cell) if cell else "" for cell in row])
        left -= len(line) + 1
        if left < 0:
            break
        rows.append(line)
    hidden = len(table.rows) - len(rows)
    if not rows:
        return [f"{_plain(table.title)} (too long to show here).", ""]
    more = ["", f"… and {hidden:,} more."] if hidden else []
    return [*lines, *rows, *more, *end]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """``text`` as a code span: no markup, no HTML, no mention and no link in it takes effect (CommonMark 0.31, 6.1)."""
    plain = "".join(character if character.isprintable() else " " for character in text).strip() or " "
    if len(plain) > _LONGEST_CELL:
        plain = f"{plain[:_LONGEST_CELL]}…"
    # A bar would end the cell of a table, and a backslash before it would undo its escape; no name has either.
    plain = plain.replace("|", "¦").replace("\\", "/")
    fence = "`" * (max((len(run) for run in _FENCE.findall(plain)), default=0) + 1)
    padding = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{padding}{plain}{padding}{fence}"


def _plain(text: str) -> str:
    """Own words, with what may come from a report (a reason) made harmless."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"[<>&`*_\[\]@#|\\~!]", " ", printable)

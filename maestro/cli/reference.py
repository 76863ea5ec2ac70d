"""The part of docs/cli.md that is what ``--help`` says: ``python -m maestro.cli.reference --check|--write [FILE]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from maestro.cli.main import group
from maestro.notation.generated import GeneratedPart

PART = GeneratedPart("help", "maestro.cli.reference", Path("docs/cli.md"))
_WIDTH = 100


def commands() -> Iterator[click.Context]:
    """A context for each command: ``maestro`` itself, then its commands, theirs behind them."""
    yield from _contexts(click.Context(group(), info_name="maestro", terminal_width=_WIDTH, max_content_width=_WIDTH))


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _contexts(
                click.Context(inner, info_name=name, parent=context, terminal_width=_WIDTH, max_content_width=_WIDTH)
            )


def help_texts() -> str:
    """The help of every command as Markdown."""
    parts = [f"### {context.command_path}\n\n```text\n{context.get_help()}\n```\n" for context in commands()]
    return "\n".join(parts)


def renewed(document: str) -> str:
    """``document`` with its generated part made anew.

    Raises:
        InputError: a marker is missing.
    """
    return PART.renewed(document, help_texts())


def main(arguments: list[str]) -> int:
    """``--check`` or ``--write``, then optionally the file; gives the exit code."""
    return PART.main(arguments, help_texts)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

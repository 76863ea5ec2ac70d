"""What verifying found, for people: the same of the audit log and of the decisions in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from maestro.cli.terminal import Terminal, printable

_SHOWN = 200


class Finding(Protocol):
    """Something that is not as it was written."""

    @property
    def kind(self) -> str:
        """In one word."""

    @property
    def what(self) -> str:
        """In one sentence."""


def tell_findings(terminal: Terminal, findings: Sequence[Finding]) -> None:
    """A line each, and how many there are beyond those that are shown."""
    for one in findings[:_SHOWN]:
        terminal.line(f"{terminal.state('fail')} {one.kind}: {printable(one.what)}")
    if len(findings) > _SHOWN:
        terminal.line(f"and {len(findings) - _SHOWN} more; all are in the output of --json")

"""What the audit log says was signed and set aside, since whoever can write to the store can take things out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maestro.audit import Entry

SIGNED = "evidence.signed"
SET_ASIDE = "artifact.quarantined"
RELEASED = "artifact.released"


@dataclass(frozen=True, slots=True)
class Logged:
    """One signing.

    Args:
        row: index in the audit log.
        subjects: ``<algorithm>:<hex>``.
        bundle: sha256 of the signed bundle.
    """

    row: int
    type: str
    subjects: tuple[str, ...]
    bundle: str
    step: str


def signings(entries: Iterable[Entry], project: str) -> Iterator[Logged]:
    """The signings among ``entries`` of one project, in the log's order."""
    for entry in entries:
        data: Any = entry.data
        if entry.kind == SIGNED and data.get("project") == project:
            yield Logged(
                entry.index,
                str(data["type"]),
                tuple(data["subjects"]),
                str(data["bundle"]).removeprefix("sha256:"),
                str(data["step"]),
            )

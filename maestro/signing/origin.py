"""Of which revision a statement is: annotations on its subjects that keep it from being replayed for another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

PROJECT = "maestro.project"
REVISION = "maestro.revision"
RUN = "maestro.run"
STEP = "maestro.step"
TYPE = "maestro.type"
REPORT = "maestro.report"
SIGNED_AT = "maestro.signed_at"
RESULT = "maestro.result"

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a statement comes from.

    Args:
        signed_at: with a time zone.
        type: evidence type, as workflows name it.
        report: ``sha256:<hex>`` of the whole report, when the predicate is only its summary.
        result: ``sha256:<hex>`` over everything the step did that makes the claim, so its record cannot be changed.
    """

    project: str
    revision: str
    run: str
    step: str
    signed_at: datetime
    type: str | None = None
    report: str | None = None
    result: str | None = None

    def annotations(self) -> dict[str, str]:
        """What each subject of the statement carries."""
        optional = {TYPE: self.type, REPORT: self.report, RESULT: self.result}
        return {
            PROJECT: self.project,
            REVISION: self.revision,
            RUN: self.run,
            STEP: self.step,
            SIGNED_AT: write_time(self.signed_at),
            **{name: value for name, value in optional.items() if value is not None},
        }

    @classmethod
    def of(cls, annotations: Mapping[str, object]) -> Origin | None:
        """What ``annotations`` say; None when a part is missing."""
        project, revision, run, step, at = (annotations.get(key) for key in (PROJECT, REVISION, RUN, STEP, SIGNED_AT))
        signed_at = read_time(at) if isinstance(at, str) else None
        if not (
            isinstance(project, str)
            and isinstance(revision, str)
            and isinstance(run, str)
            and isinstance(step, str)
            and signed_at is not None
        ):
            return None
        kind, report, result = (
            value if isinstance(value, str) else None
            for value in (annotations.get(key) for key in (TYPE, REPORT, RESULT))
        )
        return cls(project, revision, run, step, signed_at, kind, report, result)


def read_time(text: str) -> datetime | None:
    """The RFC 3339 time in ``text``, in UTC; None when it is none."""
    if not _RFC3339.match(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def write_time(at: datetime) -> str:
    """RFC 3339, in UTC, with microseconds unless there are none."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def write_seconds(at: datetime) -> str:
    """RFC 3339, in UTC, in whole seconds."""
    return write_time(at.replace(microsecond=0))

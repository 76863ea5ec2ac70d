"""Which controls of SOC 2 and ISO 27001 the evidence of a revision speaks for: covered, stale, rejected or missing.

Evidence that holds but speaks against the revision, such as tests that failed, covers nothing. The table says what an
auditor may be shown, not that an organisation complies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maestro.errors import InputError, Location
from maestro.evidence.types import EvidenceTypeName

ControlState = Literal["covered", "stale", "rejected", "missing"]
_ORDER: tuple[ControlState, ...] = ("covered", "stale", "missing", "rejected")


class Control(BaseModel):
    """One control.

    Args:
        needs: evidence types that together speak for it.
        max_age_days: older evidence is stale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    title: str
    needs: tuple[EvidenceTypeName, ...] = Field(min_length=1)
    max_age_days: float = Field(gt=0)


class Framework(BaseModel):
    """A catalogue of controls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    controls: tuple[Control, ...]


class ControlTable(BaseModel):
    """Frameworks by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frameworks: Mapping[str, Framework]


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """What the evidence says about one control.

    Args:
        because: one line for each type that does not cover it.
    """

    framework: str
    control: Control
    state: ControlState
    because: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "framework": self.framework,
            "id": self.control.id,
            "title": self.control.title,
            "state": self.state,
            "needs": list(self.control.needs),
            "because": list(self.because),
        }


def load_controls(path: Path | None = None) -> ControlTable:
    """The table in ``path``; Maestro's own when None.

    Raises:
        InputError: it cannot be read.
    """
    shown = str(path) if path else "controls.yaml"
    try:
        text = (
            path.read_text("utf-8") if path else files("maestro.evidence").joinpath("controls.yaml").read_text("utf-8")
        )
        return ControlTable.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"it cannot be read: {getattr(error, 'strerror', None) or error}",
            where=Location(shown),
            next_step="name a YAML file",
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place}: {first['msg']}", where=Location(shown), next_step="correct the table") from None


def control_report(
    table: ControlTable, rows: Sequence[Mapping[str, Any]], now: datetime, frameworks: Sequence[str] = ()
) -> list[ControlStatus]:
    """The state of every control.

    Args:
        rows: of :func:`maestro.evidence.overview.overview`.
        frameworks: only these; all when empty.

    Raises:
        InputError: there is no such framework.
    """
    for name in frameworks:
        if name not in table.frameworks:
            raise InputError(
                f"there is no framework '{name}' in the table",
                next_step=f"choose among {', '.join(sorted(table.frameworks))}",
            )
    return [
        _status(name, control, rows, now)
        for name, framework in table.frameworks.items()
        if not frameworks or name in frameworks
        for control in framework.controls
    ]


def _status(name: str, control: Control, rows: Sequence[Mapping[str, Any]], now: datetime) -> ControlStatus:
    states: list[ControlState] = []
    because: list[str] = []
    for type_ in control.needs:
        state, reason = _of_type(type_, [row for row in rows if row["type"] == type_], control.max_age_days, now)
        states.append(state)
        if reason:
            because.append(reason)
    return ControlStatus(name, control, max(states, key=_ORDER.index), tuple(because))


def _of_type(
    type_: str, rows: Sequence[Mapping[str, Any]], max_age_days: float, now: datetime
) -> tuple[ControlState, str | None]:
    bad = [row for row in rows if row["state"] not in ("verified", "missing")]
    if bad:
        return "rejected", f"{type_}: {bad[0]['reason']}"
    against = [row for row in rows if row["against"]]
    if against:
        return "rejected", f"{type_}: {against[0]['against']} (step '{against[0]['step']}')"
    there = [row for row in rows if row["state"] == "verified"]
    lacking = [row for row in rows if row["state"] == "missing"]
    if not there:
        return "missing", f"{type_}: there is none"
    if lacking:
        return "missing", f"{type_}: none of {lacking[0]['name']}"
    days = max((now - datetime.fromisoformat(row["signed_at"])).total_seconds() / 86400 for row in there)
    if days > max_age_days:
        return "stale", f"{type_}: {days:.0f} days old, at most {max_age_days:g}"
    return "covered", None

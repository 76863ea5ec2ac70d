"""Where a step puts the reports it leaves behind."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from assets import places
from maestro.steps import StepContext

_FOLDER = "reports"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def write_report(context: StepContext, kind: str, name: str, data: bytes) -> str:
    """Write ``data`` into the step's own folder of reports; its path in the workspace.

    As steps share one checkout, no other step has that folder, and the next run overwrites what is in it.
    """
    reports = context.workspace / _FOLDER
    if not reports.exists():
        reports.mkdir(exist_ok=True)
        # A folder nobody asked for must not make the checkout another revision.
        reports.joinpath(".gitignore").write_text("*\n")
    step = context.env.get("MAESTRO_STEP") or kind
    folder = "/".join(slug(part) for part in step.split("/"))
    place = places.inside(context.workspace, f"{_FOLDER}/{folder}/{name}", "report")
    made = context.scratch / f"{slug(name)}.made"
    made.write_bytes(data)
    places.publish(made, place)
    made.unlink()
    return places.relative(context.workspace, place)


def slugs(names: Iterable[tuple[str, str]]) -> list[str]:
    """A file name for each (name, digest): readable, and another for each."""
    found: list[str] = []
    for name, digest in names:
        plain = slug(Path(name.partition("@")[0]).name or name)
        found.append(plain if plain not in found else f"{plain}-{digest[:12] or len(found)}")
    return found


def slug(text: str) -> str:
    """``text`` as one part of a path."""
    plain = _NOT_IN_NAMES.sub("-", text).lstrip(".") or "-"
    return plain if plain == text else f"{plain[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

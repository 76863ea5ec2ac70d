"""Entries as lines: JSON, and CEF (ArcSight Common Event Format, version 0)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from maestro import __version__
from maestro.audit.event import Entry

_WARNED = ("artifact.quarantined", "key.revoked", "key.rotated", "artifact.deleted")
_LONGEST = 4000
"""Characters of a CEF custom string."""


def jsonl(entry: Entry, origin: str) -> str:
    """One line of JSON: the entry as it is hashed, with the log's origin and the leaf hash in base64."""
    parts: dict[str, Any] = {**entry.to_json(), "leaf": base64.b64encode(entry.leaf).decode(), "origin": origin}
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def cef(entry: Entry, origin: str) -> str:
    r"""One line of CEF; data beyond 4,000 characters are cut, the leaf hash still names the whole entry.

    In the header ``\`` and ``|`` are escaped, in the extension ``\``, ``=`` and line ends.
    """
    header = ["CEF:0", "Maestro", "maestro", __version__, entry.kind, _title(entry.kind), str(severity(entry))]
    data = json.dumps(dict(entry.data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    extension = {
        "rt": str(int(entry.at.timestamp() * 1000)),
        "externalId": str(entry.index),
        "act": entry.kind,
        "suser": entry.actor,
        "cs1Label": "object",
        "cs1": entry.object,
        "cs2Label": "data",
        "cs2": data if len(data) <= _LONGEST else f"{data[: _LONGEST - 1]}…",
        "cs3Label": "leaf",
        "cs3": base64.b64encode(entry.leaf).decode(),
        "cs4Label": "origin",
        "cs4": origin,
    }
    pairs = " ".join(f"{key}={_extension(value)}" for key, value in extension.items())
    return "|".join([header[0], *map(_header, header[1:]), pairs])


FORMATS: Mapping[str, Callable[[Entry, str], str]] = {"jsonl": jsonl, "cef": cef}


def severity(entry: Entry) -> int:
    """From 0 to 10, as CEF counts: 3 for what happens daily, 6 for what was refused or taken back, 5 for exceptions."""
    if entry.kind in _WARNED or entry.data.get("allow") is False:
        return 6
    return 5 if entry.kind.startswith(("waiver.", "override.")) else 3


def _title(kind: str) -> str:
    return kind.replace(".", " ").replace("_", " ")


def _header(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _extension(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\r")


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")

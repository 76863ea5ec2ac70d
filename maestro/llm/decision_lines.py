"""The line a decision is exported and audited as: made of the stored texts, so a later version writes the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def line_of(document: str, call: str | None) -> str:
    """One JSON object without its line's end: the decision, with what became of it under ``outcome``.

    Args:
        document: the decision's stored text; call: the outcome's, None where there is none.

    Raises:
        ValueError: one of them is no JSON object.
    """
    found = json.loads(document)
    outcome = None if call is None else json.loads(call)
    if not isinstance(found, dict) or not isinstance(outcome, dict | None):
        raise ValueError("no JSON object")
    return canonical({**found, "outcome": outcome})


def canonical(value: Any) -> str:
    """JSON with sorted keys and without spaces, what is not ASCII as ``\\uXXXX``; numbers as Python's ``repr``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 in hexadecimal of the lines, each ended by a line feed."""
    made = hashlib.sha256()
    for line in lines:
        made.update(f"{line}\n".encode())
    return made.hexdigest()

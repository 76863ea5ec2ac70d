"""Events nothing is done with."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from maestro.events.model import Other


@cache
def _object() -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(dict[str, Any])


def read_other(event: str, body: bytes, repository: tuple[str, str]) -> Other:
    """``body`` as it comes: whatever it holds is right, as long as it is a JSON object.

    Args:
        repository: the two keys under which the repository's full name is.
    """
    found = _object().validate_json(body)
    holder = found.get(repository[0])
    full_name = holder.get(repository[1]) if isinstance(holder, dict) else None
    action = found.get("action")
    return Other(full_name if isinstance(full_name, str) else "", event, action if isinstance(action, str) else "")

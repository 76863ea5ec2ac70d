"""Takes typed values out of a document nobody has checked yet."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from maestro.sbom.errors import SbomError
from maestro.sbom.limits import Limits
from maestro.sbom.stream import wrong


def mapping(value: Any, place: str) -> Mapping[str, Any]:
    """``value`` itself, an object.

    Raises:
        SbomError: it is something else.
    """
    if not isinstance(value, dict):
        raise wrong(place, "an object", value)
    return value


def listed(holder: Mapping[str, Any], key: str, place: str) -> list[Any]:
    """The list under ``key``, empty when there is none.

    Raises:
        SbomError: it is something else.
    """
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(f"{place}.{key}", "a list", value)
    return value


def text(holder: Mapping[str, Any], key: str, place: str, limits: Limits) -> str | None:
    """The text under ``key``, None when there is none or it is empty.

    Raises:
        SbomError: it is something else, or too long.
    """
    value = holder.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise wrong(f"{place}.{key}", "text", value)
    if len(value) > limits.text:
        raise SbomError(
            f"'{place}.{key}' has {len(value):,} characters; {limits.text:,} are allowed",
            next_step="check what made the document",
        )
    return value


def needed(holder: Mapping[str, Any], key: str, place: str, limits: Limits) -> str:
    """As :func:`text`, and it must be there."""
    value = text(holder, key, place, limits)
    if value is None:
        raise SbomError(f"'{place}' has no '{key}'", next_step="check the document with a validator of its format")
    return value


def shared(value: str) -> str:
    """One object for equal texts: types and licences come again a hundred thousand times."""
    return sys.intern(value)

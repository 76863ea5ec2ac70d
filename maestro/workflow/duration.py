"""Durations as people write them: ``90``, ``"45s"``, ``"1h30m"``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

PATTERN = r"^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$"
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_SECONDS = 30 * 86400.0


def parse_duration(value: object) -> float:
    """Seconds in ``value``: a number of seconds, or numbers with the units ms, s, m, h, d.

    Raises:
        ValueError: not a duration, not positive, or over 30 days.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a duration; write seconds (90) or a text like '45s', '10m', '1h30m'")
    if isinstance(value, str):
        text = value.strip()
        if not re.match(PATTERN, text):
            raise ValueError(f"'{value}' is not a duration; write seconds (90) or a text like '45s', '10m', '1h30m'")
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    else:
        seconds = float(value)
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError("must be more than 0 and at most 30d")
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_SECONDS},
                {"type": "string", "pattern": PATTERN},
            ],
            "description": "Seconds, or a text like 45s, 10m, 1h30m.",
        }
    ),
]

"""What a text is expected to be like, and where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from maestro.notation.document import Path
from maestro.prompts.shape import Expectation
from maestro.prompts.variables import validator

_SHOWN = 80


def expectation_faults(expected: Expectation) -> Iterator[tuple[Path, str]]:
    """What is wrong with the expectation itself: path in it, and one sentence each."""
    import jsonschema_rs

    if not (expected.contains or expected.not_contains or expected.regex or expected.json_schema is not None):
        yield (), "'expect' expects nothing"
    for index, pattern in enumerate(expected.regex):
        try:
            validator({"pattern": pattern})
        except (jsonschema_rs.ValidationError, ValueError):
            yield ("regex", index), f"'{_short(pattern)}' is no regular expression of linear time"
    if expected.json_schema is not None:
        try:
            validator(expected.json_schema)
        except (jsonschema_rs.ValidationError, ValueError, RecursionError) as error:
            yield ("json_schema",), f"it is not JSON Schema: {getattr(error, 'message', error)}"


def unmet(expected: Expectation, text: str) -> list[str]:
    """What of the expectation does not hold of ``text``, one sentence each."""
    found = [f"it does not contain '{_short(one)}'" for one in expected.contains if one not in text]
    found += [f"it contains '{_short(one)}'" for one in expected.not_contains if one in text]
    # The validator's regular expressions take linear time, so no test can hang.
    found += [
        f"'{_short(one)}' is not found in it"
        for one in expected.regex
        if not validator({"pattern": one}).is_valid(text)
    ]
    if expected.json_schema is not None:
        found += _json_faults(expected.json_schema, text)
    return found


def _json_faults(schema: dict[str, Any], text: str) -> list[str]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return [f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"]
    except RecursionError:
        return ["it is not JSON that can be read"]
    return [
        f"{'.'.join(map(str, error.instance_path)) or 'it'}: {error.message}"
        for error in validator(schema).iter_errors(value)
    ]


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _SHOWN else one_line[: _SHOWN - 1] + "…"

"""Why a delivery cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maestro.errors import MaestroError

if TYPE_CHECKING:
    from pydantic import ValidationError

_WORDS = {
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "datetime_parsing": "must be a time as in RFC 3339",
    "datetime_from_date_parsing": "must be a time as in RFC 3339",
    "datetime_type": "must be a time as in RFC 3339",
    "timezone_aware": "must be a time with a time zone",
}
_KINDS = ((bool, "true or false"), (int, "a number"), (float, "a number"), (str, "text"), (list, "a list"))


class EventError(MaestroError):
    """A delivery is not what its event's name promises; its text is the reason in the list of dead letters."""


def unreadable(name: str, error: ValidationError) -> EventError:
    """``error``, met while the event called ``name`` was read, in words for people; values stay out of it."""
    first: Any = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        what = f"its body is no JSON ({first['ctx']['error']})"
    else:
        what = f"{_field(first['loc'])} {_problem(first)}"
    return EventError(
        f"{name} cannot be read: {what}",
        next_step="look at the delivery with 'maestro hooks show'; replay it when its sender or Maestro was mended",
    )


def _field(path: tuple[str | int, ...]) -> str:
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return f"'{shown}'" if shown else "its body"


def _problem(error: Any) -> str:
    kind = error["type"]
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    found = error["input"]
    word = "nothing" if found is None else next((word for one, word in _KINDS if isinstance(found, one)), "an object")
    return f"{_WORDS.get(kind, 'is not as documented')}; found {word}"

"""What a model wants, in words for people: no library's jargon in an error about a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Terms:
    """What is called how in one kind of file.

    Args:
        patterns: regular expression of the models -> what it stands for.
        items: name of a list -> what one of its items is.
    """

    patterns: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, str] = field(default_factory=dict)


_TYPES = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing",
    "path_type": "a path",
    "url_parsing": "a URL",
    "string_sub_type": "text",
}


def either(choices: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]


def choices(error: Any) -> list[str]:
    """The only values that the pydantic ``error`` would take; none when it is about something else."""
    if error["type"] not in ("literal_error", "enum"):
        return []
    return [word.strip(" '") for word in str(error["ctx"]["expected"]).replace(" or ", ",").split(",")]


def expectation(error: Any, terms: Terms) -> str:
    """What should have stood where the pydantic ``error`` is: ``a whole number``, ``at least 1`` …"""
    kind = error["type"]
    context = error.get("ctx", {})
    if kind in _TYPES:
        return _TYPES[kind]
    bounds = {
        "greater_than_equal": ("ge", "{} or more"),
        "greater_than": ("gt", "more than {}"),
        "less_than_equal": ("le", "at most {}"),
        "less_than": ("lt", "less than {}"),
        "multiple_of": ("multiple_of", "a multiple of {}"),
    }
    if kind in bounds:
        key, words = bounds[kind]
        return words.format(context[key])
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind == "string_pattern_mismatch":
        return terms.patterns.get(context["pattern"], f"text that matches {context['pattern']}")
    if kind in ("string_too_short", "too_short"):
        least = context["min_length"]
        unit = "character" if kind == "string_too_short" else "item"
        return "not empty" if least == 1 else f"at least {least} {unit}s long"
    if kind in ("string_too_long", "too_long"):
        unit = "character" if kind == "string_too_long" else "item"
        return f"at most {context['max_length']} {unit}s long"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    for theirs in ("Input should be ", "Value should ", "Value error, "):
        if error["msg"].startswith(theirs):
            return str(error["msg"].removeprefix(theirs))
    return f"acceptable ({error['msg'][:1].lower()}{error['msg'][1:]})"

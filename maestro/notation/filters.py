"""The filters an expression may use, each bounded in what it can produce."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from jinja2.filters import FILTERS

MAX_TEXT = 1024 * 1024
MAX_ITEMS = 100_000

# fmt: off
STRING_METHODS = frozenset((
    "capitalize", "count", "endswith", "find", "isalnum", "isalpha", "isdigit", "islower", "isnumeric", "isupper",
    "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "split", "splitlines", "startswith", "strip", "title",
    "upper",
))

_SAFE_DEFAULTS = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "last", "length", "list", "lower", "max",
    "min", "rejectattr", "reverse", "selectattr", "sort", "string", "sum", "title", "trim", "unique", "upper",
)


_MAPPED = frozenset((
    "abs", "basename", "capitalize", "float", "int", "length", "lower", "quote", "string", "title", "tojson", "trim",
    "upper",
))
# fmt: on


def _bounded(size: int) -> None:
    if size > MAX_TEXT:
        raise ValueError("the text would be larger than 1 MiB")


def replace(value: object, old: str, new: str) -> str:
    """``value`` with every ``old`` as ``new``."""
    text, old, new = str(value), str(old), str(new)
    _bounded(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def join(value: Any, separator: str = "", attribute: str | None = None) -> str:
    """The items of ``value`` as one text."""
    items = [str(item[attribute] if attribute else item) for item in value]
    _bounded(sum(map(len, items)) + len(str(separator)) * len(items))
    return str(separator).join(items)


def to_json(value: Any) -> str:
    """``value`` as JSON on one line, keys sorted."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    _bounded(len(text))
    return text


def rounded(value: float, precision: int = 0) -> float | int:
    """``value`` rounded half to even; a whole number when ``precision`` is 0."""
    if not 0 <= precision <= 15:
        raise ValueError("round takes a precision from 0 to 15")
    return round(value, precision) if precision else round(value)


def split(value: str, separator: str | None = None) -> list[str]:
    """The parts of ``value`` between ``separator``, white space when not given."""
    return str(value).split(separator, MAX_ITEMS)


def mapped(values: Any, filter_name: str | None = None, *, attribute: str | None = None) -> list[Any]:
    """Each of ``values`` put through a filter without arguments, or its member called ``attribute``."""
    if attribute is not None:
        return [value[attribute] for value in values]
    # With arguments (replace, join) a short expression could make any amount of text.
    if filter_name not in _MAPPED:
        raise ValueError(f"map takes attribute='…' or one of the filters {', '.join(sorted(_MAPPED))}")
    function = allowed_filters()[filter_name]
    return [function(value) for value in values]


def basename(value: str) -> str:
    """The last part of a path."""
    return str(value).rstrip("/").rpartition("/")[2]


def quote(value: object) -> str:
    """``value`` as one word of a POSIX shell."""
    import shlex

    text = str(value)
    _bounded(len(text) * 5)
    return shlex.quote(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no JSON")


def allowed_filters() -> dict[str, Callable[..., Any]]:
    """Filter name -> function."""
    own = {
        "replace": replace,
        "join": join,
        "map": mapped,
        "tojson": to_json,
        "round": rounded,
        "split": split,
        "basename": basename,
        "quote": quote,
    }
    return {**{name: FILTERS[name] for name in _SAFE_DEFAULTS}, **own}

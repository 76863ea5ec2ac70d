"""The filters of prompts: each is counted, bounded in what it makes, and passes on what is personal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, Undefined

from maestro.notation.filters import allowed_filters
from maestro.prompts.meter import Meter, PersonalText, bounded, meter_of

COUNTED = " counted"
JOINED = " joined"
"""Names of the filters that ``Bounding`` puts in; no template can write them."""
# fmt: off
FILTER_NAMES = (
    "abs", "basename", "capitalize", "count", "d", "default", "first", "float", "indent", "int", "items", "join",
    "last", "length", "list", "lower", "map", "max", "min", "rejectattr", "replace", "reverse", "round", "selectattr",
    "sort", "split", "string", "title", "tojson", "trim", "truncate", "unique", "upper",
)
_TEXT_FILTERS = frozenset((
    "basename", "capitalize", "indent", "lower", "replace", "split", "string", "title", "trim", "truncate", "upper",
))
_LIST_FILTERS = frozenset(("join", "list", "map", "max", "min", "reverse", "sort", "unique"))
# fmt: on


def metered_filters() -> dict[str, Callable[..., Any]]:
    """Filter name -> function."""
    own: dict[str, Callable[..., Any]] = {
        **allowed_filters(),
        "indent": _indented,
        "items": _items,
        "join": _list_joined,
        "truncate": _truncated,
    }
    found = {name: _metered(name, own.get(name) or FILTERS[name]) for name in FILTER_NAMES}
    return {**found, COUNTED: _counted, JOINED: _metered("~", _joined)}


def _metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    # Jinja2's own filters want to be called as they ask to be, which the sandbox no longer does for a wrapped one.
    passed = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        meter = meter_of(context)
        _refuse_kind(name, value)
        meter.spend(1 + (len(value) if isinstance(value, list | tuple | Mapping) else 0))
        first = {"environment": (context.environment,), "context": (context,), "eval_context": (context.eval_ctx,)}
        before = first.get(passed.name if passed is not None else "", ())
        result = function(*before, value, *args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)
        meter.in_time()
        if name == "tojson" or not isinstance(value, str):
            result = _spotted(meter, result)
        return meter.carried((value, *args, *kwargs.values()), result)

    return run


def _refuse_kind(name: str, value: Any) -> None:
    """Refuses what a filter would take letter by letter, or write as Python does."""
    if isinstance(value, str) and name in _LIST_FILTERS:
        raise SecurityError(f"'{name}' is for lists; found text")
    if isinstance(value, list | tuple | Mapping) and name in _TEXT_FILTERS:
        raise SecurityError(f"'{name}' is for text; found {_kind(value)}")


def _spotted(meter: Meter, result: Any) -> Any:
    """``result``, with the texts in it marked in which something personal stands, also as JSON writes it."""
    if isinstance(result, list):
        return [_spotted(meter, one) if type(one) is str else one for one in result]
    if type(result) is not str or not meter.personal:
        return result
    forms = [_in_json(one) for one in meter.personal]
    there = {form for form, found in zip(forms, meter.found(forms, result), strict=True) if found}
    meter.personal |= there
    return PersonalText(result) if there or any(meter.found(meter.personal, result)) else result


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


@pass_context
def written(context: Context, value: Any) -> str:
    """A value as it goes into the message; of personal data it is noted how it is written."""
    text = _shown(value)
    meter = meter_of(context)
    if isinstance(value, PersonalText) and len(text.strip()) > 1 and not any(meter.found(meter.personal, text)):
        meter.personal.add(text.strip())
    return text


@pass_context
def _counted(context: Context, value: Any) -> Any:
    if isinstance(value, Undefined):
        return iter(value)
    if not isinstance(value, list | tuple | Mapping):
        raise SecurityError(f"a loop is over a list or a mapping; found {_kind(value)}")
    return _ticking(meter_of(context), value)


def _ticking(meter: Meter, value: Iterable[Any]) -> Iterator[Any]:
    for item in value:
        meter.spend()
        yield item


def _joined(values: list[Any]) -> str:
    parts = [_shown(one) for one in values]
    bounded(sum(map(len, parts)))
    return "".join(parts)


def _list_joined(values: Any, separator: str = "", attribute: str | None = None) -> str:
    parts = [_shown(one[attribute] if attribute else one) for one in values]
    bounded(sum(map(len, parts)) + len(str(separator)) * len(parts))
    return str(separator).join(parts)


def _indented(text: Any, width: int = 4, first: bool = False) -> str:
    if not isinstance(width, int) or not 0 <= width <= 40:
        raise SecurityError("indent takes a width from 0 to 40")
    lines = str(text).split("\n")
    pad = " " * width
    shown = [pad + line if line.strip() and (first or index) else line for index, line in enumerate(lines)]
    return "\n".join(shown)


def _items(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise SecurityError(f"items is for mappings; found {_kind(value)}")
    return list(value.items())


def _truncated(text: Any, length: int = 255, end: str = "…") -> str:
    shown = str(text)
    return shown if len(shown) <= length else shown[: max(0, int(length))] + str(end)


def _shown(value: Any) -> str:
    """A value as a template writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise SecurityError(f"{_kind(value)} cannot be written as text; {_advice(value)}")


def _kind(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list | tuple) else "a number" if isinstance(value, int | float) else "no data"


def _advice(value: Any) -> str:
    return "give a default: {{ x or '-' }}" if value is None else "write it with '| tojson' or '| join(', ')'"

"""The Jinja2 of prompts: statements too, and every one of them bounded in time, size and reach.

What could make much out of little is not there: no macros, includes, blocks or ranges; a list is written of constants
only, so that nothing a template makes is nested deeper than what it was given; ``+``, ``~`` and the filters have
limits. Loops, filters and methods are counted by a ``Meter``, which also follows personal data through what changes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.visitor import NodeTransformer

from maestro.notation.environment import SandboxEnvironment

MAX_WORK = 1_000_000
MAX_TEXT = 1024 * 1024
METER = " meter"
"""Name of the meter among a template's variables; no template can write it."""
_COUNTED = " counted"
_JOINED = " joined"
_LOOP = frozenset(("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"))
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


class PersonalText(str):
    """A text that holds personal data; so does every part of it."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> PersonalText:
        return PersonalText(super().__getitem__(key))


@dataclass(slots=True)
class Meter:
    """Counts what a rendering does.

    Args:
        deadline: of ``time.monotonic()``.
        personal: personal texts, as they were given and as filters have changed them.
    """

    deadline: float
    work: int = 0
    personal: set[str] = field(default_factory=set)

    def spend(self, amount: int = 1) -> None:
        """Counts ``amount`` steps.

        Raises:
            SecurityError: it was too much, or took too long.
        """
        self.work += amount
        if self.work > MAX_WORK:
            raise SecurityError(f"the template does more than {MAX_WORK:,} steps")
        self.in_time()

    def in_time(self) -> None:
        """Raises SecurityError when the time is over."""
        if time.monotonic() > self.deadline:
            raise SecurityError("rendering takes too long")

    def carried(self, inputs: Iterable[Any], output: Any) -> Any:
        """``output``, marked as personal when one of ``inputs`` is."""
        sources = [one for one in inputs for one in (one if isinstance(one, list | tuple) else (one,))]
        marked = [str(one) for one in sources if isinstance(one, PersonalText)]
        if not marked:
            return output
        if isinstance(output, str):
            # A single letter would be found everywhere.
            if not all(one in output for one in marked) and len(output.strip()) > 1:
                self.personal.add(output.strip())
            return PersonalText(output)
        if isinstance(output, list | tuple):
            return [self.carried(sources, one) if isinstance(one, str) else one for one in output]
        return output


class PromptEnvironment(SandboxEnvironment):
    """Compiles the templates of prompts; one serves all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.trim_blocks = True
        self.lstrip_blocks = True
        self.finalize = _written
        own: dict[str, Callable[..., Any]] = {
            **self.filters,
            "indent": _indented,
            "items": _items,
            "join": _list_joined,
            "truncate": _truncated,
        }
        self.filters = {name: _metered(name, own.get(name) or FILTERS[name]) for name in FILTER_NAMES}
        self.filters[_COUNTED] = _counted
        self.filters[_JOINED] = _metered("~", _joined)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja2 has it
        """A method of a text; counted."""
        meter = _meter(__context)
        owner = getattr(__obj, "__self__", None)
        if not isinstance(owner, str):
            raise SecurityError("only the methods of texts can be called")
        meter.spend(1 + len(owner) // 1024)
        result = super().call(__context, __obj, *args, **kwargs)
        meter.spend(len(result) if isinstance(result, list) else 1)
        return meter.carried((owner, *args), result)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``+`` of numbers, texts or lists, within limits; the others as in the base."""
        result = super().call_binop(context, operator, left, right)
        meter = _meter(context)
        meter.spend(1 + (len(result) if isinstance(result, list) else 0))
        if isinstance(result, str):
            bounded(len(result))
            return meter.carried((left, right), result)
        return result

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A member of a mapping, a method of a text, or what ``loop`` says."""
        if isinstance(obj, LoopContext):
            if attribute in _LOOP:
                return getattr(obj, attribute)
            return self.undefined(f"loop has no '{attribute}'", name=attribute)
        return super().getattr(obj, attribute)


class Bounding(NodeTransformer):
    """Puts counting into the loops and limits into ``~``; done after a template was checked."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - as Jinja2 names it
        """The loop, over counted items."""
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as Jinja2 names it
        """``a ~ b`` as a filter with a limit."""
        self.generic_visit(node)
        items = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(items, _JOINED, [], [], None, None, lineno=node.lineno)


def _meter(context: Context) -> Meter:
    found = context.resolve(METER)
    assert isinstance(found, Meter)
    return found


def bounded(size: int) -> None:
    """Raises SecurityError for a text of more than 1 MiB."""
    if size > MAX_TEXT:
        raise SecurityError("the text would be larger than 1 MiB")


def _metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    # Jinja2's own filters want to be called as they ask to be, which the sandbox no longer does for a wrapped one.
    passed = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        meter = _meter(context)
        _refuse_kind(name, value)
        meter.spend(1 + (len(value) if isinstance(value, list | tuple | Mapping) else 0))
        first = {"environment": (context.environment,), "context": (context,), "eval_context": (context.eval_ctx,)}
        before = first.get(passed.name if passed is not None else "", ())
        result = function(*before, value, *args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)
        meter.in_time()
        if name == "tojson":
            meter.personal |= {form for form in map(_in_json, meter.personal) if form in result}
        return meter.carried((value, *args, *kwargs.values()), result)

    return run


def _refuse_kind(name: str, value: Any) -> None:
    """Refuses what a filter would take letter by letter, or write as Python does."""
    if isinstance(value, str) and name in _LIST_FILTERS:
        raise SecurityError(f"'{name}' is for lists; found text")
    if isinstance(value, list | tuple | Mapping) and name in _TEXT_FILTERS:
        raise SecurityError(f"'{name}' is for text; found {_kind(value)}")


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


@pass_context
def _written(context: Context, value: Any) -> str:
    """A value as it goes into the message; of personal data it is noted how it is written."""
    text = _shown(value)
    meter = _meter(context)
    if isinstance(value, PersonalText) and len(text.strip()) > 1 and not any(one in text for one in meter.personal):
        meter.personal.add(text.strip())
    return text


@pass_context
def _counted(context: Context, value: Any) -> Any:
    if isinstance(value, Undefined):
        return iter(value)
    if not isinstance(value, list | tuple | Mapping):
        raise SecurityError(f"a loop is over a list or a mapping; found {_kind(value)}")
    return _ticking(_meter(context), value)


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

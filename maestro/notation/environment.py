"""Jinja2 without what a file must not do: immutable sandbox, strict names, bounded operators, no Python objects.

Only the filters, tests and text methods listed are there. Jinja2's own sandbox stands behind it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from maestro.notation.filters import STRING_METHODS, allowed_filters
from maestro.notation.problems import listed, nearest

_MAX_BASE = 10**6
_MAX_EXPONENT = 64
_MAX_NUMBER = 10**300
# fmt: off
TESTS = (
    "boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge", "gt", "in", "integer", "iterable", "le",
    "lt", "mapping", "ne", "none", "number", "odd", "sequence", "string", "true", "undefined",
    "==", "!=", "<", "<=", ">", ">=",
)
# fmt: on


class SandboxEnvironment(ImmutableSandboxedEnvironment):
    """Reads members of mappings and positions of lists only; nothing of Python's objects is in reach."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, optimized=False, cache_size=0)
        self.globals.clear()
        self.filters = dict(allowed_filters())
        self.tests = {name: self.tests[name] for name in TESTS}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """The operators that can make much out of little, with limits."""
        if operator == "+" or isinstance(left, Undefined) or isinstance(right, Undefined):
            return super().call_binop(context, operator, left, right)
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise SecurityError(f"'{operator}' is for numbers only")
        if operator == "**" and (abs(left) > _MAX_BASE or abs(right) > _MAX_EXPONENT):
            raise SecurityError(f"'**' takes a base up to {_MAX_BASE:,} and an exponent up to {_MAX_EXPONENT}")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) > _MAX_NUMBER:
            raise SecurityError("the number is too large")
        return result

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``obj.attribute``: a member of a mapping, or one of the text methods."""
        if isinstance(obj, str):
            if attribute in STRING_METHODS:
                return getattr(obj, attribute)
            return self.undefined(f"text has no '{attribute}'", name=attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]`` of a mapping, a list or a text."""
        if isinstance(obj, Undefined):
            return obj[argument]
        if isinstance(obj, Mapping | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        if isinstance(obj, Mapping):
            known = [str(key) for key in itertools.islice(obj, 50)]
            close = nearest(str(argument), known)
            hint = f"; did you mean '{close}'?" if close else f"; there is: {listed(known)}" if known else ""
            return self.undefined(f"there is no '{argument}' here{hint}", name=str(argument))
        return self.undefined(f"a {type(obj).__name__} has no '{argument}'", name=str(argument))

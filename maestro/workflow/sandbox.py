"""Jinja2 for one expression: immutable sandbox, strict names, no statements, bounded operators.

Every construct is checked before it runs: only the filters, tests, functions and text methods listed are there.
Jinja2's own sandbox stands behind it.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.parser import Parser
from jinja2.runtime import Undefined

from maestro.notation.environment import TESTS, SandboxEnvironment
from maestro.notation.filters import MAX_ITEMS, STRING_METHODS, allowed_filters
from maestro.notation.problems import listed, nearest
from maestro.workflow import scope as names
from maestro.workflow.expressions import MAX_OUTPUT, ExpressionError, References, Segment, Use

_KEYWORDS = frozenset(("and", "or", "not", "in", "is", "if", "else"))


class Sandbox:
    """Parses, checks and evaluates single expressions, and keeps them parsed and compiled."""

    def __init__(self) -> None:
        self._environment = SandboxEnvironment()
        self._parsed: dict[str, nodes.Expr] = {}
        self._compiled: dict[str, TemplateExpression] = {}

    def uses(self, segment: Segment) -> list[Use]:
        """Every name the expression uses.

        Raises:
            ExpressionError: a syntax error, or something the sandbox does not have.
        """
        expression = self._parse(segment)
        return [
            Use(root, parts, dynamic, segment.offset + _find(segment.source, root, parts), segment.source)
            for root, parts, dynamic in _names(expression)
        ]

    def evaluate(self, segment: Segment, scope: Mapping[str, Any]) -> Any:
        """The value of the expression: plain data, at most 1 MiB.

        Raises:
            ExpressionError: as for ``uses``; a name is missing; the value is too large or no data.
        """
        compiled = self._compile(segment)
        try:
            value = compiled(names.complete(scope))
            if isinstance(value, Undefined):
                value._fail_with_undefined_error()
            return _plain(value, _Budget(segment))
        except UndefinedError as error:
            raise _error(segment, _undefined_words(str(error))) from None
        except RecursionError:
            raise _error(segment, "the expression is nested too deep") from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise _error(segment, str(error) or type(error).__name__) from None

    def _compile(self, segment: Segment) -> TemplateExpression:
        found = self._compiled.get(segment.source)
        if found is None:
            expression = self._parse(segment)
            body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)]
            try:
                template = self._environment.from_string(nodes.Template(body, lineno=1))
            except (TemplateError, RecursionError, MemoryError, SyntaxError) as error:
                raise _error(segment, f"the expression cannot be compiled: {type(error).__name__}") from None
            found = self._compiled[segment.source] = TemplateExpression(template, False)
        return found

    def _parse(self, segment: Segment) -> nodes.Expr:
        found = self._parsed.get(segment.source)
        if found is None:
            found = self._parse_checked(segment)
            self._parsed[segment.source] = found
        return found

    def _parse_checked(self, segment: Segment) -> nodes.Expr:
        parser: Parser | None = None
        try:
            parser = Parser(self._environment, segment.source, state="variable")
            expression = parser.parse_expression()
            if not parser.stream.eos:
                raise TemplateSyntaxError(f"unexpected '{parser.stream.current.value}'", 1)
            expression.set_environment(self._environment)
            reserved = next((name for name, _, _ in _names(expression) if name in _KEYWORDS), None)
            if reserved:
                raise _error(segment, f"the expression has a syntax error: unexpected '{reserved}'", reserved)
            _check(expression, segment)
        except TemplateSyntaxError as error:
            offset = self._offset(segment.source, parser)
            raise ExpressionError(
                _syntax_words(error.message or "syntax error"),
                expression=segment.source,
                offset=segment.offset + offset,
            ) from None
        except RecursionError:
            raise _error(segment, "the expression is nested too deep") from None
        return expression

    def _offset(self, source: str, parser: Parser | None) -> int:
        """Where the parser stopped: its tokens know their line, not their column, so they are counted."""
        starts: list[int] = []
        position = 0
        try:
            for _, token, value in self._environment.lexer.tokeniter(source, None, state="variable"):
                if token != "whitespace":
                    starts.append(position)
                position += len(value)
        except TemplateSyntaxError:
            return position
        if parser is None:
            return 0
        remaining = 0
        while not parser.stream.eos:
            remaining += 1
            next(parser.stream)
        if not remaining:
            return len(source.rstrip())
        return starts[len(starts) - remaining] if remaining <= len(starts) else 0


def collect(uses: Iterable[Use]) -> References:
    """The names of ``uses`` by root."""
    found: dict[str, set[str]] = defaultdict(set)
    for use in uses:
        if use.root == "package":
            found["files" if use.parts == ("json", "hash") else "undefined"].add(
                names.PACKAGE if use.parts == ("json", "hash") else "package"
            )
        elif use.root not in names.ROOTS:
            found["undefined"].add(use.root)
        elif use.root == "changed":
            found["changed"].update(use.parts)
        elif use.parts:
            found[use.root].add(use.parts[0])
        elif use.dynamic:
            found["dynamic"].add(use.root)
    wanted = ("steps", "params", "matrix", "env", "files", "git", "run", "changed", "dynamic", "undefined")
    return References(**{name: frozenset(found[name]) for name in wanted})


def _names(expression: nodes.Node) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Root, constant parts and whether a computed part follows, of every name in ``expression``."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        chain: list[nodes.Node] = []
        inner = node
        while isinstance(inner, nodes.Getattr | nodes.Getitem):
            chain.append(inner)
            inner = inner.node
        if isinstance(inner, nodes.Name):
            parts: list[str] = []
            dynamic = False
            for link in reversed(chain):
                if isinstance(link, nodes.Getattr):
                    part: object = link.attr
                else:
                    assert isinstance(link, nodes.Getitem)
                    part = link.arg.value if isinstance(link.arg, nodes.Const) else None
                    if part is None:
                        waiting.append(link.arg)
                if not isinstance(part, str | int) or dynamic:
                    dynamic = True
                    continue
                parts.append(str(part))
            yield inner.name, tuple(parts), dynamic
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            globs = [item.value for item in node.args if isinstance(item, nodes.Const) and isinstance(item.value, str)]
            yield node.node.name, tuple(globs), len(globs) < len(node.args)
            waiting += node.args
        else:
            waiting += node.iter_child_nodes()


def _check(expression: nodes.Expr, segment: Segment) -> None:
    """Refuse what the sandbox does not have, before anything runs."""
    for node in [expression, *expression.find_all(nodes.Expr)]:
        if isinstance(node, nodes.Call):
            target = node.node
            known = isinstance(target, nodes.Name) and target.name in names.FUNCTIONS
            method = isinstance(target, nodes.Getattr) and target.attr in STRING_METHODS
            if not known and not method:
                called = getattr(target, "name", getattr(target, "attr", "this"))
                allowed = [f"{name}(…)" for name in names.FUNCTIONS] + [f".{name}()" for name in sorted(STRING_METHODS)]
                raise _error(segment, f"'{called}' cannot be called", str(called), allowed=listed(allowed))
            if isinstance(target, nodes.Name) and not node.args:
                raise _error(segment, f"'{target.name}' needs a glob", target.name, allowed=f"{target.name}('src/**')")
        elif isinstance(node, nodes.Filter) and node.name not in allowed_filters():
            known_filters = sorted(allowed_filters())
            raise _error(
                segment,
                f"there is no filter '{node.name}'",
                node.name,
                allowed=listed(known_filters),
                suggestion=nearest(node.name, known_filters),
            )
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            raise _error(
                segment,
                f"there is no test '{node.name}'",
                node.name,
                allowed=listed(TESTS),
                suggestion=nearest(node.name, TESTS),
            )


def _find(source: str, root: str, parts: tuple[str, ...]) -> int:
    """Offset of the first place where ``root`` stands, followed by its first part if it can be told."""
    first = -1
    position = source.find(root)
    while position >= 0:
        before, after = source[position - 1 : position], source[position + len(root) :]
        if not (before.isalnum() or (before and before in "_.'\"")) and not (after[:1].isalnum() or after[:1] == "_"):
            first = position if first < 0 else first
            if not parts or after.lstrip(" .[('\"").startswith(parts[0]):
                return position
        position = source.find(root, position + 1)
    return max(first, 0)


class _Budget:
    """Counts what a value holds, so that none is too large."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._items = 0
        self._text = 0

    def spend(self, text: int) -> None:
        """One more value, holding ``text`` characters."""
        self._items += 1
        self._text += text
        if self._items > MAX_ITEMS or self._text > MAX_OUTPUT:
            raise _error(self._segment, "the value is larger than 1 MiB")


def _plain(value: Any, budget: _Budget) -> Any:
    """``value`` as plain data: JSON types only."""
    if isinstance(value, str):
        budget.spend(len(value))
        return str(value)
    budget.spend(0)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("the value is not a finite number")
        return value
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, budget) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | Iterator):
        return [_plain(item, budget) for item in value]
    raise TypeError("the value is a function; it needs '(…)'" if callable(value) else "the value is no data")


def _error(
    segment: Segment,
    message: str,
    name: str | None = None,
    *,
    allowed: str | None = None,
    suggestion: str | None = None,
) -> ExpressionError:
    offset = max(0, segment.source.find(name)) if name else len(segment.source) - len(segment.source.lstrip())
    return ExpressionError(
        message,
        expression=segment.source,
        offset=segment.offset + offset,
        allowed=allowed,
        suggestion=suggestion,
    )


def _undefined_words(message: str) -> str:
    if message.endswith("is undefined"):
        return message.removesuffix("is undefined") + "is not defined"
    return message


def _syntax_words(message: str) -> str:
    """Jinja2's words, without what only makes sense inside a template."""
    message = re.sub(r"^(unexpected char .+) at \d+$", r"\1", message.rstrip("."))
    for theirs, ours in (
        ("unexpected 'end of template'", "something is missing at its end"),
        ("end of print statement", "the end of the expression"),
        ("end of template", "the end of the expression"),
        ("end of statement block", "the end of the expression"),
    ):
        message = message.replace(theirs, ours)
    return f"the expression has a syntax error: {message}"

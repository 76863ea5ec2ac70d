"""Templates of messages: parsed, checked before anything runs, compiled, rendered within limits."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.environment import Template
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError

from maestro.errors import InputError
from maestro.notation.environment import TESTS
from maestro.notation.filters import STRING_METHODS
from maestro.notation.problems import listed, nearest
from maestro.prompts.environment import Bounding, PromptEnvironment
from maestro.prompts.filters import FILTER_NAMES
from maestro.prompts.meter import METER, Meter

MAX_SOURCE = 256 * 1024
MAX_RENDERED = 8 * 1024 * 1024
MAX_NESTED = 8
RESERVED = frozenset(("loop", "self", "caller", "super", "varargs", "kwargs", "true", "false", "none"))
# fmt: off
_EXPRESSIONS = (
    nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call,
    nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare, nodes.BinExpr, nodes.UnaryExpr,
)
_ALLOWED = (
    nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.Operand, nodes.Keyword, nodes.Pair,
    *_EXPRESSIONS,
)
# fmt: on


class TemplateFault(InputError):  # noqa: N818 - it is placed, and then an error of a file
    """A template cannot be used, or cannot be rendered.

    Args:
        line: of the template, from 1; 0: unknown.
        word: what stands there, to find its column.
    """

    def __init__(
        self, what: str, *, line: int = 0, word: str = "", allowed: str | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(what)
        self.line = line
        self.word = word
        self.allowed = allowed
        self.suggestion = suggestion


def faults(source: str, variables: tuple[str, ...]) -> list[TemplateFault]:
    """Everything wrong with a template whose variables are called ``variables``."""
    if len(source) > MAX_SOURCE:
        return [TemplateFault(f"a message is longer than {MAX_SOURCE // 1024} KiB", line=1)]
    try:
        tree = _environment().parse(source)
        found = list(_check(tree, variables))
        if not found:
            _compile(source)
    except TemplateSyntaxError as error:
        return [TemplateFault(f"the template has a syntax error: {error.message}".rstrip("."), line=error.lineno)]
    except TemplateFault as fault:
        return [fault]
    except RecursionError:
        return [TemplateFault("the template is nested too deep", line=1)]
    return found


def rendered(source: str, variables: Mapping[str, Any], meter: Meter) -> str:
    """The template with ``variables`` filled in.

    Raises:
        TemplateFault: a name has no value; the template does too much, makes too much or takes too long.
    """
    template = _compile(source)
    parts: list[str] = []
    size = 0
    try:
        for part in template.generate({**variables, METER: meter}):
            meter.in_time()
            size += len(part)
            if size > MAX_RENDERED:
                raise TemplateFault(f"the message would be larger than {MAX_RENDERED // 1024**2} MiB")
            parts.append(part)
    except UndefinedError as error:
        words = str(error).removesuffix("is undefined")
        raise TemplateFault(
            f"{words}has no value" if str(error).endswith("is undefined") else str(error), line=_line(error, template)
        ) from None
    except RecursionError:
        raise TemplateFault("the template is nested too deep") from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, MemoryError) as error:
        raise TemplateFault(str(error) or type(error).__name__, line=_line(error, template)) from None
    return "".join(parts)


@functools.cache
def _environment() -> PromptEnvironment:
    return PromptEnvironment()


@functools.lru_cache(maxsize=256)
def _compile(source: str) -> Template:
    environment = _environment()
    try:
        tree = Bounding().visit(environment.parse(source))
        tree.set_environment(environment)
        return environment.from_string(tree)
    except (RecursionError, MemoryError, SyntaxError) as error:
        raise TemplateFault(f"the template cannot be compiled: {type(error).__name__}", line=1) from None


def _line(error: BaseException, template: Template) -> int:
    """Line of the template the error was met at."""
    found = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__jinja_template__") is template or trace.tb_frame.f_code.co_filename in (
            "<template>",
            "<unknown>",
        ):
            # Jinja2 has already put the template's own lines into the trace, or they are looked up.
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _check(tree: nodes.Template, variables: tuple[str, ...]) -> Iterator[TemplateFault]:
    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
    yield from _nesting(tree, 0)
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            name = type(node).__name__
            yield TemplateFault(f"a prompt cannot use '{_statement(node)}'", line=node.lineno, word=name.lower())
        elif isinstance(node, nodes.Name):
            yield from _name(node, variables, own)
        elif isinstance(node, nodes.List | nodes.Dict | nodes.Tuple):
            if getattr(node, "ctx", "load") == "load" and not _constant(node):
                yield TemplateFault("a list or mapping in a template holds plain values only", line=node.lineno)
        elif isinstance(node, nodes.For) and node.recursive:
            yield TemplateFault("a loop cannot be recursive", line=node.lineno, word="recursive")
        elif isinstance(node, nodes.Assign) and not isinstance(node.target, nodes.Name):
            yield TemplateFault("'set' gives a value to one name", line=node.lineno, word="set")
        elif isinstance(node, nodes.Call):
            target = node.node
            if not isinstance(target, nodes.Getattr) or target.attr not in STRING_METHODS:
                word = str(getattr(target, "name", getattr(target, "attr", "this")))
                allowed = listed(f".{name}()" for name in sorted(STRING_METHODS))
                yield TemplateFault(f"'{word}' cannot be called", line=node.lineno, word=word, allowed=allowed)
        elif isinstance(node, nodes.Filter):
            yield from _known("filter", node.name, FILTER_NAMES, node.lineno)
        elif isinstance(node, nodes.Test):
            yield from _known("test", node.name, TESTS, node.lineno)


def _known(what: str, name: str, names: tuple[str, ...], line: int) -> Iterator[TemplateFault]:
    if name not in names:
        yield TemplateFault(
            f"there is no {what} '{name}'", line=line, word=name, allowed=listed(names), suggestion=nearest(name, names)
        )


def _name(node: nodes.Name, variables: tuple[str, ...], own: set[str]) -> Iterator[TemplateFault]:
    name = node.name
    if node.ctx == "store":
        if name in RESERVED or name.startswith("_"):
            yield TemplateFault(f"a template cannot give '{name}' a value", line=node.lineno, word=name)
        elif name in variables:
            yield TemplateFault(f"'{name}' is a variable; a template cannot change it", line=node.lineno, word=name)
    elif name not in variables and name not in own and name != "loop":
        yield TemplateFault(
            f"there is no variable '{name}'",
            line=node.lineno,
            word=name,
            allowed=listed(variables),
            suggestion=nearest(name, (*variables, *own)),
        )


def _nesting(node: nodes.Node, depth: int) -> Iterator[TemplateFault]:
    for child in node.iter_child_nodes():
        inner = depth + isinstance(child, nodes.For)
        if inner > MAX_NESTED:
            yield TemplateFault(f"loops are nested deeper than {MAX_NESTED} levels", line=child.lineno, word="for")
            return
        yield from _nesting(child, inner)


def _constant(node: nodes.Node) -> bool:
    return all(
        isinstance(one, nodes.Const | nodes.List | nodes.Tuple | nodes.Dict | nodes.Pair)
        for one in node.find_all(nodes.Node)
    )


def _statement(node: nodes.Node) -> str:
    known = {
        nodes.AssignBlock: "{% set %} … {% endset %}",
        nodes.CallBlock: "call",
        nodes.FilterBlock: "{% filter %}",
        nodes.FromImport: "from … import",
        nodes.ScopedEvalContextModifier: "autoescape",
        nodes.NSRef: "namespace",
    }
    return known.get(type(node), type(node).__name__.lower())

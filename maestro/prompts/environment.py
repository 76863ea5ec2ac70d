"""The Jinja2 of prompts: statements too, and every one of them bounded in time, size and reach.

What could make much out of little is not there: no macros, includes, blocks or ranges; a list is written of constants
only, so that nothing a template makes is nested deeper than what it was given; ``+``, ``~`` and the filters have
limits. Loops, filters and methods are counted by a ``Meter``, which also follows personal data through what changes it.
"""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.visitor import NodeTransformer

from maestro.notation.environment import SandboxEnvironment
from maestro.prompts.filters import COUNTED, JOINED, metered_filters, written
from maestro.prompts.meter import bounded, meter_of

_LOOP = frozenset(("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"))


class PromptEnvironment(SandboxEnvironment):
    """Compiles the templates of prompts; one serves all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.trim_blocks = True
        self.lstrip_blocks = True
        self.finalize = written
        self.filters = metered_filters()

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja2 has it
        """A method of a text; counted."""
        meter = meter_of(__context)
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
        meter = meter_of(context)
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
        node.iter = nodes.Filter(node.iter, COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as Jinja2 names it
        """``a ~ b`` as a filter with a limit."""
        self.generic_visit(node)
        items = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(items, JOINED, [], [], None, None, lineno=node.lineno)

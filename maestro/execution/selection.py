"""Which steps are meant: names of steps, stages and matrix cells, with what they wait for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from maestro.errors import InputError
from maestro.workflow.graph import FINALLY, Graph


def select(graph: Graph, words: Sequence[str], *, only: bool = False) -> frozenset[str]:
    """Names of the nodes chosen by ``words``; all of them without words.

    A word is a step's id, a stage's name, ``stage/id`` or ``stage/id/cell``; with ``+`` behind it, also everything
    that waits for it. What the chosen steps wait for is chosen too, unless ``only``. The ``finally`` steps run with
    any selection, unless ``only``.

    Raises:
        InputError: a word names nothing; suggests the nearest name.
    """
    if not words:
        return frozenset(graph.nodes)
    chosen: set[str] = set()
    for word in words:
        name = word.removesuffix("+")
        found = _named(graph, name)
        chosen |= graph.descendants(found) if word.endswith("+") else set(found)
    if only:
        return frozenset(chosen)
    return frozenset(graph.ancestors(sorted(chosen)) | {node.name for node in graph if node.final})


def _named(graph: Graph, name: str) -> list[str]:
    found = [
        node.name
        for node in graph
        if name in (node.id, node.stage, node.name) or node.name.startswith(f"{name.rstrip('/')}/")
    ]
    if found:
        return found
    known = sorted({node.id for node in graph} | {node.stage for node in graph} | set(graph.nodes))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    steps = ", ".join(sorted({node.id for node in graph})[:20])
    stages = ", ".join(dict.fromkeys(node.stage for node in graph if node.stage != FINALLY))
    raise InputError(f"there is no step or stage '{name}'", next_step=f"{hint}stages: {stages}; steps: {steps}")

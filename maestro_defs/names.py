"""What Dagster calls the steps of a workflow."""

from __future__ import annotations

import itertools
import re

from maestro.workflow.graph import Graph


def op_names(graph: Graph) -> dict[str, str]:
    """Node name -> the step key Dagster uses: letters, digits and underscores, unique in the graph."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for node in graph:
        base = "__".join(re.sub(r"[^A-Za-z0-9_]", "_", part) for part in node.name.split("/"))
        candidates = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
        found[node.name] = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(found[node.name])
    return found

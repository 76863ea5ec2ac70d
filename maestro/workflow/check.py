"""Everything a workflow file must satisfy, all problems at once.

Shape first (``shape``), then kinds (``check_kinds``), then what needs the whole document: names and order
(``check_names``, ``check_order``), matrices (``check_matrix``), expressions (``check_expressions``). A file with a
wrong shape is repaired in memory first, so that the rest of it is checked too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from maestro.notation.document import Document
from maestro.notation.problems import Problem
from maestro.workflow.check_expressions import check_expressions
from maestro.workflow.check_kinds import check_kinds
from maestro.workflow.check_matrix import check_matrices
from maestro.workflow.check_names import check_names
from maestro.workflow.check_order import check_order
from maestro.workflow.findings import Findings
from maestro.workflow.graph import named_steps
from maestro.workflow.model import Workflow
from maestro.workflow.params import raw_text
from maestro.workflow.plain import prepare
from maestro.workflow.repair import repair
from maestro.workflow.shape import problems, validate

if TYPE_CHECKING:
    from maestro.steps.registry import Registry


def check(
    document: Document, registry: Registry
) -> tuple[Workflow | None, Mapping[str, type[BaseModel]], list[Problem]]:
    """The workflow in ``document``, the parameter models of its kinds, and everything wrong with it."""
    data = document.root.data()
    prepare(data, document)
    findings = Findings(document, data)
    models = check_kinds(findings, registry)

    def as_text(path: tuple[str | int, ...], _value: Any) -> str | None:
        return raw_text(document, path)

    workflow, faults = validate(Workflow, data, as_text=as_text)
    findings.problems += problems(document, (), faults)
    if workflow is None:
        findings.data, findings.lost = repair(data, faults)
        workflow, remaining = validate(Workflow, findings.data, as_text=as_text)
        if workflow is None or remaining:
            return None, models, findings.problems
    steps = named_steps(workflow)
    check_names(findings, workflow, steps)
    check_matrices(findings, workflow, steps)
    edges = check_order(findings, workflow, steps)
    check_expressions(findings, workflow, steps, edges)
    return workflow, models, findings.problems

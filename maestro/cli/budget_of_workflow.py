"""What the workflow at hand grants: its ``budget``, for commands that show budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maestro.cli.money_source import MoneyPlace
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.ledger.model import Scope, ScopeKind, Unit

_EACH: Mapping[ScopeKind, str] = {
    "step": "each step",
    "run": "each run",
    "pull_request": "each pull request",
    "project": "each month",
}


@dataclass(frozen=True, slots=True)
class WorkflowLimits:
    """The limits of a ``maestro.yaml``.

    Args:
        limits: kind of scope -> unit -> amount; ``project`` stands for its months.
        file: name of the file; empty: there is none.
        problem: why it could not be read; empty: it could.
    """

    limits: Mapping[ScopeKind, Mapping[Unit, int]] = field(default_factory=dict)
    file: str = ""
    problem: str = ""

    def rows(self) -> list[tuple[str, Unit, int]]:
        """What it is for (``each run``), unit, amount; the narrowest first."""
        return [
            (each, unit, amount) for kind, each in _EACH.items() for unit, amount in self.limits.get(kind, {}).items()
        ]

    def for_scopes(self, scopes: Iterable[Scope], place: MoneyPlace) -> dict[Scope, Mapping[Unit, int]]:
        """Of these scopes those it limits, with their limits.

        On a server a run's scope does not say whose it is, so none is taken for this project's.
        """
        from maestro.llm.endpoint_tokens import RUN_PREFIX

        project = f"{place.tenant}/{place.project}"
        found: dict[Scope, Mapping[Unit, int]] = {}
        for scope in scopes:
            if scope.kind in ("run", "step"):
                # A token is no run of the workflow.
                mine = place.server is None and not scope.name.startswith(RUN_PREFIX)
            else:
                mine = scope.name == project or scope.name.startswith(f"{project}#")
            if scope.kind == "project" and scope.month is None:
                mine = False
            if mine and scope.kind in self.limits and "*" not in str(scope):
                found[scope] = self.limits[scope.kind]
        return found


def limits_at_hand(options: GlobalOptions, place: MoneyPlace) -> WorkflowLimits:
    """Those of the project one is in; none where there is no project or its workflow has no ``budget``."""
    if place.root is None:
        return WorkflowLimits()
    from maestro.cli.prepare import find_project
    from maestro.execution.budgets import limits_of
    from maestro.steps import Registry
    from maestro.workflow.load import load_workflow

    file = find_project(options).workflow_file
    try:
        loaded = load_workflow(file, registry=Registry())
    except InputError as error:
        # What was spent is to be seen all the same.
        return WorkflowLimits(file=file.name, problem=error.what)
    return WorkflowLimits(limits_of(loaded.workflow.budget), file.name)

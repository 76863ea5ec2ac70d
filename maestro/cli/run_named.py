"""The run a person means where models and budgets are asked about: the same names as `maestro logs` takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maestro.cli.options import GlobalOptions
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.cli.money_source import MoneyPlace
    from maestro.ledger.model import Scope


def whole_run_id(options: GlobalOptions, place: MoneyPlace, run: str) -> str:
    """The id ``run`` stands for: ``latest``, a whole id, or the first characters of one.

    Raises:
        InputError: no run begins so, or several do.
    """
    from maestro.cli.runs_source import open_runs
    from maestro.llm.decisions import DecisionStore
    from maestro.runs.reading import LATEST, meant, unknown_run

    project = place.project if place.server is not None else None
    with place.ledger() as ledger:
        decisions = DecisionStore(ledger.engine)
        if run == LATEST and place.server is not None:
            newest = decisions.newest_run(project)
            if newest is None:
                raise InputError("no run has asked a model yet", next_step="give the id of a run")
            return newest
        if run != LATEST:
            granted = {one.scope.name for one in ledger.limits("run:") if not one.scope.name.startswith("*")}
            counted = {one.name for one in ledger.scopes("run:")}
            known = counted | granted | {*decisions.names("run", project)}
            found = meant(run, sorted(known))
            if found is not None and (found in known or place.server is not None):
                return found
    if place.server is not None:
        raise unknown_run(run)
    # One that has spent nothing is known to Dagster alone.
    with open_runs(options, None) as runs:
        if run != LATEST:
            return runs.get(run).run_id
        newest_here = runs.list(1)
        return newest_here[0].run_id if newest_here else runs.get(run).run_id


def with_whole_run(options: GlobalOptions, place: MoneyPlace, scope: Scope) -> Scope:
    """The scope with the whole id of its run, where it is of a run or of a step.

    That of a token stays as it is: a token has a budget before anything is asked with it.

    Raises:
        InputError: no run begins so, or several do.
    """
    from maestro.llm.endpoint_tokens import RUN_PREFIX

    if scope.kind not in ("run", "step") or scope.name.startswith(("*", RUN_PREFIX)):
        return scope
    run, slash, step = scope.name.partition("/")
    return replace(scope, name=f"{whole_run_id(options, place, run)}{slash}{step}")

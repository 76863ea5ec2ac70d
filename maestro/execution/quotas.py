"""Quotas that are no money: runs, minutes of steps, gigabytes kept; counted in the ledger, refused when used up.

Written twice a run, when it begins and when it ends: a run of fifty short steps is not made slower by being counted.
Both times it outlasts a PostgreSQL that is away for a moment. Nothing is counted on one machine where nobody has set a
budget and no model was ever asked.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from maestro.artifacts import StepRecord
from maestro.errors import MaestroError
from maestro.ledger.model import Attribution, Balance, BudgetExceededError, Scope, Unit

if TYPE_CHECKING:
    from maestro.execution.session import RunSession
    from maestro.ledger.store import Ledger

T = TypeVar("T")
_OURS = (Unit.MINUTES, Unit.GIGABYTES)


class RunQuotas:
    """The quotas of one run, in one of its processes; with most executors there is only one."""

    def __init__(self, session: RunSession) -> None:
        identity = session.identity
        self._session = session
        self._attribution = Attribution(
            tenant=identity.tenant,
            project=session.project_name,
            pull_request=identity.pull_request,
            run=identity.root_run_id,
            actor=identity.actor or "maestro",
        )
        self._lock = threading.Lock()
        self._used = {Unit.MINUTES: 0.0, Unit.GIGABYTES: 0.0}
        self._limits: Mapping[Scope, Mapping[Unit, int]] = {}
        self._balances: tuple[Balance, ...] = ()
        self._counted = False

    def begin(self, *, refuse: bool = True) -> None:
        """Counts the run, once with all that resume it and all its processes.

        Before that it takes back what callers that are gone have reserved: without a conductor nobody else looks.

        Args:
            refuse: False: what was begun is only brought to its end, however much is used up.

        Raises:
            BudgetExceededError: there are no runs, minutes or gigabytes left.
            MaestroError: the ledger does not answer.
        """
        from maestro.execution.budgets import limits_for, limits_of
        from maestro.ledger.place import is_there

        session = self._session
        budget = session.loaded.workflow.budget
        if budget is None and not is_there(session.project.home, session.environ):
            return
        limits = self._limits = limits_for(self._attribution, limits_of(budget))
        id = f"run:{session.identity.root_run_id}"

        def count() -> list[Balance]:
            with self._ledger() as ledger:
                ledger.expire()
                ledger.spend(self._attribution, {Unit.RUNS: 1}, id=id, limits=limits, refuse=refuse)
                return ledger.balances(self._attribution.scopes(), limits=limits) if refuse else []

        found = _outlasting(count)
        self._counted = True
        self._balances = tuple(one for one in found if one.unit in _OURS and one.limit is not None)
        self.check()

    def check(self) -> None:
        """Asks whether another step may begin.

        Raises:
            BudgetExceededError: the minutes or gigabytes are used up.
        """
        if not self._balances:
            return
        with self._lock:
            used = {unit: round(amount) for unit, amount in self._used.items()}
        for one in self._balances:
            now = replace(one, spent=one.spent + used[one.unit])
            if now.left == 0:
                raise BudgetExceededError(now, 1)

    def add(self, record: StepRecord) -> None:
        """What a step has used: its time, and the bytes it left behind; nothing when it came from the cache."""
        if record.cache == "hit":
            return
        with self._lock:
            self._used[Unit.MINUTES] += record.seconds
            self._used[Unit.GIGABYTES] += sum(one.size for one in record.outputs)

    def end(self) -> str | None:
        """Writes down what was used; why that could not be done, when it could not.

        What a run has used is used, also beyond a limit: the next one is refused.
        """
        used: Mapping[Unit, int] = {unit: round(amount) for unit, amount in self._used.items() if round(amount)}
        if not self._counted or not used:
            return None
        # Where each step has a process of its own, each of them writes.
        id = f"use:{self._session.identity.run_id}:{uuid.uuid4().hex}"

        def count() -> None:
            with self._ledger() as ledger:
                ledger.spend(self._attribution, used, id=id, limits=self._limits, refuse=False)

        try:
            _outlasting(count)
        except MaestroError as error:
            return f"what this run used could not be written into the ledger: {error.what}"
        return None

    def _ledger(self) -> Ledger:
        from maestro.ledger.place import ledger_url
        from maestro.ledger.store import Ledger

        return Ledger.open(ledger_url(self._session.project.ensure_home(), self._session.environ))


def _outlasting(call: Callable[[], T]) -> T:
    from maestro.server.patience import is_server_away, patiently

    return patiently(call, when=is_server_away)()

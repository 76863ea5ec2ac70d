"""The ledger: whoever is about to spend reserves the worst case, and settles what it came to.

An amount counts in every scope it lies in (``Attribution.scopes``), and in each that has a limit it must fit, or
nothing is reserved. So no number of callers, in threads, processes or on hosts, spends more than was granted: what was
reserved is gone for everybody else until it is settled or released. A caller that dies is noticed by its process or by
its lease: before its call was sent the amount is released, after that the worst case is charged (``assumed``) until the
truth is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import cast

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.ledger import pruning, reading
from maestro.ledger.checking import Discrepancy, discrepancies
from maestro.ledger.committer import PATIENCE, Committer
from maestro.ledger.errors import LedgerUnavailableError
from maestro.ledger.making import make_ledger
from maestro.ledger.model import Attribution, Balance, Charge, Crossing, Reservation, Scope, Unit
from maestro.ledger.names import key_of
from maestro.ledger.operations import (
    LEASE,
    Adjust,
    Companion,
    Release,
    Reserve,
    Send,
    SetLimit,
    Settle,
    Spend,
)
from maestro.ledger.pruning import Pruned
from maestro.ledger.reading import Held, LimitSet
from maestro.ledger.rows import Rows
from maestro.server.database import first_line, open_engine
from maestro.server.database import reading as for_reading
from maestro.server.removal import always

Limits = Mapping[Scope, Mapping[Unit, int]]


class Ledger:
    """Budgets of one database, SQLite or PostgreSQL; for any number of threads, processes and hosts at once.

    Every method raises ``LedgerUnavailableError`` when the database does not answer: then nothing may be spent.
    """

    def __init__(self, committer: Committer) -> None:
        self.committer = committer
        """What writes; ``AsyncLedger`` shares it."""

    @classmethod
    def open(cls, url: str, *, patience: float = PATIENCE) -> Ledger:
        """Opens the ledger and makes its tables when they are not there.

        Args:
            url: as ``ledger_url`` gives it.
            patience: seconds a database that went away is waited for.

        Raises:
            InputError: it is no address of SQLite or PostgreSQL, or the file's folder cannot be made.
            LedgerLostError: its file was known here and is gone, empty or another one.
            MaestroError: the database does not answer, or its file cannot be used.
        """
        engine = open_engine(url)
        try:
            make_ledger(engine)
        finally:
            engine.dispose()
        return cls(Committer(url, patience=patience))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the database; what is reserved stays so."""
        self.committer.close()

    @property
    def engine(self) -> sa.Engine:
        """The database, for what others keep beside the ledger (``also``)."""
        return self.committer.engine

    def reserve(
        self,
        id: str,
        attribution: Attribution,
        amounts: Mapping[Unit, int],
        *,
        lease: float = LEASE,
        limits: Limits = {},  # noqa: B006 - it is only read
        also: Sequence[Companion] = (),
        sent: bool = False,
        model: str = "",
        provider: str = "",
        decision: str = "",
    ) -> Reservation:
        """Sets the most it may come to aside, in every scope or in none. The same id again is the same reservation.

        Args:
            id: unique to this call; a second try of it is another call.
            lease: seconds until it is taken for lost unless it is settled or released; more than its call may take.
            limits: the workflow's, which lower what is granted and never raise it.
            also: rows of others, written in the same transaction, only when it is reserved.
            sent: the call leaves right after; see ``sent``.
            model, provider, decision: what an assumed charge is put down to.

        Raises:
            BudgetExceededError: a budget does not hold it; nothing was reserved.
            ReservationClosedError: the id was used up, or another process has sent its call under it.
            InputError: a name, an amount, a limit or the lease cannot be one.
        """
        wish = Reserve(id, attribution, amounts, lease, limits, also, sent, model, provider, decision)
        return cast(Reservation, self.committer.perform(wish.checked()))

    def sent(self, id: str) -> None:
        """The call is about to leave: from here on a caller that is lost is charged the worst case.

        Raises:
            ReservationClosedError: it was given up meanwhile, so the call must not be made.
            UnknownReservationError: there is none.
        """
        self.committer.perform(Send(id))

    def settle(
        self,
        id: str,
        actual: Mapping[Unit, int],
        *,
        model: str = "",
        provider: str = "",
        decision: str = "",
        facts: Mapping[str, object] = {},
        also: Sequence[Companion] = (),
    ) -> tuple[Crossing, ...]:
        """Charges what it came to, and gives the rest back. Twice is once.

        What was assumed or released meanwhile is replaced by the truth. More than was reserved is charged all the same
        and comes back as a crossing with ``overdraft``.

        Args:
            facts: small JSON values for exports.
            also: rows of others, written in the same transaction.

        Returns:
            Thresholds crossed for the first time.

        Raises:
            UnknownReservationError: nobody reserved it.
            InputError: it was settled for another amount before, or an amount cannot be one.
        """
        wish = Settle(id, actual, model, provider, decision, facts, also)
        return cast(tuple[Crossing, ...], self.committer.perform(wish.checked()))

    def release(self, id: str, reason: str = "", *, also: Sequence[Companion] = ()) -> None:
        """Nothing was spent; everything goes back. Twice is once.

        Raises:
            ReservationClosedError: it was settled before.
            UnknownReservationError: there is none.
        """
        self.committer.perform(Release(id, reason, also))

    def expire(self, now: datetime | None = None) -> list[Held]:
        """Takes back what lost callers reserved: leases that ran out, and processes of this machine that are gone.

        Args:
            now: None: the database's clock.

        Returns:
            What was ``released`` (not sent) and what was charged as ``assumed`` (sent).
        """
        return [reading.held(entry) for entry in self.committer.sweep(None if now is None else now.timestamp())]

    def adjust(self, id: str, amount: int, *, reason: str, actor: str, unit: Unit = Unit.USD) -> Charge:
        """Corrects a charge, assumed or settled, to what it really came to, by a row of its own.

        Args:
            id: of the reservation.
            amount: the truth, not the difference.

        Raises:
            InputError: nothing is charged for it, or so long ago that its reservation was removed; there is no reason,
                or the amount cannot be one.
            UnknownReservationError: there is none.
        """
        return cast(Charge, self.committer.perform(Adjust(id, unit, amount, reason, actor).checked()))

    def set_limit(
        self, scope: Scope, unit: Unit, limit: int | None, *, actor: str, reason: str
    ) -> tuple[Crossing, ...]:
        """From now on the scope, or every scope of a pattern such as ``tenant:acme@*``, has this limit.

        A limit below what is used takes nothing back; it refuses what comes next.

        Args:
            limit: None: not limited, whatever the default is.

        Returns:
            Thresholds the scope is over by that.

        Raises:
            InputError: the scope, the limit, the reason or the actor cannot be one.
        """
        wish = SetLimit(scope, unit, limit, actor, reason).checked()
        return cast(tuple[Crossing, ...], self.committer.perform(wish))

    def clear_limit(self, scope: Scope, unit: Unit, *, actor: str, reason: str) -> tuple[Crossing, ...]:
        """Forgets a limit: the patterns the scope falls under, and the defaults, count again.

        Raises:
            InputError: as ``set_limit``.
        """
        wish = SetLimit(scope, unit, None, actor, reason, clear=True).checked()
        return cast(tuple[Crossing, ...], self.committer.perform(wish))

    def spend(
        self,
        attribution: Attribution,
        amounts: Mapping[Unit, int],
        facts: Mapping[str, object] = {},
        *,
        limits: Limits = {},  # noqa: B006 - it is only read
        refuse: bool = True,
        id: str | None = None,
        also: Sequence[Companion] = (),
    ) -> tuple[Crossing, ...]:
        """Charges runs, tokens, minutes or bytes at once, or refuses them.

        Args:
            refuse: False: they were used already, so they are charged even beyond a limit.
            id: the same id again charges nothing more; None: every call charges.

        Returns:
            Thresholds crossed for the first time.

        Raises:
            BudgetExceededError: a quota does not hold it; nothing was charged.
            InputError: a name or an amount cannot be one, or it is money.
        """
        named = {} if id is None else {"id": id}
        wish = Spend(attribution, amounts, facts, limits, refuse, also=also, **named)
        return cast(tuple[Crossing, ...], self.committer.perform(wish.checked()))

    def prune(self, before: datetime | None = None, *, go_on: Callable[[], bool] = always) -> Pruned:
        """Removes reservations that were settled or released, and had to end, before then; charges stay for ever.

        Settling, releasing or reserving under such an id again is refused, or does nothing, as before. So that
        ``budget events`` and ``adjust`` go on, what is ``assumed`` stays. Crossings that were told go with them where
        they cannot come again: of months, runs, steps and overdrafts.

        Args:
            before: None: 90 days ago by the database's clock.
            go_on: asked before each small transaction; False leaves the rest for another time.
        """
        with _answering():
            return pruning.prune(self.engine, self._limit(before), go_on)

    def prunable(self, before: datetime | None = None) -> Pruned:
        """What ``prune`` would remove."""
        limit = self._limit(before)
        with self._read() as connection:
            return pruning.prunable(connection, limit)

    def _limit(self, before: datetime | None) -> float:
        if before is not None:
            return before.timestamp()
        with self._read() as connection, Rows(connection) as rows:
            return rows.now() - pruning.KEPT_FOR.total_seconds()

    def balances(self, scopes: Sequence[Scope], *, limits: Limits = {}) -> list[Balance]:  # noqa: B006 - only read
        """What scopes have, in their order: the units that are limited or were ever used.

        Args:
            limits: the workflow's.
        """
        with self._read() as connection:
            return reading.balances(connection, scopes, _by_key(limits))

    def balance(self, scope: Scope, unit: Unit, *, limits: Limits = {}) -> Balance:  # noqa: B006 - only read
        """What a scope has in one unit."""
        for balance in self.balances([scope], limits=limits):
            if balance.unit is unit:
                return balance
        return Balance(scope, unit, None, 0, 0)

    def scopes(self, prefix: str = "") -> list[Scope]:
        """Every scope anything was ever counted in whose text begins so, sorted."""
        with self._read() as connection:
            return reading.scopes(connection, prefix)

    def limits(self, prefix: str = "") -> list[LimitSet]:
        """What persons set, for scopes and patterns whose text begins so, sorted."""
        with self._read() as connection:
            return reading.limits(connection, prefix)

    def reservations(self, ids: Sequence[str] | None = None) -> list[Held]:
        """The reservations with these ids; None: those that are open. The oldest first."""
        with self._read() as connection:
            return reading.reservations(connection, ids)

    def crossings(self, since: datetime | None = None) -> list[Crossing]:
        """Thresholds and overdrafts since then, each once per limit, the oldest first."""
        with self._read() as connection:
            return reading.crossings(connection, since)

    def take_crossings(self) -> list[Crossing]:
        """Those nobody has taken yet; each is given to one caller, who tells people."""
        with _answering(), self.engine.begin() as connection:
            with Rows(connection) as rows:
                now = rows.now()
            return reading.take_crossings(connection, now)

    def charges(
        self, since: datetime | None = None, until: datetime | None = None, **filters: object
    ) -> Iterator[Charge]:
        """Charges in the order they were written, read a page at a time.

        Args:
            since, until: from then on, and before then.
            filters: values of ``tenant``, ``project``, ``pull_request``, ``run``, ``step``, ``actor``, ``month``,
                ``unit``, ``kind``, ``model``, ``provider``, ``decision``, ``reservation``.

        Raises:
            InputError: there is no such filter.
        """
        query = reading.charges_query(since, until, filters)

        def read() -> Iterator[Charge]:
            with _answering():
                yield from reading.charges(for_reading(self.engine), query)

        return read()

    def check(self) -> list[Discrepancy]:
        """Adds everything up again; empty when it is balanced to the nanodollar. Others may write meanwhile."""
        with self._read(one_state=True) as connection:
            return discrepancies(connection)

    @contextmanager
    def _read(self, *, one_state: bool = False) -> Iterator[sa.Connection]:
        engine = for_reading(self.engine)
        if one_state and engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with _answering(), engine.begin() as connection:
            yield connection


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerUnavailableError(first_line(error)) from error


def _by_key(limits: Limits) -> dict[str, dict[str, int]]:
    return {key_of(scope): {str(unit): amount for unit, amount in amounts.items()} for scope, amounts in limits.items()}

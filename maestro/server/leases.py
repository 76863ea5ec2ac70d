"""Leases: of several processes that could act, one does, and another takes over when it is gone.

A lease is a row in the server's database with a holder, an end, and an *epoch* that grows with each holder. Times are
the database's clock, so hosts need not agree on theirs. A holder renews its lease while it lives; killed, it does not,
and somebody else gets the lease after its term. A holder that was stopped for longer than its term has lost the lease
without noticing, so it asks before it acts: ``Held.require()``, and ``Lease.check(connection)`` within the
transaction that writes, which then cannot be committed by two epochs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import InputError, MaestroError
from maestro.server.database import database_now, first_line, make_tables, reading

_METADATA = sa.MetaData()
_LEASES = sa.Table(
    "maestro_leases",
    _METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, comment="seconds since 1970 by the database's clock"),
)
_SHORTEST = 0.2
"""Seconds of the shortest term; renewing takes a moment too."""


class LeaseLostError(MaestroError):
    """The lease ran out, or another holder has it; what needs it must not be done."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lease '{name}' was lost, so another process may be acting by now",
            next_step="nothing: what was begun is left undone here, and whoever has the lease does it",
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its holder got it.

    Args:
        epoch: grows by one with each holder (a fencing token); what is written under an older one is refused.
        seconds: the term.
    """

    name: str
    holder: str
    epoch: int
    seconds: float

    def check(self, connection: sa.Connection) -> None:
        """Makes sure of the lease until the transaction of ``connection`` ends: meanwhile nobody can take it over.

        Args:
            connection: within a transaction on the database the lease is in. Keep the transaction shorter than the
                term, since the lease cannot be renewed meanwhile either.

        Raises:
            LeaseLostError: it ran out or another has it.
        """
        if connection.dialect.name == "postgresql":
            # A holder that is stopped within the transaction must not keep the others waiting for longer than its term.
            milliseconds = max(1, int(self.seconds * 1000))
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}")
        still = (
            _LEASES.update()
            .where(_is(self), _LEASES.c.expires > database_now(connection))
            .values(epoch=_LEASES.c.epoch)
        )
        if connection.execute(still).rowcount != 1:
            raise LeaseLostError(self.name)


@dataclass(frozen=True, slots=True)
class Holding:
    """Who has a lease.

    Args:
        remaining: seconds until it runs out unless it is renewed.
    """

    name: str
    holder: str
    epoch: int
    remaining: float


class Leases:
    """The leases of one database (SQLite or PostgreSQL)."""

    def __init__(self, engine: sa.Engine) -> None:
        """Makes the table when it is not there.

        Raises:
            MaestroError: the database does not answer.
        """
        self._engine = engine
        make_tables(engine, _METADATA)
        self._reads = reading(engine)
        # One statement each, so PostgreSQL finishes it even when this process is stopped before it hears of it.
        alone = engine.dialect.name == "postgresql"
        self._writes = engine.execution_options(isolation_level="AUTOCOMMIT") if alone else engine

    def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Takes the lease when nobody has it or its holder let it run out; None otherwise.

        Args:
            holder: names this process to people; two processes never under one name.

        Raises:
            InputError: no name, no holder, or a term too short to be renewed.
            MaestroError: the database does not answer.
        """
        return self._take(name, holder, seconds, lambda now: _LEASES.c.expires <= now)

    def take_over(self, ended: Holding, holder: str, seconds: float) -> Lease | None:
        """Takes the lease before its term is over, from a holder known to have ended; None when it changed hands.

        For whoever saw the holder's process end, such as the one that started it.

        Raises:
            InputError, MaestroError: as ``acquire``.
        """
        return self._take(ended.name, holder, seconds, lambda _now: _LEASES.c.epoch == ended.epoch)

    def renew(self, lease: Lease) -> bool:
        """Gives the lease a new term from now on; False when it has run out or another has it.

        Raises:
            MaestroError: the database does not answer; the lease may have been renewed or not.
        """
        with self._transaction() as connection:
            now = database_now(connection)
            renewed = _LEASES.update().where(_is(lease), _LEASES.c.expires > now).values(expires=now + lease.seconds)
            return connection.execute(renewed).rowcount == 1

    def release(self, lease: Lease) -> bool:
        """Lets others have the lease at once; False when it was lost before.

        Raises:
            MaestroError: the database does not answer.
        """
        # The row stays, since the next epoch counts on from its.
        with self._transaction() as connection:
            return connection.execute(_LEASES.update().where(_is(lease)).values(expires=0.0)).rowcount == 1

    def holding(self, name: str) -> Holding | None:
        """Who has the lease now; None when nobody has.

        Raises:
            MaestroError: the database does not answer.
        """
        with self._transaction(reads=True) as connection:
            now = database_now(connection)
            wanted = sa.select(_LEASES.c.holder, _LEASES.c.epoch, (_LEASES.c.expires - now).label("remaining"))
            row = connection.execute(wanted.where(_LEASES.c.name == name, _LEASES.c.expires > now)).one_or_none()
        return None if row is None else Holding(name, row.holder, row.epoch, row.remaining)

    @contextmanager
    def held(
        self,
        name: str,
        holder: str,
        seconds: float,
        *,
        stop: threading.Event | None = None,
        patience: float | None = None,
    ) -> Iterator[Held | None]:
        """Waits for the lease, then keeps it within the block, renewed in a thread.

        Args:
            stop: when set, waiting ends.
            patience: seconds to wait; None: until ``stop``.

        Yields:
            What tells whether it is still held; None when waiting ended without it.

        Raises:
            InputError: as ``acquire``. A database that does not answer is waited for.
        """
        lease, since = self._wait(name, holder, seconds, stop or threading.Event(), patience)
        if lease is None:
            yield None
            return
        held = Held(self, lease, since)
        try:
            yield held
        finally:
            held.close()

    def _wait(
        self, name: str, holder: str, seconds: float, stop: threading.Event, patience: float | None
    ) -> tuple[Lease | None, float]:
        deadline = None if patience is None else _clock() + patience
        while True:
            since = _clock()
            pause = seconds / 3
            try:
                lease = self.acquire(name, holder, seconds)
                if lease is not None:
                    return lease, since
                other = self.holding(name)
                pause = min(pause, other.remaining) if other else 0.0
            except InputError:
                raise
            except MaestroError:
                if deadline is not None and _clock() >= deadline:
                    raise
            if deadline is not None:
                pause = min(pause, deadline - _clock())
                if pause <= 0:
                    return None, since
            if stop.wait(max(pause, 0.01)):
                return None, since

    def _take(
        self, name: str, holder: str, seconds: float, when: Callable[[sa.ColumnElement[float]], sa.ColumnElement[bool]]
    ) -> Lease | None:
        if not name or not holder:
            raise InputError("a lease needs a name and a holder", next_step="name both")
        if not seconds >= _SHORTEST:
            raise InputError(
                f"a lease of {seconds} seconds runs out before it can be renewed",
                next_step=f"give at least {_SHORTEST} seconds",
            )
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        with self._transaction() as connection:
            now = database_now(connection)
            taken = insert(_LEASES).values(name=name, holder=holder, epoch=1, expires=now + seconds)
            statement = taken.on_conflict_do_update(
                index_elements=[_LEASES.c.name],
                set_={"holder": holder, "epoch": _LEASES.c.epoch + 1, "expires": now + seconds},
                where=when(now),
            ).returning(_LEASES.c.epoch)
            epoch = connection.execute(statement).scalar_one_or_none()
        return None if epoch is None else Lease(name, holder, int(epoch), seconds)

    @contextmanager
    def _transaction(self, reads: bool = False) -> Iterator[sa.Connection]:
        try:
            with (self._reads if reads else self._writes).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise MaestroError(
                f"the server's database does not answer: {first_line(error)}",
                next_step="check that it runs and that its disk is not full",
            ) from error


class Held:
    """A lease that is being renewed. ``lost`` is set as soon as it is known, or must be feared, that it is gone.

    The term is counted from before the database was last asked, by a clock that goes on while the process or the
    machine is stopped. So this side gives the lease up before anybody else can get it.
    """

    def __init__(self, leases: Leases, lease: Lease, since: float) -> None:
        self.lease = lease
        self.lost = threading.Event()
        self._leases = leases
        self._until = since + lease.seconds
        self._closed = threading.Event()
        # Two threads: a database that hangs holds up the one that renews, never the one that looks at the clock.
        self._renewing = threading.Thread(target=self._renew, name=f"lease {lease.name}", daemon=True)
        threading.Thread(target=self._watch, name=f"term of lease {lease.name}", daemon=True).start()
        self._renewing.start()

    @property
    def alive(self) -> bool:
        """Whether it is still held; asks the clock, not the database, so it is right after the process was stopped."""
        return not self.lost.is_set() and _clock() < self._until

    def require(self) -> None:
        """Does nothing while the lease is held.

        Raises:
            LeaseLostError: it is lost.
        """
        if not self.alive:
            self.lost.set()
            raise LeaseLostError(self.lease.name)

    def check(self, connection: sa.Connection) -> None:
        """``Lease.check``: makes sure of it until the transaction ends.

        Raises:
            LeaseLostError: it is lost.
        """
        try:
            self.lease.check(connection)
        except LeaseLostError:
            self.lost.set()
            raise

    def renew(self) -> None:
        """Renews it now, as happens every third of the term; a database that does not answer is no loss yet."""
        since = _clock()
        try:
            if self._leases.renew(self.lease):
                self._until = since + self.lease.seconds
            else:
                self.lost.set()
        except MaestroError:
            return  # The watching thread says when the term is over.

    def close(self) -> None:
        """Stops renewing, and lets others have it at once."""
        self._closed.set()
        self._renewing.join(self.lease.seconds)
        if not self.lost.is_set():
            # When the database does not answer now, the lease runs out by itself.
            with contextlib.suppress(MaestroError):
                self._leases.release(self.lease)

    def _renew(self) -> None:
        while not self._closed.wait(self.lease.seconds / 3) and not self.lost.is_set():
            self.renew()

    def _watch(self) -> None:
        while not self._closed.is_set() and not self.lost.is_set():
            left = self._until - _clock()
            if left <= 0:
                self.lost.set()
            else:
                self._closed.wait(left)


def _is(lease: Lease) -> sa.ColumnElement[bool]:
    return sa.and_(_LEASES.c.name == lease.name, _LEASES.c.holder == lease.holder, _LEASES.c.epoch == lease.epoch)


def _clock() -> float:
    # Goes on while the machine sleeps, unlike time.monotonic().
    return time.clock_gettime(time.CLOCK_BOOTTIME)

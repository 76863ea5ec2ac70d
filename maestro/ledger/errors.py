"""What can be wrong with what is asked of the ledger, beside a budget that is used up."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from maestro.errors import InputError, Location, MaestroError
from maestro.server.database import first_line

_DAMAGED = ("not a database", "malformed")
"""How SQLite says that a file is damaged."""


class UnknownReservationError(InputError):
    """Nothing was ever reserved under this id, so nobody is known to charge it to."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no reservation '{id}'", next_step="reserve before you spend")
        self.id = id


class ReservationClosedError(MaestroError):
    """The reservation is over, or another process has it: what it was for must not be done under it."""

    def __init__(self, id: str, why: str, *, next_step: str = "reserve again under another id") -> None:
        super().__init__(f"the reservation '{id}' {why}", next_step=next_step)
        self.id = id


class LedgerUnavailableError(MaestroError):
    """The ledger's database does not answer; nothing may be spent meanwhile."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the ledger's database does not answer: {reason}",
            next_step="move the damaged file away and restore it from a backup"
            if any(sign in reason for sign in _DAMAGED)
            else "check that it runs and that its disk is not full",
        )


class LedgerLostError(MaestroError):
    """The ledger that was known here is gone: going on would count every budget from nothing."""

    def __init__(self, file: Path, witness: Path, what: str) -> None:
        super().__init__(
            f"the ledger {what}, and with it every limit and all that was spent",
            where=Location(str(file)),
            next_step=f"restore it from a backup; or, to begin with an empty ledger and no limits but the defaults, "
            f"remove {witness} and what is left of {file.name}",
        )


class CompanionError(MaestroError):
    """What was to be written together with an operation cannot be, so the operation was not carried out either."""

    def __init__(self, error: SQLAlchemyError) -> None:
        super().__init__(
            f"what belongs to it cannot be written beside the ledger: {first_line(error)}",
            next_step="report this: nothing was reserved or charged",
        )
        self.error = error


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether another try may help: the connection broke, or the database was busy or saw a deadlock."""
    if not isinstance(error, DBAPIError):
        return False
    kinds = {kind.__name__ for kind in type(error.orig).__mro__}
    return bool(kinds & {"OperationalError", "InterfaceError"})

"""The audit log that decisions about models go into, as the command line finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from maestro.cli.money_source import MoneyPlace
from maestro.cli.options import GlobalOptions

if TYPE_CHECKING:
    from datetime import datetime

    from maestro.audit.log import AuditLog
    from maestro.ledger.store import Ledger
    from maestro.llm.auditing import DecisionAudit, Journal


@contextmanager
def decision_audit(options: GlobalOptions, place: MoneyPlace, ledger: Ledger) -> Iterator[DecisionAudit]:
    """Brings decisions into the log: the server's when it is about a server, else the project's.

    Raises:
        MaestroError: the database does not answer.
    """
    from maestro.llm.auditing import DecisionAudit

    with ExitStack() as stack:
        yield DecisionAudit(ledger.engine, _opened_later(options, place, stack))


def audit_asked(options: GlobalOptions, place: MoneyPlace, since: datetime) -> str | None:
    """Brings what was asked here since then, and what others have left, into the log; why not, when that fails."""
    from maestro.errors import MaestroError

    if place.project is None or not place.there:
        return None
    try:
        with place.ledger() as ledger, decision_audit(options, place, ledger) as audit:
            audit.of_caller(place.project, place.actor, since)
            audit.rest()
    except (MaestroError, OSError) as error:
        problem = error.what if isinstance(error, MaestroError) else str(error)
        return f"why this model was asked is not in the audit log: {problem}; the next call brings it there"
    return None


def log_of(options: GlobalOptions, place: MoneyPlace) -> AuditLog:
    """The log, to read and verify.

    Raises:
        InputError: there is none, or its public key is missing.
    """
    if place.server is None:
        from maestro.cli.audit_source import open_own

        return open_own(options)
    from maestro.audit.of_server import read_on_server

    return read_on_server(place.server.folder)


def _opened_later(options: GlobalOptions, place: MoneyPlace, stack: ExitStack) -> Callable[[], Journal]:
    found: list[Journal] = []

    def journal() -> Journal:
        if not found:
            if place.server is None:
                from maestro.cli.evidence_source import evidence_of

                found.append(stack.enter_context(evidence_of(options)).desk)
            else:
                from maestro.audit.of_server import ServerAudit

                found.append(stack.enter_context(ServerAudit(place.server.folder, place.actor)))
        return found[0]

    return journal

"""What each operation means: from the books as they are to the change it makes, or the reason why it makes none.

Everything here is arithmetic on what was read; the transaction around it is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from maestro.errors import InputError
from maestro.ledger.books import CORRECTED, Amounts, Books, Change, Entry, Moves
from maestro.ledger.errors import ReservationClosedError, UnknownReservationError
from maestro.ledger.limits import Cell, Limit
from maestro.ledger.model import Charge, Crossing, Reservation, Scope, Unit
from maestro.ledger.names import key_of, month_of, scopes_in
from maestro.ledger.operations import (
    Adjust,
    Lapse,
    Operation,
    Release,
    Reserve,
    Send,
    SetLimit,
    Settle,
    Spend,
)


def cells(books: Books, operation: Operation) -> set[Cell]:
    """The sums the operation may change, so that they are read and locked before."""
    entry = books.entries.get(getattr(operation, "id", ""))
    match operation:
        case Reserve() | Spend() if entry is None:
            scopes = scopes_in(operation.attribution, month_of(books.now))
            units = set(operation.amounts)
        case Settle() if entry is not None:
            scopes, units = entry.scopes, {*entry.amounts, *entry.actual, *operation.actual}
        case Release() | Lapse() | Adjust() if entry is not None:
            scopes, units = entry.scopes, {*entry.amounts, *entry.actual}
        case SetLimit() if operation.scope.month != "*" and not operation.scope.name.endswith("*"):
            scopes, units = (operation.scope,), {operation.unit}
        case _:
            return set()
    return {(key_of(scope), str(unit)) for scope in scopes for unit in units}


def apply(books: Books, operation: Operation) -> Change | None:
    """The change an operation makes; None when it has been made before or there is nothing to do.

    Raises:
        BudgetExceededError: a budget does not hold it.
        ReservationClosedError, UnknownReservationError, InputError: it cannot be done.
    """
    match operation:
        case Reserve():
            change = _reserve(books, operation)
        case Spend():
            change = _spend(books, operation)
        case SetLimit():
            change = _set_limit(operation)
        case _:
            change = _of_entry(books, operation)
    if change is not None:
        books.require_room(change)
    return change


def again(books: Books, operation: Operation) -> object:
    """The result of an operation that changed nothing, since it had been carried out before."""
    match operation:
        case Reserve():
            return reservation(books.entries[operation.id])
        case Settle() | Spend():
            return ()
        case _:
            return None


def reservation(entry: Entry, crossed: tuple[Crossing, ...] = ()) -> Reservation:
    """What the caller is told of a reservation."""
    return Reservation(entry.id, entry.scopes, entry.amounts, _moment(entry.expires), crossed)


def _of_entry(books: Books, operation: Send | Settle | Release | Lapse | Adjust) -> Change | None:
    entry = books.entries.get(operation.id)
    if entry is None:
        raise UnknownReservationError(operation.id)
    match operation:
        case Send():
            return _send(books, operation, entry)
        case Settle():
            return _settle(books, operation, entry)
        case Release():
            return _release(books, operation, entry)
        case Lapse():
            return _lapse(books, operation, entry)
        case Adjust():
            return _adjust(books, operation, entry)


def _reserve(books: Books, operation: Reserve) -> Change | None:
    entry = books.entries.get(operation.id)
    if entry is not None:
        return _reserve_again(books, operation, entry)
    month = month_of(books.now)
    scopes = scopes_in(operation.attribution, month)
    limits = _relevant(operation.limits, scopes)
    books.require(scopes, operation.amounts, limits)
    made = Entry(
        id=operation.id,
        state="sent" if operation.sent else "reserved",
        attribution=operation.attribution,
        month=month,
        amounts=dict(operation.amounts),
        limits=limits,
        actual={},
        holder=operation.holder,
        lease=operation.lease,
        expires=books.now + operation.lease,
        at=books.now,
        model=operation.model,
        provider=operation.provider,
        decision=operation.decision,
    )
    moves = {(scope, unit): (0, amount) for unit, amount in operation.amounts.items() for scope in scopes}
    return Change(lambda crossed: reservation(made, crossed), moves, made)


def _reserve_again(books: Books, operation: Reserve, entry: Entry) -> Change | None:
    # First: of one that was removed after its time nobody knows what it was reserved at.
    if not entry.is_open:
        raise ReservationClosedError(entry.id, f"is over: it was {entry.state}")
    if (entry.attribution, dict(entry.amounts)) != (operation.attribution, dict(operation.amounts)):
        raise InputError(
            f"'{operation.id}' was reserved before, for something else", next_step="give every call an id of its own"
        )
    if entry.holder == operation.holder:
        return None
    if entry.state == "sent":
        # Both calls may be billed, and only one is reserved for.
        raise ReservationClosedError(entry.id, f"is in use by another process, which has sent its call: {entry.holder}")
    taken = replace(
        entry,
        state="sent" if operation.sent else "reserved",
        holder=operation.holder,
        lease=operation.lease,
        expires=books.now + operation.lease,
    )
    return Change(lambda crossed: reservation(taken, crossed), {}, taken)


def _send(books: Books, operation: Send, entry: Entry) -> Change | None:
    if not entry.is_open:
        raise ReservationClosedError(entry.id, f"is over: it was {entry.state} ({entry.reason or 'by its caller'})")
    if entry.holder != operation.holder:
        raise ReservationClosedError(entry.id, f"was taken over by another process: {entry.holder}")
    if entry.state == "sent":
        return None
    expires = max(entry.expires, books.now + entry.lease)
    return Change(lambda _crossed: None, {}, replace(entry, state="sent", expires=expires))


def _settle(books: Books, operation: Settle, entry: Entry) -> Change | None:
    actual = dict(operation.actual)
    if entry.state == "settled":
        if entry.reason.startswith(CORRECTED):
            return None  # What a person said since then stands.
        if _amounts(entry.actual) != _amounts(actual):
            raise InputError(
                f"'{entry.id}' was settled before, for another amount", next_step="settle once; correct it by `adjust`"
            )
        return None
    settled = replace(
        entry,
        state="settled",
        actual=actual,
        model=operation.model or entry.model,
        provider=operation.provider or entry.provider,
        decision=operation.decision or entry.decision,
    )
    # Of what was released nothing is set aside any more.
    held = entry.amounts if entry.state != "released" else dict.fromkeys(entry.amounts, 0)
    over = {unit: amount for unit, amount in actual.items() if unit in held and amount > held[unit]}
    facts = dict(operation.facts)
    if over:
        facts["overdraft"] = {str(unit): amount - held[unit] for unit, amount in over.items()}
    charges = [
        *_taken_back(books, entry, "the call came back after it was taken for lost"),
        *(_charge(books, settled, unit, amount, "settled", facts) for unit, amount in actual.items()),
    ]
    innermost = entry.scopes[-1]
    told = dict(over)
    if operation.doubtful and not told:
        told = {unit: actual[unit] for unit in (Unit.TOKENS, Unit.USD) if actual.get(unit) and held.get(unit)}
    overdraft = tuple(
        Crossing(innermost, unit, 100, held[unit], amount, books.moment, overdraft=entry.id)
        for unit, amount in told.items()
    )
    return Change(lambda crossed: crossed, _moves(entry, actual), settled, tuple(charges), overdraft)


def _release(books: Books, operation: Release, entry: Entry) -> Change | None:
    if entry.state == "released":
        return None
    if entry.state == "settled":
        raise ReservationClosedError(entry.id, "was settled, so it cannot be released", next_step="nothing")
    released = replace(entry, state="released", actual={}, reason=operation.reason)
    charges = _taken_back(books, entry, operation.reason or "nothing was spent")
    return Change(lambda _crossed: None, _moves(entry, {}), released, tuple(charges))


def _lapse(books: Books, operation: Lapse, entry: Entry) -> Change | None:
    if not entry.is_open:
        return None
    if operation.holder:
        if entry.holder != operation.holder:
            return None
        reason = f"its caller is gone: {entry.holder}"
    else:
        if entry.expires > (books.now if operation.now is None else operation.now):
            return None
        reason = "its lease ran out"
    if entry.state == "reserved":
        released = replace(entry, state="released", reason=reason)
        return Change(lambda _crossed: released, _moves(entry, {}), released)
    assumed = replace(entry, state="assumed", actual=dict(entry.amounts), reason=reason)
    charges = [
        _charge(books, assumed, unit, amount, "assumed", {"reason": reason}) for unit, amount in entry.amounts.items()
    ]
    return Change(lambda _crossed: assumed, _moves(entry, entry.amounts), assumed, tuple(charges))


def _adjust(books: Books, operation: Adjust, entry: Entry) -> Change | None:
    if entry.state not in ("assumed", "settled"):
        raise InputError(
            f"'{entry.id}' is {entry.state}, so there is no charge to be corrected",
            next_step="`maestro budget export` lists what was charged",
        )
    if not entry.amounts:
        # Its row is gone, and what was charged is noted beside its fingerprint: a correction would not add up.
        raise InputError(
            f"'{entry.id}' was settled so long ago that its charge stands",
            next_step="raise the budget by what was charged too much: `maestro budget set`",
        )
    if operation.unit not in entry.actual:
        raise InputError(
            f"'{entry.id}' has no charge of {operation.unit.value}",
            next_step=f"correct one of {', '.join(entry.actual)}",
        )
    was = entry.actual[operation.unit]
    reason = f"{CORRECTED}{operation.reason}" if entry.state == "settled" else entry.reason
    corrected = replace(entry, actual={**entry.actual, operation.unit: operation.amount}, reason=reason)
    facts = {"reason": operation.reason, "by": operation.actor, "was": was, "is": operation.amount}
    charge = _charge(books, corrected, operation.unit, operation.amount - was, "adjusted", facts)
    moves = {(scope, operation.unit): (operation.amount - was, 0) for scope in entry.scopes}
    return Change(lambda _crossed: charge, moves, corrected, (charge,))


def _set_limit(operation: SetLimit) -> Change:
    cell = (key_of(operation.scope), str(operation.unit))
    limit = None if operation.clear else Limit(operation.limit, operation.actor)
    return Change(lambda crossed: crossed, {}, None, (), (), (cell, limit, operation.reason))


def _spend(books: Books, operation: Spend) -> Change | None:
    entry = books.entries.get(operation.id)
    if entry is not None:
        # What was charged, not what a person has said since; that is not known any more of one whose row is gone.
        corrected = entry.reason.startswith(CORRECTED)
        charged = (entry.amounts or operation.amounts) if corrected else entry.actual
        if (entry.attribution, _amounts(charged)) != (operation.attribution, _amounts(operation.amounts)):
            raise InputError(
                f"'{operation.id}' was charged before, for something else", next_step="give every charge its own id"
            )
        return None
    month = month_of(books.now)
    scopes = scopes_in(operation.attribution, month)
    limits = _relevant(operation.limits, scopes)
    if operation.refuse:
        books.require(scopes, operation.amounts, limits)
    made = Entry(
        id=operation.id,
        state="settled",
        attribution=operation.attribution,
        month=month,
        amounts=dict(operation.amounts),
        limits=limits,
        actual=dict(operation.amounts),
        holder="",
        lease=0.0,
        expires=books.now,
        at=books.now,
    )
    charges = [_charge(books, made, unit, amount, "quota", operation.facts) for unit, amount in made.actual.items()]
    moves = {(scope, unit): (amount, 0) for unit, amount in made.actual.items() for scope in scopes}
    return Change(lambda crossed: crossed, moves, made, tuple(charges))


def _moves(entry: Entry, actual: Amounts) -> Moves:
    """From what an entry counts as now to ``actual`` spent and nothing reserved."""
    held = entry.amounts if entry.is_open else {}
    units = {*held, *entry.actual, *actual}
    deltas = {unit: (actual.get(unit, 0) - entry.actual.get(unit, 0), -held.get(unit, 0)) for unit in units}
    return {(scope, unit): delta for scope in entry.scopes for unit, delta in deltas.items() if delta != (0, 0)}


def _taken_back(books: Books, entry: Entry, reason: str) -> list[Charge]:
    facts = {"reason": reason}
    return [_charge(books, entry, unit, -amount, "adjusted", facts) for unit, amount in entry.actual.items()]


def _charge(books: Books, entry: Entry, unit: Unit, amount: int, kind: str, facts: Mapping[str, object]) -> Charge:
    return Charge(
        reservation=entry.id,
        at=books.moment,
        attribution=entry.attribution,
        unit=unit,
        amount=amount,
        kind=kind,  # type: ignore[arg-type]  # Callers give its literals.
        model=entry.model,
        provider=entry.provider,
        decision=entry.decision,
        facts=facts,
        month=entry.month,
    )


def _relevant(limits: Mapping[Scope, Mapping[Unit, int]], scopes: tuple[Scope, ...]) -> dict[str, dict[str, int]]:
    return {
        key_of(scope): {str(unit): amount for unit, amount in limits[scope].items()}
        for scope in scopes
        if scope in limits
    }


def _amounts(amounts: Amounts) -> dict[Unit, int]:
    return {unit: amount for unit, amount in amounts.items() if amount}


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)

"""Spend by day: what forecasts and anomalies look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from maestro.ledger.model import Charge, Unit

WEEK = 7


@dataclass(frozen=True, slots=True)
class Daily:
    """What was spent on each day (UTC), days without a charge included.

    Args:
        first: the first day.
        amounts: one for each day from ``first`` on, in the unit's own whole numbers.
    """

    first: date
    amounts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.amounts)

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.first + timedelta(days=len(self.amounts))

    def days(self) -> Iterator[tuple[date, int]]:
        """Each day with what was spent on it."""
        for number, amount in enumerate(self.amounts):
            yield self.first + timedelta(days=number), amount

    def on(self, day: date) -> int:
        """What was spent on a day; 0 outside of what is known."""
        place = (day - self.first).days
        return self.amounts[place] if 0 <= place < len(self.amounts) else 0

    def before(self, day: date, most: int | None = None) -> Daily:
        """The days before ``day``, at most the last ``most`` of them."""
        end = max(0, min((day - self.first).days, len(self.amounts)))
        begin = 0 if most is None else max(0, end - most)
        return Daily(self.first + timedelta(days=begin), self.amounts[begin:end])

    def since(self, day: date) -> Daily:
        """The days from ``day`` on."""
        begin = max(0, min((day - self.first).days, len(self.amounts)))
        return Daily(self.first + timedelta(days=begin), self.amounts[begin:])


def daily(charges: Iterable[Charge], until: date, *, unit: Unit = Unit.USD, since: date | None = None) -> Daily:
    """Charges by day.

    A correction counts on the day of what it corrects only if it was dated so; a day may therefore be below zero.

    Args:
        until: the day after the last one.
        since: the first day; None: the day of the first charge.
    """
    sums: dict[date, int] = {}
    for one in charges:
        if one.unit is unit:
            day = day_of(one.at)
            sums[day] = sums.get(day, 0) + one.amount
    first = since or min((day for day in sums if day < until), default=until)
    return Daily(first, tuple(sums.get(first + timedelta(days=n), 0) for n in range(max(0, (until - first).days))))


def day_of(at: datetime) -> date:
    """The day (UTC) of a time."""
    return at.astimezone(UTC).date()

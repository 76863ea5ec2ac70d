"""Whose turn it is: of one project a delivery after another, in the order in which they came."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from maestro.inbox import Delivery, Outcome

HELD_ATTEMPTS = 4
"""So often, over half a minute, what comes later waits for a delivery that cannot be taken now."""
_SLACK = timedelta(seconds=60)
"""A delivery that is not tried again so long after its time will not be: somebody has removed it."""


class DeliveryOrder:
    """What is pushed later must not be there earlier: in a group it would count as the older one.

    Only an origin that stays away, or a delivery that cannot be taken for long, is passed by those after it.

    Args:
        take: gives what became of a delivery, once that is stored; None: it cannot be stored, so the delivery stays
            open, and its project stops. Called in threads, one of a project at a time.
        projects: as many at once.
    """

    def __init__(self, take: Callable[[Delivery, int], Outcome | None], projects: int) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._queues: dict[str, list[tuple[int, int, Delivery]]] = {}
        self._busy: set[str] = set()
        self._open: set[int] = set()
        self._held: dict[str, tuple[int, datetime]] = {}
        self._pool = ThreadPoolExecutor(projects, thread_name_prefix="dispatch")

    def begin(self, delivery: Delivery, attempts: int) -> None:
        """Puts it into its project's queue, before what came after it."""
        with self._lock:
            project = delivery.project
            self._open.add(delivery.id)
            heapq.heappush(self._queues.setdefault(project, []), (delivery.id, attempts, delivery))
            if self._held.get(project, (0,))[0] == delivery.id:
                del self._held[project]
            self._go_on(project)

    def hold(self, outcome: Outcome) -> None:
        """What is to be tried again in a moment comes before what came later."""
        with self._lock:
            self._hold(outcome)

    def drop(self, outcome: Outcome) -> None:
        """What came later need not wait for it any more."""
        with self._lock:
            if self._held.get(outcome.project, (0,))[0] == outcome.inbox_id:
                del self._held[outcome.project]
                self._go_on(outcome.project)

    def release(self, now: datetime | None = None) -> None:
        """Lets go of what was held for a delivery that is not tried again."""
        now = now or datetime.now(UTC)
        with self._lock:
            for project in [one for one, (_, until) in self._held.items() if until < now]:
                del self._held[project]
                self._go_on(project)

    def is_open(self, inbox_id: int) -> bool:
        """Whether it was begun and has no outcome yet."""
        with self._lock:
            return inbox_id in self._open

    @property
    def first_open(self) -> int | None:
        """The first that was begun and has no outcome yet."""
        with self._lock:
            return min(self._open, default=None)

    @property
    def idle(self) -> bool:
        """Whether nothing is being taken; something may be held."""
        with self._lock:
            return not self._busy

    def close(self) -> None:
        """Finishes what is being taken."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _hold(self, outcome: Outcome) -> None:
        # Those of no project are of many.
        if outcome.state == "waiting" and outcome.next_at and outcome.project and outcome.attempts <= HELD_ATTEMPTS:
            until = max(outcome.next_at, datetime.now(UTC)) + _SLACK
            self._held[outcome.project] = outcome.inbox_id, until

    def _go_on(self, project: str) -> None:
        if project not in self._busy and project not in self._held and self._queues.get(project):
            self._busy.add(project)
            self._pool.submit(self._take_in_order, project)

    def _take_in_order(self, project: str) -> None:
        while True:
            with self._lock:
                if project in self._held or not self._queues[project]:
                    self._busy.discard(project)
                    return
                _, attempts, delivery = heapq.heappop(self._queues[project])
            outcome = self._take(delivery, attempts)
            if outcome is None:
                return
            with self._lock:
                self._open.discard(delivery.id)
                self._hold(outcome)

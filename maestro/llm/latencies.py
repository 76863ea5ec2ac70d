"""How long recent calls took and how many failed, for each model, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from maestro.llm.state import Latency

KEPT = 100


class Latencies:
    """The last calls of each model; for one event loop."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[tuple[float, bool]]] = {}
        self._summaries: dict[str, Latency] = {}
        self._stale: set[str] = set()

    def record(self, model: str, seconds: float, *, failed: bool = False) -> None:
        """One call is over."""
        self._calls.setdefault(model, deque(maxlen=KEPT)).append((seconds, failed))
        self._stale.add(model)

    def summary(self) -> Mapping[str, Latency]:
        """Of every model that was called."""
        for model in self._stale:
            self._summaries[model] = _summary(self._calls[model])
        self._stale.clear()
        return dict(self._summaries)


def _summary(calls: deque[tuple[float, bool]]) -> Latency:
    # A failure says how long one may have to wait for nothing, not how long an answer takes.
    times = sorted(seconds for seconds, failed in calls if not failed) or sorted(seconds for seconds, _failed in calls)
    failed = sum(1 for _seconds, was in calls if was)
    return Latency(times[len(times) // 2], times[int(len(times) * 0.95)], len(calls), failed)

"""How long to wait before the same deployment is asked again.

``backoff``, which the rest of Maestro uses, decorates a function: here what was spent is settled and reserved anew
between two tries, and another model may be better than waiting. Its full jitter is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import backoff

from maestro.llm.model import ProviderError


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how patiently.

    Args:
        tries: of one deployment, the first among them.
        first: seconds; doubled each time, a random part of it is waited.
        longest: no longer wait; what a provider asks for beyond it sends the request to the next candidate, unless
            there is none.
    """

    tries: int = 3
    first: float = 0.25
    longest: float = 8.0

    def wait(self, error: ProviderError, tried: int, *, left: float, last: bool) -> float | None:
        """Seconds until the next try; None: not here again.

        Args:
            tried: how often it was tried.
            left: seconds of the request's time; last: whether no other candidate is left.
        """
        if not error.retry or tried >= self.tries:
            return None
        if error.retry_after is None:
            seconds = backoff.full_jitter(min(self.first * 2 ** (tried - 1), self.longest))
        else:
            seconds = error.retry_after
            if seconds > self.longest and not last:
                return None
        return seconds if seconds < left else None

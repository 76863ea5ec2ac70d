"""Why a webhook is not taken, as an HTTP answer."""

from __future__ import annotations

from maestro.errors import MaestroError

RETRY_SECONDS = 5
"""What ``Retry-After`` says."""


class RefusedError(MaestroError):
    """A webhook is refused.

    Args:
        status: of HTTP.
        reason: one word, for metrics.
        what: one sentence for whoever looks at the sender's list of deliveries. Never a secret, nor what was sent.
    """

    def __init__(self, status: int, reason: str, what: str, *, next_step: str | None = None) -> None:
        super().__init__(what, next_step=next_step)
        self.status = status
        self.reason = reason


def unavailable(reason: str, what: str) -> RefusedError:
    """Nothing is wrong with what was sent; the same again will be taken later."""
    return RefusedError(503, reason, what, next_step="send it again later")

"""What can go wrong between a mirror and its origin.

::

    MirrorError             the mirror or the checkout cannot be used, and trying again does not help
    ├── UnexplainedError    git's reason is none of the usual; the mirror may be damaged
    ├── GoneError           the origin has no such commit or branch any more
    ├── NoBaseError         there is nothing to compare with; everything counts as changed
    └── UnreachableError    the origin does not answer or refuses; ``retryable`` says whether waiting can help
"""

from __future__ import annotations

from maestro.errors import MaestroError


class MirrorError(MaestroError):
    """A mirror or a checkout made from it cannot be used."""


class UnexplainedError(MirrorError):
    """Git failed for a reason that is not the origin's; the mirror may be damaged."""


class GoneError(MirrorError):
    """The origin has no such commit or branch any more."""


class NoBaseError(MirrorError):
    """The commit to compare with is unknown and cannot be had; everything counts as changed."""


class UnreachableError(MirrorError):
    """The origin does not answer, or refuses.

    Args:
        retryable: waiting can help (network, server error); False when somebody has to act (credentials, address).
    """

    def __init__(self, what: str, *, retryable: bool, next_step: str | None = None) -> None:
        super().__init__(what, next_step=next_step)
        self.retryable = retryable

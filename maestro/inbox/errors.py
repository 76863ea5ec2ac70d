"""What can go wrong with the inbox::

InboxError
└── InboxUnavailableError   the database does not take it now; the same again may succeed later
    └── InboxBusyError      more is waiting than the inbox holds in memory
"""

from __future__ import annotations

from maestro.errors import MaestroError


class InboxError(MaestroError):
    """A delivery cannot be kept or read."""


class InboxUnavailableError(InboxError):
    """The database does not answer, is full or is read-only; nothing was acknowledged."""


class InboxBusyError(InboxUnavailableError):
    """More deliveries wait to be written than are held in memory."""

"""The inbox: every webhook a server has accepted, byte for byte, in one order, and what became of each.

``model`` is what is kept, ``writer`` keeps it for the gateway with one commit for many, ``inbox`` reads it, and
``outcomes`` says what each delivery led to.
"""

from maestro.inbox.errors import InboxBusyError, InboxError, InboxUnavailableError
from maestro.inbox.inbox import Inbox
from maestro.inbox.model import Delivery, Headline, NewDelivery, Stored
from maestro.inbox.outcomes import Outcome, Outcomes
from maestro.inbox.writer import InboxWriter

__all__ = [
    "Delivery",
    "Headline",
    "Inbox",
    "InboxBusyError",
    "InboxError",
    "InboxUnavailableError",
    "InboxWriter",
    "NewDelivery",
    "Outcome",
    "Outcomes",
    "Stored",
]

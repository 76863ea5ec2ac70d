"""What is to be said to the outside: messages kept in the server's database until they have arrived.

Whoever has something to say puts it here within its own work; the sender (``maestro.reporting.sending``) carries it out
whenever the other side answers.
"""

from maestro.outbox.message import Message, Outgoing, OutgoingState
from maestro.outbox.outbox import Outbox

__all__ = ["Message", "Outbox", "Outgoing", "OutgoingState"]

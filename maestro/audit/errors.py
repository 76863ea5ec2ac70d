"""What can go wrong with the audit log.

::

    MaestroError
    ├── AuditError             the log cannot be written or read
    │   └── AuditTamperedError what is stored is not what was signed
    ├── NoteError              a checkpoint is malformed, or no trusted key signed it
    ├── ProofError             a proof does not hold
    └── ForwardError           the receiver did not take the entries
    InputError
    └── AuditInputError        an event, key file or address cannot be used as it is
"""

from __future__ import annotations

from maestro.errors import InputError, MaestroError


class AuditError(MaestroError):
    """The audit log cannot be written or read."""


class AuditTamperedError(AuditError):
    """What the database holds is not what was signed; nothing is appended to such a log."""


class NoteError(MaestroError):
    """A checkpoint is malformed, or no trusted key signed it."""


class ProofError(MaestroError):
    """A proof does not hold."""


class ForwardError(MaestroError):
    """The receiver of forwarded entries did not take them; they are sent again next time."""


class AuditInputError(InputError):
    """An event, a key file or an address cannot be used as it is."""

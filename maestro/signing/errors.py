"""What can go wrong with keys and signatures."""

from __future__ import annotations

from typing import Literal

from maestro.errors import InputError, Location, MaestroError

RefusalCode = Literal[
    "malformed",
    "two_payloads",
    "wrong_type",
    "unknown_key",
    "signature_invalid",
    "revoked_key",
    "retired_key",
    "expired_key",
    "not_yet_valid_key",
    "signed_in_future",
    "subject_mismatch",
    "predicate_mismatch",
    "revision_mismatch",
]
"""Why a signed statement is refused; stable, for policies, records and tests.

===================  ==================================================================================================
malformed            it cannot be read: not JSON, over a limit, a field missing or of another shape
two_payloads         it can be read in two ways: two contents, several signatures, a key of JSON given twice
wrong_type           it is something else: another bundle version, payload type or statement type
unknown_key          the key it names is not trusted here
signature_invalid    payload, its type or the signature was changed, or another key made it
revoked_key          its key was revoked, whenever it was signed
retired_key          it was signed after its key was retired, or does not say when
expired_key          its key's validity is over
not_yet_valid_key    its key's validity had not begun
signed_in_future     it says that it was signed later than now
subject_mismatch     it is about something else
predicate_mismatch   it is of another predicate type
revision_mismatch    it is of another revision, project, run or step: a replay
===================  ==================================================================================================
"""


class VerificationError(MaestroError):
    """A signed statement is refused.

    Args:
        what: one sentence.
        code: why, for programs.
    """

    def __init__(
        self, what: str, *, code: RefusalCode, where: Location | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.code: RefusalCode = code


class KeyUnusableError(InputError):
    """A signing key or the trust file cannot be used as it is. Never says a passphrase or a PIN."""


class SigningError(MaestroError):
    """A signer could not sign: the token or the service behind it said no."""

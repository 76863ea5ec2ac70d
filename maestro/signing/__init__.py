"""Statements, envelopes and keys: in-toto Statement v1, DSSE, Sigstore bundles, and whom to trust.

``statement`` says what about which bytes, ``origin`` of which revision; ``signer`` opens a key by URI and signs
(``key_file``, ``pkcs11_signer``, ``kms``); ``bundle`` is how that is passed on; ``trust`` and ``verify`` decide what
counts; ``key_folder`` keeps a project's own keys. Cryptography is loaded when something is signed or verified.
"""

from maestro.signing.bundle import BUNDLE_MEDIA_TYPE, PAYLOAD_TYPE, Bundle, parse_bundle, pre_authentication_encoding
from maestro.signing.errors import KeyUnusableError, RefusalCode, SigningError, VerificationError
from maestro.signing.origin import Origin
from maestro.signing.public_key import PublicKey
from maestro.signing.signer import Signer, open_signer, sign_statement
from maestro.signing.statement import (
    MAX_STATEMENT_BYTES,
    STATEMENT_TYPE,
    ResourceDescriptor,
    Statement,
    make_statement,
    parse_statement,
)
from maestro.signing.trust import TrustedKey, TrustRoot
from maestro.signing.verify import Verified, check_predicate, check_revision, check_subject, verify_bundle

__all__ = [
    "BUNDLE_MEDIA_TYPE",
    "MAX_STATEMENT_BYTES",
    "PAYLOAD_TYPE",
    "STATEMENT_TYPE",
    "Bundle",
    "KeyUnusableError",
    "Origin",
    "PublicKey",
    "RefusalCode",
    "ResourceDescriptor",
    "Signer",
    "SigningError",
    "Statement",
    "TrustRoot",
    "TrustedKey",
    "VerificationError",
    "Verified",
    "check_predicate",
    "check_revision",
    "check_subject",
    "make_statement",
    "open_signer",
    "parse_bundle",
    "parse_statement",
    "pre_authentication_encoding",
    "sign_statement",
    "verify_bundle",
]

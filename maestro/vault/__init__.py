"""The evidence vault: objects nobody can delete or change before their time.

A bucket with S3 Object Lock, whose server is probed before anything in it is called immutable; or a folder, which never
is. Importing this package loads no storage library; opening a vault in a bucket does.
"""

from maestro.vault.address import BucketAddress
from maestro.vault.errors import (
    NotImmutableError,
    VaultConflictError,
    VaultCorruptError,
    VaultError,
    VaultMissingError,
    VaultUnavailableError,
)
from maestro.vault.locked import Hold, Locked
from maestro.vault.opening import open_vault
from maestro.vault.report import ProbeCheck, ProbeReport
from maestro.vault.retention import retention_table
from maestro.vault.vault import Vault

__all__ = [
    "BucketAddress",
    "Hold",
    "Locked",
    "NotImmutableError",
    "ProbeCheck",
    "ProbeReport",
    "Vault",
    "VaultConflictError",
    "VaultCorruptError",
    "VaultError",
    "VaultMissingError",
    "VaultUnavailableError",
    "open_vault",
    "retention_table",
]

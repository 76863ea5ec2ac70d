"""What can go wrong with locked evidence.

::

    MaestroError
    └── VaultError               the vault refuses, or its server cannot be used as it is set up
        ├── VaultUnavailableError    the server does not answer
        ├── VaultMissingError        nothing is locked under this key
        ├── VaultConflictError       other bytes are already locked under this key
        ├── VaultCorruptError        the bytes are not those of their digest
        └── NotImmutableError        the server lets what is locked be deleted or changed
"""

from __future__ import annotations

from maestro.errors import MaestroError


class VaultError(MaestroError):
    """The vault refuses, or its server cannot be used as it is set up."""


class VaultUnavailableError(VaultError):
    """The vault's server does not answer."""


class VaultMissingError(VaultError):
    """Nothing is locked under this key."""

    def __init__(self, key: str, vault: str) -> None:
        super().__init__(
            f"nothing is locked under {key!r} in the vault {vault}",
            next_step="check the key, and that this is the vault the evidence was written to",
        )


class VaultConflictError(VaultError):
    """Other bytes are already locked under this key."""

    def __init__(self, key: str, vault: str, locked: str, offered: str) -> None:
        super().__init__(
            f"{key!r} is already locked in the vault {vault} with other content: sha256:{locked}, not sha256:{offered}",
            next_step="write it under another key: what is locked is never replaced",
        )


class VaultCorruptError(VaultError):
    """The bytes are not those of their digest."""

    def __init__(self, key: str, vault: str, recorded: str, found: str) -> None:
        super().__init__(
            f"{key!r} in the vault {vault} is corrupt: sha256:{found}, but sha256:{recorded} was recorded",
            next_step="do not rely on it; find out who can write to the vault's storage",
        )


class NotImmutableError(VaultError):
    """The server lets what is locked be deleted or changed, or nobody knows."""

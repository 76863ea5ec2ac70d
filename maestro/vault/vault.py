"""What every vault offers, whatever holds the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from maestro.vault.locked import Hold, Locked
from maestro.vault.report import ProbeReport


class Vault(Protocol):
    """Write-once storage. A key has the bytes that were locked first, for good.

    All raise InputError for a key or a time that cannot be used, and VaultError with its kinds
    (:mod:`maestro.vault.errors`) when the storage refuses, does not answer, or holds other bytes than it should.
    """

    @property
    def where(self) -> str:
        """The vault as people read it, without credentials."""
        ...

    @property
    def immutable(self) -> bool:
        """Nobody can delete or change what is locked here, as a probe of the server showed. Probes when needed."""
        ...

    def put(
        self,
        key: str,
        data: bytes,
        *,
        evidence_type: str,
        retention: timedelta | None = None,
        at: datetime | None = None,
    ) -> Locked:
        """Lock ``data`` under ``key`` and read it back.

        The same bytes again change nothing but, when asked for longer, the end of the lock; give the same ``at`` again
        and nothing changes at all.

        Args:
            key: a relative path.
            evidence_type: decides how long (:mod:`maestro.vault.retention`): ``sbom``, ``provenance``, ``checkpoint`` …
            retention: how long instead.
            at: when the retention begins; now when None.

        Raises:
            VaultConflictError: other bytes are locked under ``key``.
        """
        ...

    def get(self, key: str, version: str | None = None) -> bytes:
        """The bytes that were locked first under ``key``, or ``version``; verified against their digest.

        Raises:
            VaultMissingError: there are none.
            VaultCorruptError: they are not what was locked.
        """
        ...

    def status(self, key: str) -> Locked:
        """Until when ``key`` is locked, and what else is to be known of it.

        Raises:
            VaultMissingError: nothing is locked under ``key``.
        """
        ...

    def hold(self, key: str, on: bool, *, reason: str, at: datetime | None = None) -> Locked:
        """Place or lift the legal hold of ``key``; the reason is locked first, as a note of its own."""
        ...

    def holds(self, key: str) -> tuple[Hold, ...]:
        """Every change of the legal hold of ``key``, oldest first."""
        ...

    def extend(self, key: str, until: datetime) -> Locked:
        """Lock ``key`` until ``until``.

        Raises:
            InputError: that is earlier than it is locked now; a lock never becomes shorter.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[Locked]:
        """What is locked under keys that begin with ``prefix``, by key."""
        ...

    def probe(self, *, seconds: int | None = None) -> ProbeReport:
        """Try out whether the server keeps what it promises, and remember the outcome."""
        ...

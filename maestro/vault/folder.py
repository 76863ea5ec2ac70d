"""A vault in a folder: written once and read-only; but whoever may write there can change it, and it says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maestro.artifacts import durable
from maestro.artifacts.keys import part
from maestro.vault.checks import checked_reason, end_of_lock, refuse_shorter
from maestro.vault.errors import VaultConflictError, VaultCorruptError, VaultError, VaultMissingError
from maestro.vault.locked import NO_MODE, Hold, Locked
from maestro.vault.names import RESERVED, aware, checked_key, hold_folder
from maestro.vault.report import ProbeCheck, ProbeReport
from maestro.vault.retention import whole_seconds

CAVEAT = "it lies in a folder, where whoever may write can change or delete it"


@dataclass(frozen=True, slots=True)
class FolderVault:
    """The vault of an installation without a server.

    ``objects/`` has the bytes, ``locks/`` a JSON file for each with its digest, its date and its hold.

    Args:
        folder: absolute.
        table: evidence type -> retention.
    """

    folder: Path
    table: Mapping[str, timedelta]

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def immutable(self) -> bool:
        """Never."""
        return False

    def put(
        self,
        key: str,
        data: bytes,
        *,
        evidence_type: str,
        retention: timedelta | None = None,
        at: datetime | None = None,
    ) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.put`."""
        checked_key(key)
        return self._put(key, data, evidence_type, end_of_lock(self.table, evidence_type, retention, aware(at, "at")))

    def get(self, key: str, version: str | None = None) -> bytes:
        """See :meth:`maestro.vault.vault.Vault.get`."""
        lock = self._lock(checked_key(key))
        if version is not None and version != lock.version_id:
            raise VaultMissingError(f"{key}, version {version}", self.where)
        return self._bytes(key, lock.sha256)

    def status(self, key: str) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.status`."""
        return self._lock(checked_key(key))

    def hold(self, key: str, on: bool, *, reason: str, at: datetime | None = None) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.hold`."""
        lock, moment = self._lock(checked_key(key)), aware(at, "at")
        note = json.dumps(Hold(key, on, checked_reason(reason), moment).to_json()).encode()
        until = end_of_lock(self.table, "hold", None, moment)
        self._put(f"{hold_folder(key)}{moment:%Y%m%dT%H%M%S.%fZ}.json", note, "hold", until)
        return self._write_lock(key, {"sha256": lock.sha256, "legal_hold": on})

    def holds(self, key: str) -> tuple[Hold, ...]:
        """See :meth:`maestro.vault.vault.Vault.holds`."""
        return tuple(
            Hold.from_json(json.loads(self._bytes(one.key, one.sha256)))
            for one in self._all(hold_folder(checked_key(key)))
        )

    def extend(self, key: str, until: datetime) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.extend`."""
        lock, asked = self._lock(checked_key(key)), whole_seconds(aware(until, "until"))
        refuse_shorter(key, lock.until, asked)
        return self._write_lock(key, {"sha256": lock.sha256, "until": asked.isoformat()})

    def list(self, prefix: str = "") -> Iterator[Locked]:
        """See :meth:`maestro.vault.vault.Vault.list`."""
        return (one for one in self._all(prefix) if not one.key.startswith(f"{RESERVED}/"))

    def probe(self, *, seconds: int | None = None) -> ProbeReport:
        """There is nothing to try: no file system keeps its owner from deleting."""
        check = ProbeCheck("delete a locked file", "refused", "accepted", False)
        return ProbeReport(self.where, datetime.now(UTC), (check,), {})

    # --- files -------------------------------------------------------------------------------------------------------

    # One level: so "a" and "a/b" are both keys, as in a bucket.
    def _object_file(self, key: str) -> Path:
        return self.folder / "objects" / part(key)

    def _lock_file(self, key: str) -> Path:
        return self.folder / "locks" / f"{part(key)}.json"

    @property
    def _staging(self) -> Path:
        return self.folder / "staging"

    def _put(self, key: str, data: bytes, evidence_type: str, until: datetime) -> Locked:
        digest = hashlib.sha256(data).hexdigest()
        target = self._object_file(key)
        try:
            if durable.create(target, data, self._staging):
                target.chmod(0o444)
            else:
                found = hashlib.sha256(target.read_bytes()).hexdigest()
                if found != digest:
                    raise VaultConflictError(key, self.where, found, digest)
            first = {"key": key, "sha256": digest, "size": len(data), "evidence_type": evidence_type}
            first |= {"until": until.isoformat(), "legal_hold": False}
            # A writer that died between the two files left no lock; then this one is the first.
            if durable.create(self._lock_file(key), json.dumps(first, indent=2).encode(), self._staging):
                return self._lock(key)
        except OSError as error:
            raise self._cannot("be written", error) from error
        lock = self._lock(key)
        if lock.sha256 != digest:
            raise VaultConflictError(key, self.where, lock.sha256, digest)
        return lock if until <= lock.until else self._write_lock(key, {"sha256": digest, "until": until.isoformat()})

    def _bytes(self, key: str, recorded: str) -> bytes:
        try:
            data = self._object_file(key).read_bytes()
        except FileNotFoundError:
            raise VaultMissingError(key, self.where) from None
        except OSError as error:
            raise self._cannot("be read", error) from error
        found = hashlib.sha256(data).hexdigest()
        if found != recorded:
            raise VaultCorruptError(key, self.where, recorded, found)
        return data

    def _lock(self, key: str) -> Locked:
        return _locked(self._document(self._lock_file(key), key))

    def _document(self, file: Path, key: str) -> dict[str, Any]:
        try:
            document = json.loads(file.read_bytes())
            if part(_locked(document).key) != file.name.removesuffix(".json"):
                raise ValueError("the lock of another key")
        except FileNotFoundError:
            raise VaultMissingError(key, self.where) from None
        except OSError as error:
            raise self._cannot("be read", error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise VaultError(
                f"the lock file {file} of the vault {self.where} cannot be understood",
                next_step="somebody changed it: restore it from a backup, or find out who can write there",
            ) from error
        return dict(document)

    def _write_lock(self, key: str, changes: dict[str, Any]) -> Locked:
        file = self._lock_file(key)
        document = {**self._document(file, key), **changes}
        try:
            durable.replace(file, json.dumps(document, indent=2).encode(), self._staging)
        except OSError as error:
            raise self._cannot("be written", error) from error
        return _locked(document)

    def _all(self, prefix: str) -> Iterator[Locked]:
        # Long keys are cut in file names, but never within the first hundred characters.
        begin = part(prefix)[:100] if prefix else ""
        files = [file for file in self.folder.glob("locks/*.json") if file.name.startswith(begin)]
        found = [_locked(self._document(file, file.name)) for file in files]
        return iter(sorted((one for one in found if one.key.startswith(prefix)), key=lambda one: one.key))

    def _cannot(self, what: str, error: OSError) -> VaultError:
        return VaultError(
            f"the vault {self.where} cannot {what}: {error.strerror or error}",
            next_step="check the folder's permissions and the space on its disk",
        )


def _locked(document: dict[str, Any]) -> Locked:
    until = datetime.fromisoformat(document["until"])
    if until.tzinfo is None:
        raise ValueError("no time zone")
    return Locked(
        key=str(document["key"]),
        version_id=str(document["sha256"]),
        sha256=str(document["sha256"]),
        size=int(document["size"]),
        evidence_type=str(document["evidence_type"]),
        until=until,
        mode=NO_MODE,
        immutable=False,
        legal_hold=document["legal_hold"] is True,
        caveat=CAVEAT,
    )

"""A vault in a bucket with Object Lock: every object in compliance mode, read by its first locked version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import urlencode

from maestro.vault.address import BucketAddress
from maestro.vault.checks import checked_reason, end_of_lock, refuse_shorter
from maestro.vault.client import error_code, is_absent, told
from maestro.vault.errors import NotImmutableError, VaultConflictError, VaultCorruptError, VaultError, VaultMissingError
from maestro.vault.locked import COMPLIANCE, Hold, Locked
from maestro.vault.names import RESERVED, aware, checked_key, hold_folder
from maestro.vault.probe import SECONDS, run_probe
from maestro.vault.report import ProbeReport, recall, remember
from maestro.vault.retention import whole_seconds
from maestro.vault.versions import SHA256, TYPE, first_locked, versions_under
from maestro.vault.wire import checksums, sha256_base64


@dataclass(slots=True)
class BucketVault:
    """The vault in a bucket.

    Args:
        address: where.
        client: of :func:`maestro.vault.client.open_client`.
        table: evidence type -> retention.
        probes: folder in which the outcome of probes is remembered.
        good_for: how long an outcome counts.
        seconds: retention of a probe's objects.
    """

    address: BucketAddress
    client: Any
    table: Mapping[str, timedelta]
    probes: Path
    good_for: timedelta
    seconds: int = SECONDS
    _report: ProbeReport | None = field(default=None, init=False)
    _asking: RLock = field(default_factory=RLock, init=False, repr=False)

    @property
    def where(self) -> str:
        """The address, without credentials."""
        return str(self.address)

    @property
    def immutable(self) -> bool:
        """The last probe passed; see :meth:`contract`."""
        return self.contract().passed

    def contract(self) -> ProbeReport:
        """What is known of the server: the remembered outcome while it counts, else a new probe.

        Raises:
            VaultError: it has to be probed and cannot be reached.
        """
        # Steps that run at once and find nothing known wait for one probe instead of making one each.
        with self._asking:
            known = self._report or recall(self.probes, self.where)
            if known is None or not known.is_fresh(datetime.now(UTC), self.good_for):
                return self.probe()
            self._report = known
            return known

    def probe(self, *, seconds: int | None = None) -> ProbeReport:
        """See :meth:`maestro.vault.vault.Vault.probe`; takes about ``seconds``, 10 when None."""
        self._report = run_probe(self.client, self.address, seconds=seconds or self.seconds)
        remember(self.probes, self._report)
        return self._report

    def require_immutable(self) -> None:
        """Raises NotImmutableError, with what the server let happen, unless it is immutable."""
        report = self.contract()
        if not report.passed:
            raise NotImmutableError(
                report.text(), next_step="use a server that enforces Object Lock; docs/vault.md names some"
            )

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
        lock = self._first(checked_key(key))
        if version is not None and version != lock.version_id:
            return self._bytes(key, version, None)
        return self._bytes(key, lock.version_id, lock.sha256)

    def status(self, key: str) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.status`."""
        return self._first(checked_key(key))

    def hold(self, key: str, on: bool, *, reason: str, at: datetime | None = None) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.hold`."""
        lock, moment = self._first(checked_key(key)), aware(at, "at")
        note = json.dumps(Hold(key, on, checked_reason(reason), moment).to_json()).encode()
        until = end_of_lock(self.table, "hold", None, moment)
        self._put(f"{hold_folder(key)}{moment:%Y%m%dT%H%M%S.%fZ}.json", note, "hold", until)
        with told(self.address, f"change the legal hold of {key!r}"):
            self.client.put_object_legal_hold(**self._at(lock), LegalHold={"Status": "ON" if on else "OFF"})
        return self._confirmed(key, lambda now: now.legal_hold is on, "the legal hold did not change")

    def holds(self, key: str) -> tuple[Hold, ...]:
        """See :meth:`maestro.vault.vault.Vault.holds`."""
        return tuple(
            Hold.from_json(json.loads(self._bytes(one.key, one.version_id, one.sha256)))
            for one in self._all(hold_folder(checked_key(key)))
        )

    def extend(self, key: str, until: datetime) -> Locked:
        """See :meth:`maestro.vault.vault.Vault.extend`."""
        lock, asked = self._first(checked_key(key)), whole_seconds(aware(until, "until"))
        refuse_shorter(key, lock.until, asked)
        return self._extend(lock, asked) if asked > lock.until else lock

    def list(self, prefix: str = "") -> Iterator[Locked]:
        """See :meth:`maestro.vault.vault.Vault.list`; one request for each key beside the listing."""
        return (one for one in self._all(prefix) if not one.key.startswith(f"{RESERVED}/"))

    # --- reading -----------------------------------------------------------------------------------------------------

    def _caveat(self) -> str | None:
        report = self.contract()
        return None if report.passed else report.text()

    def _find(self, key: str) -> tuple[Locked | None, bool]:
        """The first locked version of ``key``, and whether anything at all is stored under it."""
        for versions in versions_under(self.client, self.address, self.address.key(key), only=True):
            found = first_locked(self.client, self.address, versions, caveat=self._caveat(), name=key)
            return found, bool(versions.version_ids)
        return None, False

    def _first(self, key: str) -> Locked:
        found, _anything = self._find(key)
        if found is None:
            raise VaultMissingError(key, self.where)
        return found

    def _all(self, prefix: str) -> Iterator[Locked]:
        # With a prefix of the bucket the listing must not run into a neighbour that begins with the same letters.
        for versions in versions_under(self.client, self.address, self.address.key(prefix)):
            name = self.address.name(versions.key)
            found = first_locked(self.client, self.address, versions, caveat=self._caveat(), name=name)
            if found is not None:
                yield found

    def _bytes(self, key: str, version: str, recorded: str | None) -> bytes:
        with told(self.address, f"give {key!r}"):
            try:
                answer = self.client.get_object(
                    Bucket=self.address.bucket, Key=self.address.key(key), VersionId=version
                )
                data = bytes(answer["Body"].read())
            except self.client.exceptions.ClientError as error:
                # Some servers call a version they never gave out an invalid argument.
                if is_absent(error) or error_code(error) == "InvalidArgument":
                    raise VaultMissingError(f"{key}, version {version}", self.where) from error
                raise
        expected = recorded if recorded is not None else str(answer.get("Metadata", {}).get(SHA256, ""))
        found = hashlib.sha256(data).hexdigest()
        if found != expected:
            raise VaultCorruptError(key, self.where, expected or "nothing", found)
        return data

    # --- writing -----------------------------------------------------------------------------------------------------

    def _put(self, key: str, data: bytes, evidence_type: str, until: datetime) -> Locked:
        digest = hashlib.sha256(data).hexdigest()
        lock, anything = self._find(key)
        if lock is None:
            self._write(key, data, digest, evidence_type, until, alone=not anything)
            # Whoever locked first counts, also when two wrote at once.
            lock = self._first(key)
        if lock.sha256 != digest:
            raise VaultConflictError(key, self.where, lock.sha256 or "unknown", digest)
        self._bytes(key, lock.version_id, digest)
        return self._extend(lock, until) if until > lock.until else lock

    def _write(self, key: str, data: bytes, digest: str, evidence_type: str, until: datetime, *, alone: bool) -> None:
        more: dict[str, Any] = {}
        if self.address.kms_key:
            more |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.address.kms_key}
        if alone and self.contract().features.get("conditional_writes"):
            more["IfNoneMatch"] = "*"
        with told(self.address, f"lock {key!r}"):
            try:
                answer = self.client.put_object(
                    Bucket=self.address.bucket,
                    Key=self.address.key(key),
                    Body=data,
                    Metadata={SHA256: digest, TYPE: evidence_type},
                    Tagging=urlencode({TYPE: evidence_type}),
                    ObjectLockMode=COMPLIANCE,
                    ObjectLockRetainUntilDate=until,
                    **checksums(data),
                    **more,
                )
            except self.client.exceptions.ClientError as error:
                if error_code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return
                raise
            head = self.client.head_object(
                Bucket=self.address.bucket,
                Key=self.address.key(key),
                VersionId=answer.get("VersionId"),
                ChecksumMode="ENABLED",
            )
        self._check_written(key, head, data, until)

    def _check_written(self, key: str, head: Mapping[str, Any], data: bytes, until: datetime) -> None:
        wrong = None
        if head.get("ObjectLockMode") != COMPLIANCE or head.get("ObjectLockRetainUntilDate", until) < until:
            wrong = "it was stored without the lock"
        elif head["ContentLength"] != len(data) or head.get("ChecksumSHA256", sha256_base64(data)) != sha256_base64(
            data
        ):
            wrong = "other bytes were stored"
        elif self.address.kms_key and head.get("ServerSideEncryption") != "aws:kms":
            wrong = "it was stored without encryption by the key"
        if wrong:
            raise VaultError(
                f"the vault {self.where} accepted {key!r}, but {wrong}",
                next_step="do not rely on this server; run python -m maestro.vault.deploy --probe",
            )

    def _extend(self, lock: Locked, until: datetime) -> Locked:
        with told(self.address, f"extend the lock of {lock.key!r}"):
            self.client.put_object_retention(**self._at(lock), Retention={"Mode": COMPLIANCE, "RetainUntilDate": until})
        return self._confirmed(lock.key, lambda now: now.until >= until, "the end of the lock did not change")

    def _confirmed(self, key: str, holds: Any, otherwise: str) -> Locked:
        now = self._first(key)
        if not holds(now):
            raise VaultError(
                f"the vault {self.where} accepted a change of {key!r}, but {otherwise}",
                next_step="do not rely on this server; run python -m maestro.vault.deploy --probe",
            )
        return now

    def _at(self, lock: Locked) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self.address.key(lock.key), "VersionId": lock.version_id}

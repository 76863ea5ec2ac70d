"""How one thing is tried on a server: a locked object of its own, the attempt, and a look at what is left."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from maestro.vault.address import BucketAddress
from maestro.vault.client import error_code, http_status
from maestro.vault.errors import VaultError
from maestro.vault.locked import COMPLIANCE
from maestro.vault.names import PROBES
from maestro.vault.report import ProbeCheck
from maestro.vault.retention import whole_seconds
from maestro.vault.wire import checksums

BYTES = b"maestro probe"
OTHER = b"something else"
REFUSED, ACCEPTED = "refused", "accepted"


class Trial:
    """What the parts of a probe share: the objects it makes, and the checks so far."""

    def __init__(self, client: Any, address: BucketAddress, seconds: int) -> None:
        self.client = client
        self.address = address
        self.seconds = seconds
        self.folder = address.key(f"{PROBES}{uuid.uuid4().hex}/")
        self.checks: list[ProbeCheck] = []
        self.found: dict[str, bool] = {}
        self.latest = datetime.now(UTC)
        # The server's clock counts: its locks end when it says so.
        self.ahead = timedelta(0)

    def attack(self, name: str, act: Callable[[dict[str, str], datetime], Any]) -> None:
        """Must be refused. ``act`` gets the arguments that name the version, and the end of its lock."""
        at, until = self.locked_object(name)
        self.check(name, REFUSED, lambda: act(at, until))
        self._must_be_intact(at, until)

    def harmless(self, name: str, act: Callable[[dict[str, str], datetime], Any]) -> None:
        """May be accepted or refused, as long as the locked version stays."""
        at, until = self.locked_object(name)
        self.check(name, ACCEPTED, lambda: act(at, until))
        answer = self.checks.pop()
        self.checks.append(ProbeCheck(name, "the locked version stays", answer.got, not answer.got.startswith("error")))
        self._must_be_intact(at, until)

    def _must_be_intact(self, at: dict[str, str], until: datetime) -> None:
        last = self.checks[-1]
        if not last.passed:
            return
        if self.now() >= until:
            self.checks[-1] = ProbeCheck(last.name, last.expected, "too slow to tell, the retention is over", False)
            return
        try:
            answer = self.client.get_object(**at)
            body = answer["Body"].read()
        except self.client.exceptions.ClientError as error:
            self.checks[-1] = ProbeCheck(last.name, last.expected, f"version lost ({error_code(error)})", False)
            return
        same = body == BYTES and answer.get("ObjectLockMode") == COMPLIANCE
        if not same or answer.get("ObjectLockRetainUntilDate") != until:
            self.checks[-1] = ProbeCheck(last.name, last.expected, f"{last.got}, but the version changed", False)

    def check(self, name: str, expected: str, act: Callable[[], Any]) -> None:
        """Note what the server answers to ``act``."""
        try:
            act()
        except self.client.exceptions.ClientError as error:
            word = REFUSED if 400 <= http_status(error) < 500 else "error"
            self.checks.append(ProbeCheck(name, expected, f"{word} ({error_code(error)})", word == expected))
        else:
            self.checks.append(ProbeCheck(name, expected, ACCEPTED, expected == ACCEPTED))

    def is_refused(self, act: Callable[[], Any]) -> bool:
        """The server refuses ``act``."""
        try:
            act()
        except self.client.exceptions.ClientError as error:
            return 400 <= http_status(error) < 500
        return False

    def state(self, name: str, expected: str, got: str | None) -> None:
        """Note a state that was found."""
        self.checks.append(ProbeCheck(name, expected, got or "not set", got == expected))

    def now(self) -> datetime:
        """The server's time, about."""
        return datetime.now(UTC) + self.ahead

    def next_until(self) -> datetime:
        """The end of a lock that begins now; the probe waits for it."""
        until = whole_seconds(self.now() + timedelta(seconds=self.seconds))
        self.latest = max(self.latest, until)
        return until

    def locked_object(self, name: str) -> tuple[dict[str, str], datetime]:
        """A locked object of its own: the arguments that name its version, and the end of its lock."""
        until = self.next_until()
        key = name.replace(" ", "-").replace(",", "")
        version = self.put(key, BYTES, until=until).get("VersionId")
        if not version:
            raise VaultError(
                f"the vault {self.address} cannot be probed: its server gives objects no versions",
                next_step="use a server with versioning and Object Lock",
            )
        return {"Bucket": self.address.bucket, "Key": f"{self.folder}{key}", "VersionId": version}, until

    def put(
        self,
        key: str,
        body: bytes,
        *,
        until: datetime | None = None,
        wrong: dict[str, str] | None = None,
        **more: str,
    ) -> Any:
        """Write a locked object of the probe.

        Args:
            key: within the probe's folder.
            until: end of its lock.
            wrong: checksums to send in place of the right ones.
            more: further arguments.
        """
        if self.address.kms_key:
            more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.address.kms_key, **more}
        return self.client.put_object(
            Bucket=self.address.bucket,
            Key=key if key.startswith(self.folder) else f"{self.folder}{key}",
            Body=body,
            ObjectLockMode=COMPLIANCE,
            ObjectLockRetainUntilDate=until or self.next_until(),
            **{**checksums(body), **(wrong or {})},
            **more,
        )

    def delete_in_batch(self, at: dict[str, str]) -> None:
        """DeleteObjects, whose refusals are inside an answer of success."""
        named = {"Key": at["Key"], "VersionId": at["VersionId"]}
        answer = self.client.delete_objects(
            Bucket=at["Bucket"], Delete={"Objects": [named]}, BypassGovernanceRetention=True
        )
        for error in answer.get("Errors", []):
            status = 500 if error.get("Code") in ("InternalError", "ServiceUnavailable", "SlowDown") else 403
            response = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise self.client.exceptions.ClientError(response, "DeleteObjects")

    def hold(self, at: dict[str, str], status: str) -> Any:
        """Set the legal hold to ``ON`` or ``OFF``."""
        return self.client.put_object_legal_hold(**at, LegalHold={"Status": status})

    def hold_lift_delete(self, at: dict[str, str]) -> None:
        """What somebody might try who may lift holds."""
        for status in ("ON", "OFF"):
            self.hold(at, status)
        self.client.delete_object(**at)

    def delete_all(self) -> str | None:
        """Delete every version and marker of the probe; what the first refusal was, None when there was none."""
        failed = None
        try:
            pages = self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.address.bucket, Prefix=self.folder
            )
            found = [one for page in pages for part in ("Versions", "DeleteMarkers") for one in page.get(part, [])]
        except Exception as error:  # noqa: BLE001  cleaning up hides no other error
            return f"cannot be listed ({error_code(error)})"
        for one in found:
            try:
                self.client.delete_object(Bucket=self.address.bucket, Key=one["Key"], VersionId=one["VersionId"])
            except Exception as error:  # noqa: BLE001  cleaning up hides no other error
                failed = failed or f"refused ({error_code(error)})"
        return failed


def lock_until(until: datetime) -> dict[str, Any]:
    """A retention in compliance mode, as S3 takes it."""
    return {"Mode": COMPLIANCE, "RetainUntilDate": until}


def without_version(at: dict[str, str]) -> dict[str, str]:
    """The arguments that name a key alone."""
    return {"Bucket": at["Bucket"], "Key": at["Key"]}

"""Tries to break the locks of a server, on objects of its own whose retention is a few seconds.

Each attack has an object to itself, so one that succeeds does not hide another. An attack counts as withstood only if
the server refuses it by its own word (a 4xx answer) and the version is still there afterwards with the same bytes and
lock. That the refusals come from the lock, and not from missing permissions, is shown at the end: once the retention is
over, the same credentials delete every object of the probe.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from maestro.vault.address import BucketAddress
from maestro.vault.client import told
from maestro.vault.report import ProbeCheck, ProbeReport
from maestro.vault.trial import ACCEPTED, BYTES, OTHER, REFUSED, Trial, lock_until, without_version
from maestro.vault.wire import sha256_base64

SECONDS = 10
"""Retention of the probe's objects unless told otherwise: each must outlast three requests."""


def run_probe(client: Any, address: BucketAddress, *, seconds: int = SECONDS) -> ProbeReport:
    """Try the contract of the server at ``address``; takes ``seconds`` and some sixty requests.

    Args:
        client: of :func:`maestro.vault.client.open_client`.
        seconds: retention of the objects, at least 2.

    Raises:
        VaultError: the bucket cannot be reached or used at all, so nothing is known.
    """
    probe = _Probe(client, address, max(seconds, 2))
    with told(address, "be probed"):
        probe.bucket()
        if all(check.passed for check in probe.checks):
            try:
                probe.attacks()
                probe.extend()
                probe.features()
                held = probe.place_hold()
                probe.suspend_versioning()
                probe.wait()
                probe.holds_outlast(held)
            finally:
                # Once more, when it broke off; what cannot be deleted yet is left to the bucket's lifecycle.
                probe.delete_all()
    return ProbeReport(str(address), datetime.now(UTC).replace(microsecond=0), tuple(probe.checks), probe.found)


class _Probe(Trial):
    def bucket(self) -> None:
        answer = self.client.get_object_lock_configuration(Bucket=self.address.bucket)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date:
            self.ahead = parsedate_to_datetime(date) - datetime.now(UTC)
        locked = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
        self.state("Object Lock of the bucket", "Enabled", locked)
        versioning = self.client.get_bucket_versioning(Bucket=self.address.bucket).get("Status")
        self.state("versioning of the bucket", "Enabled", versioning)

    def attacks(self) -> None:
        delete, retention = self.client.delete_object, self.client.put_object_retention
        second, day = timedelta(seconds=1), timedelta(days=1)
        bypass = {"BypassGovernanceRetention": True}
        self.attack("delete a locked version", lambda at, until: delete(**at))
        self.attack("delete a locked version, bypassing governance", lambda at, until: delete(**at, **bypass))
        self.attack("delete a locked version in a batch", lambda at, until: self.delete_in_batch(at))
        self.attack(
            "shorten a retention by one second", lambda at, until: retention(**at, Retention=lock_until(until - second))
        )
        self.attack(
            "shorten a retention, bypassing governance",
            lambda at, until: retention(**at, Retention=lock_until(until - second), **bypass),
        )
        self.attack(
            "move the end of a retention into the past",
            lambda at, until: retention(**at, Retention=lock_until(until - day), **bypass),
        )
        self.attack(
            "change the mode of a lock to governance",
            lambda at, until: retention(**at, Retention={**lock_until(until), "Mode": "GOVERNANCE"}, **bypass),
        )
        self.attack("remove a retention", lambda at, until: retention(**at, Retention={}, **bypass))
        self.attack("delete after a legal hold was lifted", lambda at, until: self.hold_lift_delete(at))
        self.harmless("overwrite a locked key", lambda at, until: self.put(at["Key"], OTHER))
        self.harmless("delete a locked key without naming a version", lambda at, until: delete(**without_version(at)))
        past = self.now() - day
        self.check("write with a retention in the past", REFUSED, lambda: self.put("past", BYTES, until=past))

    def extend(self) -> None:
        at, until = self.locked_object("extended")
        later = until + timedelta(seconds=1)
        self.latest = max(self.latest, later)
        self.check(
            "extend a retention", ACCEPTED, lambda: self.client.put_object_retention(**at, Retention=lock_until(later))
        )

    def features(self) -> None:
        """What need not be, and is used when it is there."""
        until = self.next_until()
        refused = [
            self.is_refused(partial(self.put, "once", body, until=until, IfNoneMatch="*")) for body in (BYTES, OTHER)
        ]
        self.found["conditional_writes"] = refused == [False, True]
        wrong = {"ChecksumSHA256": sha256_base64(OTHER)}
        self.found["checksums"] = self.is_refused(lambda: self.put("checksum", BYTES, until=until, wrong=wrong))

    def place_hold(self) -> dict[str, str]:
        at, _until = self.locked_object("held")
        self.check("place a legal hold", ACCEPTED, lambda: self.hold(at, "ON"))
        return at

    def suspend_versioning(self) -> None:
        """Last, and only on a server that withstood the rest: it concerns the whole bucket."""
        name = "suspend versioning"
        if any(not check.passed for check in self.checks):
            self.checks.append(ProbeCheck(name, REFUSED, "not tried after the failures above", False))
            return
        suspended = {"Bucket": self.address.bucket, "VersioningConfiguration": {"Status": "Suspended"}}
        self.check(name, REFUSED, lambda: self.client.put_bucket_versioning(**suspended))
        if not self.checks[-1].passed:
            with told(self.address, "have its versioning enabled again"):
                self.client.put_bucket_versioning(**{**suspended, "VersioningConfiguration": {"Status": "Enabled"}})

    def wait(self) -> None:
        """Until every retention of the probe is over, by the server's clock."""
        left = (self.latest - self.now()).total_seconds() + 1
        time.sleep(min(max(left, 0.0), self.seconds + 10.0))

    def holds_outlast(self, at: dict[str, str]) -> None:
        self.check("delete under a legal hold after the retention", REFUSED, lambda: self.client.delete_object(**at))
        self.check("lift a legal hold", ACCEPTED, lambda: self.hold(at, "OFF"))
        self.check("delete after retention and hold ended", ACCEPTED, lambda: self.client.delete_object(**at))
        left = self.delete_all()
        if left:
            # Refusals prove nothing of credentials that may not delete at all.
            self.checks.append(ProbeCheck("delete all objects of the probe", ACCEPTED, left, False))

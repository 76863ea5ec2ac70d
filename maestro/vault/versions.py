"""The versions under the keys of a bucket, oldest first: what was locked first is what counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maestro.vault.address import BucketAddress
from maestro.vault.client import is_absent, told
from maestro.vault.locked import COMPLIANCE, Locked

SHA256 = "maestro-sha256"
TYPE = "maestro-evidence-type"


@dataclass(frozen=True, slots=True)
class KeyVersions:
    """Everything stored under one key.

    Args:
        key: of the bucket.
        version_ids: oldest first, without delete markers.
        markers: how many times the key was deleted.
    """

    key: str
    version_ids: tuple[str, ...]
    markers: int


def versions_under(client: Any, address: BucketAddress, prefix: str, *, only: bool = False) -> Iterator[KeyVersions]:
    """The keys of the bucket that begin with ``prefix``, in the order of the listing.

    Args:
        prefix: of the bucket's keys; with ``only`` the one key.

    Raises:
        VaultError: the bucket cannot be listed.
    """
    current: str | None = None
    found: list[str] = []
    markers = 0
    with told(address, "be listed"):
        pages = client.get_paginator("list_object_versions").paginate(Bucket=address.bucket, Prefix=prefix)
        for page in pages:
            # Two lists, each by key and newest first; a page may end within a key's versions.
            for key, entries in _by_key(page):
                if key != current:
                    if current is not None:
                        yield KeyVersions(current, tuple(reversed(found)), markers)
                    if only and key != prefix:
                        return
                    current, found, markers = key, [], 0
                found += [one["VersionId"] for one in entries if "ETag" in one]
                markers += sum("ETag" not in one for one in entries)
    if current is not None:
        yield KeyVersions(current, tuple(reversed(found)), markers)


def first_locked(
    client: Any, address: BucketAddress, versions: KeyVersions, *, caveat: str | None, name: str
) -> Locked | None:
    """The oldest version that was written with a lock in compliance mode; None when there is none.

    Args:
        caveat: why the server's locks are no locks; None when they are.
        name: the vault's name of the key.
    """
    for place, version_id in enumerate(versions.version_ids):
        with told(address, f"say how {name!r} is locked"):
            try:
                head = client.head_object(
                    Bucket=address.bucket, Key=versions.key, VersionId=version_id, ChecksumMode="ENABLED"
                )
            except client.exceptions.ClientError as error:
                # Deleted since it was listed: it was not locked any more.
                if is_absent(error):
                    continue
                raise
        if head.get("ObjectLockMode") == COMPLIANCE:
            hidden = versions.markers > 0 or place < len(versions.version_ids) - 1
            return _locked(name, version_id, head, hidden=hidden, caveat=caveat)
    return None


def _locked(name: str, version_id: str, head: Mapping[str, Any], *, hidden: bool, caveat: str | None) -> Locked:
    said = head.get("Metadata", {})
    return Locked(
        key=name,
        version_id=version_id,
        # Empty when the vault did not write it: no bytes have that digest, so it is never taken for evidence.
        sha256=str(said.get(SHA256, "")),
        size=int(head["ContentLength"]),
        evidence_type=str(said.get(TYPE, "unknown")),
        until=head["ObjectLockRetainUntilDate"],
        mode=COMPLIANCE,
        immutable=caveat is None,
        legal_hold=head.get("ObjectLockLegalHoldStatus") == "ON",
        hidden=hidden,
        caveat=caveat,
    )


def _by_key(page: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    grouped: dict[str, list[Any]] = {}
    for part in ("Versions", "DeleteMarkers"):
        for one in page.get(part, []):
            grouped.setdefault(one["Key"], []).append(one)
    # Bytewise, as S3 lists.
    return iter(sorted(grouped.items(), key=lambda item: item[0].encode()))

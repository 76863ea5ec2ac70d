"""What a bucket's lifecycle rules do to what is locked: nothing. On a gateway of its own, for they are applied to all its buckets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from maestro.vault import BucketAddress
from maestro.vault.client import open_client
from maestro.vault.wire import checksums
from tests.integration.rgw_server import rgw_server

TURNS = 20


def test_lifecycle_rules_delete_what_is_free_and_nothing_that_is_locked_or_held() -> None:
    with rgw_server() as rgw:
        address = BucketAddress.parse(f"s3://aging?endpoint={rgw.tls_endpoint}")
        owner = open_client(address, rgw.environ("admin"))
        owner.create_bucket(Bucket="aging", ObjectLockEnabledForBucket=True)
        lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(hours=1)}
        for key, more in (("locked", lock), ("held", {"ObjectLockLegalHoldStatus": "ON"}), ("free", {})):
            owner.put_object(Bucket="aging", Key=key, Body=b"x", **checksums(b"x"), **more)
            owner.delete_object(Bucket="aging", Key=key)
        rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}}
        expiring = {**rule, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
        owner.put_bucket_lifecycle_configuration(Bucket="aging", LifecycleConfiguration={"Rules": [expiring]})
        left = {"free"}
        for _turn in range(TURNS):
            rgw.run_lifecycle()
            left = {one["Key"] for one in owner.list_object_versions(Bucket="aging").get("Versions", [])}
            if "free" not in left:
                break
        assert left == {"locked", "held"}

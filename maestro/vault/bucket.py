"""Sets a bucket up for evidence, and says how one differs from its plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from maestro.errors import InputError
from maestro.vault.client import error_code, explain, no_object_lock, told
from maestro.vault.errors import VaultError
from maestro.vault.plan import BucketPlan, bucket_policy, encryption, lifecycle

_CLOSED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing in which a bucket is not as planned.

    Args:
        name: of the thing (``policy statement OnlyTls``).
        expected: what the plan says.
        found: what the server says.
    """

    name: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.name}: {self.found}, not {self.expected}"


def prepare_bucket(client: Any, plan: BucketPlan) -> tuple[Deviation, ...]:
    """Make the bucket of ``plan`` if it is not there, set it up, and say what the server did not take.

    Run it as the bucket's owner, not as CI; it can be run again.

    Args:
        client: of :func:`maestro.vault.client.open_client`.

    Raises:
        InputError: the plan would shut out the very connection it comes by.
        VaultError: the bucket exists without Object Lock, or cannot be made or set up.
    """
    address = plan.address
    if plan.require_tls and (address.endpoint or "").startswith("http://"):
        raise InputError(
            f"the bucket {address.bucket!r} would refuse this very connection, which is not encrypted",
            next_step="use an https:// endpoint, or --allow-http for a server on this machine",
        )
    bucket = {"Bucket": address.bucket}
    with told(address, "be set up"):
        if not _exists(client, address.bucket):
            region = client.meta.region_name
            elsewhere = address.endpoint is None and region != "us-east-1"
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if elsewhere else {}
            client.create_bucket(**bucket, ObjectLockEnabledForBucket=True, **where)
        if _ask(client.get_object_lock_configuration, bucket) is None:
            raise no_object_lock(address)
        client.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration=lifecycle(plan))
    default = encryption(plan)
    if default:
        _attempt(client, lambda: client.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration=default))
    _close(client, plan)
    return check_bucket(client, plan)


def check_bucket(client: Any, plan: BucketPlan) -> tuple[Deviation, ...]:
    """Every deviation of the bucket from ``plan``; none: it is as planned.

    Raises:
        VaultError: there is no such bucket, or it cannot be asked.
    """
    address = plan.address
    bucket = {"Bucket": address.bucket}
    found: list[Deviation] = []
    with told(address, "be checked"):
        lock = _ask(client.get_object_lock_configuration, bucket)
        enabled = ((lock or {}).get("ObjectLockConfiguration") or {}).get("ObjectLockEnabled")
        found += _differ("Object Lock", "Enabled", enabled)
        found += _differ("versioning", "Enabled", client.get_bucket_versioning(**bucket).get("Status"))
        rules = (_ask(client.get_bucket_lifecycle_configuration, bucket) or {}).get("Rules", [])
        present = {rule.get("ID"): _plain_rule(rule) for rule in rules}
        for rule in lifecycle(plan)["Rules"]:
            found += _differ(f"lifecycle rule {rule['ID']}", _plain_rule(rule), present.get(rule["ID"]))
        policy = _ask(client.get_bucket_policy, bucket)
        found += _policy_differs(plan, json.loads(policy["Policy"]) if policy else {"Statement": []})
        public = (_ask(client.get_public_access_block, bucket) or {}).get("PublicAccessBlockConfiguration", {})
        for name in _CLOSED:
            found += _differ(f"public access, {name}", "on", "on" if public.get(name) else "off")
        if plan.address.kms_key:
            answer = _ask(client.get_bucket_encryption, bucket) or {}
            rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
            default = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in rules]
            found += _differ("default encryption", plan.address.kms_key, default[0] if default else None)
    return tuple(found)


def _close(client: Any, plan: BucketPlan) -> None:
    """Give the bucket its policy, and close it to the public as far as the server can tell what is public."""
    bucket = {"Bucket": plan.address.bucket}
    policy = json.dumps(bucket_policy(plan))

    def block(*names: str) -> None:
        closed = {name: name in names for name in _CLOSED}
        _attempt(client, lambda: client.put_public_access_block(**bucket, PublicAccessBlockConfiguration=closed))

    block(*_CLOSED)
    try:
        client.put_bucket_policy(**bucket, Policy=policy)
    except client.exceptions.ClientError as error:
        if error_code(error) != "AccessDenied":
            raise explain(error, plan.address, "be given its policy") from error
        # Ceph 16 takes every policy that allows anything for a public one, and with BlockPublicAcls every object of
        # another user than the bucket's owner. Public it is not by the policy itself; the check names what is off.
        block("IgnorePublicAcls", "RestrictPublicBuckets")
        try:
            client.put_bucket_policy(**bucket, Policy=policy)
        except client.exceptions.ClientError as again:
            block(*_CLOSED)
            raise explain(again, plan.address, "be given its policy") from again


def _policy_differs(plan: BucketPlan, policy: dict[str, Any]) -> list[Deviation]:
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    present = {one.get("Sid"): _plain(one) for one in statements}
    planned = bucket_policy(plan)["Statement"]
    found: list[Deviation] = []
    for statement in planned:
        found += _differ(f"policy statement {statement['Sid']}", _plain(statement), present.get(statement["Sid"]))
    known = {statement["Sid"] for statement in planned}
    for statement in statements:
        if statement.get("Sid") not in known and statement.get("Effect") == "Allow":
            found.append(
                Deviation(f"policy statement {statement.get('Sid')}", "absent", f"allows {statement.get('Action')}")
            )
    return found


def _differ(name: str, expected: Any, found: Any) -> list[Deviation]:
    if expected == found:
        return []
    shown = [value if isinstance(value, str) else json.dumps(value, sort_keys=True) for value in (expected, found)]
    return [Deviation(name, shown[0], "not set" if found is None else shown[1])]


def _plain(value: Any) -> Any:
    """Policies mean the same with a list of one and without, and in any order."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else sorted(value)
    return value


def _plain_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Servers give the old form (``Prefix``) for the new one (``Filter``)."""
    filtered = {"Prefix": rule["Prefix"]} if "Prefix" in rule else rule.get("Filter", {})
    return {**{key: value for key, value in rule.items() if key != "Prefix"}, "Filter": filtered or {"Prefix": ""}}


def _exists(client: Any, bucket: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def _ask(operation: Callable[..., Any], bucket: dict[str, str]) -> Any:
    """The answer, or None where nothing is set. A missing bucket is an error all the same."""
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # publishes no types

    try:
        return operation(**bucket)
    except ClientError as error:
        code = error_code(error)
        if code.startswith("NoSuch") and code != "NoSuchBucket":
            return None
        if code.endswith(("NotFoundError", "NotImplemented", "MethodNotAllowed")):
            return None
        raise


def _attempt(client: Any, act: Callable[[], Any]) -> None:
    """What a server does not know it refuses; the check tells."""
    try:
        act()
    except client.exceptions.ClientError as error:
        if error_code(error) in ("AccessDenied", "NoSuchBucket"):
            raise VaultError(
                f"the bucket cannot be set up: {error_code(error)}", next_step="run this as the bucket's owner"
            ) from error

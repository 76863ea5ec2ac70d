"""How a bucket of evidence is to be set up, as the documents S3 takes: policy, lifecycle, encryption."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from maestro.errors import InputError
from maestro.vault.address import BucketAddress
from maestro.vault.names import PROBES
from maestro.vault.retention import DEFAULTS
from maestro.vault.versions import TYPE

_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::[A-Za-z0-9-]*:[A-Za-z0-9+=,.@_/-]+\Z")
_AWS_ACCOUNT = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:")
# Days between the end of a retention and the deletion of what is not held.
_GRACE = 30

_WRITE = [
    "s3:AbortMultipartUpload",
    "s3:PutObject",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionTagging",
]
_READ = ["s3:GetObject", "s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectVersion"]
_DELETE = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
_LOOK = [
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:ListBucket",
    "s3:ListBucketVersions",
]


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """The set-up of one bucket.

    Args:
        address: which; its ``kms_key`` makes encryption by that key obligatory.
        principals: ARNs of those who write, CI alone; nobody else may, whatever other policies allow.
        require_tls: refuse requests that are not encrypted on their way.
        expire: delete what is neither locked nor held any more, 30 days after its type's retention.
        table: evidence type -> retention, for ``expire``.
    """

    address: BucketAddress
    principals: tuple[str, ...]
    require_tls: bool = True
    expire: bool = False
    table: Mapping[str, timedelta] = field(default_factory=lambda: DEFAULTS)

    def __post_init__(self) -> None:
        wrong = [one for one in self.principals if not _PRINCIPAL.match(one)]
        if wrong or not self.principals:
            raise InputError(
                f"{wrong[0]!r} is no principal" if wrong else "no principal is named that may write",
                next_step="give an ARN such as arn:aws:iam::111122223333:role/ci, or arn:aws:iam:::user/ci for Ceph",
            )


def bucket_policy(plan: BucketPlan) -> dict[str, Any]:
    """The bucket policy: only the principals write, encrypted on the way and at rest, and locked."""
    bucket = f"arn:aws:s3:::{plan.address.bucket}"
    objects = f"{bucket}/{plan.address.key('*')}"
    statements = [
        _deny("OnlyCiWrites", [*_WRITE, *_DELETE], [f"{bucket}/*"], **_but(plan.principals)),
        # Ceph lets an absent value pass here; then an unlocked version is written, but never read as evidence.
        _deny(
            "OnlyLocked", "s3:PutObject", objects, condition={"StringNotEquals": {"s3:object-lock-mode": "COMPLIANCE"}}
        ),
    ]
    if plan.require_tls:
        both = [bucket, f"{bucket}/*"]
        statements += [
            _deny("OnlyTls", "s3:*", both, condition={"Bool": {"aws:SecureTransport": "false"}}),
            # Ceph says nothing where AWS says false.
            _deny("OnlyKnownTls", "s3:*", both, condition={"Null": {"aws:SecureTransport": "true"}}),
        ]
    if plan.address.kms_key:
        name = "s3:x-amz-server-side-encryption"
        statements += [
            _deny("OnlyEncrypted", "s3:PutObject", objects, condition={"Null": {name: "true"}}),
            _deny("OnlyByKms", "s3:PutObject", objects, condition={"StringNotEquals": {name: "aws:kms"}}),
        ]
    principals = {"AWS": list(plan.principals)}
    probes = f"{bucket}/{plan.address.key(PROBES)}*"
    for sid, actions, resource in (
        ("CiLooks", _LOOK, bucket),
        ("CiWrites", [*_READ, *_WRITE], objects),
        # What the probe writes it also deletes, to show that it is the lock that kept it from doing so before.
        ("CiEndsProbes", _DELETE, probes),
    ):
        statements.append(
            {"Sid": sid, "Effect": "Allow", "Principal": principals, "Action": actions, "Resource": resource}
        )
    return {"Version": "2012-10-17", "Statement": statements}


def lifecycle(plan: BucketPlan) -> dict[str, Any]:
    """The lifecycle rules. None deletes what is locked: servers skip locked versions."""
    everything = plan.address.key("") if plan.address.prefix else ""
    rules: list[dict[str, Any]] = [
        _rule(
            "maestro-abandoned-uploads",
            {"Prefix": everything},
            AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7},
        ),
        _rule("maestro-delete-markers", {"Prefix": everything}, Expiration={"ExpiredObjectDeleteMarker": True}),
        _rule(
            "maestro-probe-leftovers",
            {"Prefix": plan.address.key(PROBES)},
            Expiration={"Days": 1},
            NoncurrentVersionExpiration={"NoncurrentDays": 1},
        ),
    ]
    for name, retention in sorted(plan.table.items()) if plan.expire else ():
        rules.append(
            _rule(
                f"maestro-expire-{name}",
                {"Tag": {"Key": TYPE, "Value": name}},
                Expiration={"Days": retention.days + _GRACE},
                NoncurrentVersionExpiration={"NoncurrentDays": _GRACE},
            )
        )
    return {"Rules": rules}


def encryption(plan: BucketPlan) -> dict[str, Any] | None:
    """The bucket's default encryption; None when no key is given."""
    if not plan.address.kms_key:
        return None
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": plan.address.kms_key}
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": by_key, "BucketKeyEnabled": True}]}


def kms_key_policy(principals: tuple[str, ...], administrators: tuple[str, ...]) -> dict[str, Any]:
    """The policy of the KMS key on AWS: CI encrypts and decrypts with it, administrators only manage it.

    A key that is gone takes all it encrypted with it, locks or not, so nobody may disable it or have it deleted.
    """
    manage = ["kms:Describe*", "kms:EnableKeyRotation", "kms:Get*", "kms:List*", "kms:PutKeyPolicy", "kms:TagResource"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "CiUses",
                "Effect": "Allow",
                "Principal": {"AWS": list(principals)},
                "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                "Resource": "*",
            },
            {
                "Sid": "AdministratorsManage",
                "Effect": "Allow",
                "Principal": {"AWS": list(administrators)},
                "Action": manage,
                "Resource": "*",
            },
            {
                "Sid": "NobodyDeletes",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["kms:DeleteImportedKeyMaterial", "kms:DisableKey", "kms:ScheduleKeyDeletion"],
                "Resource": "*",
            },
        ],
    }


def _deny(
    sid: str,
    action: str | list[str],
    resource: str | list[str],
    *,
    condition: dict[str, Any] | None = None,
    not_principal: dict[str, Any] | None = None,
) -> dict[str, Any]:
    whom = {"NotPrincipal": not_principal} if not_principal else {"Principal": "*"}
    statement = {"Sid": sid, "Effect": "Deny", **whom, "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def _but(principals: tuple[str, ...]) -> dict[str, Any]:
    # AWS knows roles' sessions by aws:PrincipalArn alone; Ceph does not know that name.
    if all(_AWS_ACCOUNT.match(one) for one in principals):
        return {"condition": {"ArnNotLike": {"aws:PrincipalArn": list(principals)}}}
    return {"not_principal": {"AWS": list(principals)}}


def _rule(name: str, matching: dict[str, Any], **actions: Any) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": matching, **actions}

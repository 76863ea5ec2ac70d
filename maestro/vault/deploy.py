"""``python -m maestro.vault.deploy``: the set-up of an evidence bucket, as files, applied to a server, or checked.

::

    python -m maestro.vault.deploy --write deploy/vault                             the examples in the repository
    python -m maestro.vault.deploy --vault URL --principal ARN --write folder       files for another tool
    python -m maestro.vault.deploy --vault URL --principal ARN --apply              as owner: sets the bucket up
    python -m maestro.vault.deploy --vault URL --principal ARN --check              as owner: says what differs
    python -m maestro.vault.deploy --vault URL --principal ARN --probe              as CI: tries to break the locks
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maestro.errors import InputError, MaestroError
from maestro.vault.address import BucketAddress
from maestro.vault.bucket import check_bucket, prepare_bucket
from maestro.vault.client import open_client
from maestro.vault.plan import BucketPlan, bucket_policy, encryption, kms_key_policy, lifecycle
from maestro.vault.probe import run_probe

_EXAMPLE_KEY = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000"
_EXAMPLE_VAULT = f"s3://example-evidence/maestro?region=eu-central-1&kms_key={_EXAMPLE_KEY}"
_EXAMPLE_PRINCIPAL = "arn:aws:iam::111122223333:role/maestro-ci"
_EXAMPLE_ADMINISTRATOR = "arn:aws:iam::111122223333:role/administrators"


def documents(plan: BucketPlan, administrators: tuple[str, ...] = (_EXAMPLE_ADMINISTRATOR,)) -> dict[str, Any]:
    """File name -> JSON document, for ``plan``; those of encryption only with a key."""
    made: dict[str, Any] = {"bucket-policy.json": bucket_policy(plan), "lifecycle.json": lifecycle(plan)}
    default = encryption(plan)
    if default:
        made["encryption.json"] = default
        made["kms-key-policy.json"] = kms_key_policy(plan.principals, administrators)
    return made


def write_documents(plan: BucketPlan, folder: Path) -> list[Path]:
    """Write :func:`documents` into ``folder``; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, document in documents(plan).items():
        file = folder / name
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        files.append(file)
    return files


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The program; the exit code is 1 when a check finds something."""
    try:
        return _run(_parser().parse_args(arguments), environ)
    except MaestroError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m maestro.vault.deploy", description="Set up a bucket for evidence.")
    parser.add_argument("--vault", help="s3://bucket/prefix?endpoint=…&region=…&kms_key=…")
    parser.add_argument("--principal", action="append", help="ARN of who may write; again for more")
    parser.add_argument("--expire", action="store_true", help="delete evidence 30 days after its retention")
    parser.add_argument("--allow-http", action="store_true", help="no TLS, for a server on this machine")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="write the documents as JSON files")
    action.add_argument("--apply", action="store_true", help="make the bucket if needed and set it up")
    action.add_argument("--check", action="store_true", help="say how the bucket differs")
    action.add_argument("--probe", action="store_true", help="try to break the server's locks, on objects of its own")
    return parser


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not options.write and not (options.vault and options.principal):
        raise InputError(
            "no bucket or nobody who may write to it is named", next_step="give --vault s3://… and --principal ARN"
        )
    plan = BucketPlan(
        BucketAddress.parse(options.vault or _EXAMPLE_VAULT),
        tuple(options.principal or (_EXAMPLE_PRINCIPAL,)),
        require_tls=not options.allow_http,
        expire=options.expire,
    )
    if options.write:
        for file in write_documents(plan, options.write):
            print(file)
        return 0
    client = open_client(plan.address, environ)
    if options.probe:
        report = run_probe(client, plan.address)
        for check in report.checks:
            print(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.got}")
        print(report.text())
        return int(not report.passed)
    deviations = prepare_bucket(client, plan) if options.apply else check_bucket(client, plan)
    for deviation in deviations:
        print(deviation)
    return int(bool(deviations))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

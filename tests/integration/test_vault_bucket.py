"""The vault against a server that truly enforces Object Lock: Ceph's object gateway, over TLS, with encryption by its KMS."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.vault import (
    BucketAddress,
    ProbeCheck,
    ProbeReport,
    Vault,
    VaultConflictError,
    VaultCorruptError,
    VaultError,
    VaultMissingError,
    VaultUnavailableError,
    open_vault,
)
from maestro.vault.bucket import check_bucket, prepare_bucket
from maestro.vault.client import open_client
from maestro.vault.deploy import main
from maestro.vault.plan import BucketPlan
from maestro.vault.probe import run_probe
from maestro.vault.report import remember
from maestro.vault.wire import checksums
from tests.integration.rgw_server import KMS_KEY, RgwServer, rgw_server

BUCKET = "evidence"
CI = "arn:aws:iam:::user/ci"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="session")
def rgw() -> Iterator[RgwServer]:
    """A gateway; under xdist each worker has its own."""
    with rgw_server() as server:
        yield server


@pytest.fixture(scope="session")
def plan(rgw: RgwServer) -> BucketPlan:
    return BucketPlan(address(rgw), (CI,))


def address(rgw: RgwServer, bucket: str = BUCKET, *, prefix: str = "shop", kms_key: str = KMS_KEY) -> BucketAddress:
    return BucketAddress.parse(f"s3://{bucket}/{prefix}?endpoint={rgw.tls_endpoint}&kms_key={kms_key}")


def url(rgw: RgwServer, *, bucket: str = BUCKET, kms_key: str = KMS_KEY) -> str:
    return f"s3://{bucket}/shop?endpoint={rgw.tls_endpoint}&kms_key={kms_key}"


@pytest.fixture(scope="session")
def deviations(rgw: RgwServer, plan: BucketPlan) -> list[str]:
    """What the gateway did not take of the plan."""
    return [one.name for one in prepare_bucket(open_client(plan.address, rgw.environ("admin")), plan)]


@pytest.fixture(scope="session")
def state(rgw: RgwServer, deviations: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vault's folder, in which the one probe of these tests is remembered."""
    folder = tmp_path_factory.mktemp("vault")
    open_vault(url(rgw), folder=folder, environ=rgw.environ("ci")).probe(seconds=3)
    return folder


@pytest.fixture(scope="session")
def vault(rgw: RgwServer, state: Path) -> Vault:
    return open_vault(url(rgw), folder=state, environ=rgw.environ("ci"))


@pytest.fixture(scope="session")
def stranger(rgw: RgwServer, state: Path) -> Any:
    """A client of the bucket's owner, who may do what the policy leaves to owners."""
    return open_client(address(rgw), rgw.environ("admin"))


@pytest.fixture(scope="session")
def ci(rgw: RgwServer, state: Path) -> Any:
    """A bare client with CI's credentials, as a thief of them would have."""
    return open_client(address(rgw), rgw.environ("ci"))


def test_a_server_that_enforces_locks_passes_every_check_with_the_credentials_of_ci(vault: Vault, state: Path) -> None:
    (file,) = (state / "probes").glob("*.json")
    report = json.loads(file.read_text())
    assert report["passed"] is True
    assert len(report["checks"]) == 20
    assert vault.immutable


def test_the_probe_leaves_nothing_behind(rgw: RgwServer, stranger: Any) -> None:
    found = stranger.list_object_versions(Bucket=BUCKET, Prefix="shop/.maestro/probe/")
    assert "Versions" not in found
    assert "DeleteMarkers" not in found


def test_evidence_is_locked_encrypted_and_says_until_when(vault: Vault, ci: Any) -> None:
    at = datetime(2040, 1, 1, tzinfo=UTC)
    locked = vault.put("a/sbom.json", b"{}", evidence_type="sbom", retention=HOUR, at=at)
    assert locked.immutable
    assert locked.mode == "COMPLIANCE"
    assert locked.until == at + HOUR
    assert locked.text() == "locked until 2040-01-01 01:00:00 UTC"
    assert vault.status("a/sbom.json") == locked
    assert vault.get("a/sbom.json") == b"{}"
    head = ci.head_object(Bucket=BUCKET, Key="shop/a/sbom.json")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)


def test_a_type_of_evidence_has_its_own_retention(vault: Vault) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    assert vault.put("types/checkpoint", b"c", evidence_type="checkpoint", at=at).until == at + timedelta(days=2557)
    assert vault.put("types/report", b"t", evidence_type="test-report", at=at).until == at + timedelta(days=366)


def test_writing_the_same_again_changes_nothing(vault: Vault, ci: Any) -> None:
    at = datetime.now(UTC)
    first = vault.put("same", b"x", evidence_type="sbom", retention=HOUR, at=at)
    assert vault.put("same", b"x", evidence_type="sbom", retention=HOUR, at=at) == first
    assert len(ci.list_object_versions(Bucket=BUCKET, Prefix="shop/same")["Versions"]) == 1


def test_writing_something_else_is_refused(vault: Vault) -> None:
    vault.put("other", b"first", evidence_type="sbom", retention=HOUR)
    with pytest.raises(VaultConflictError, match=r"'other' is already locked .* with other content"):
        vault.put("other", b"second", evidence_type="sbom", retention=HOUR)
    assert vault.get("other") == b"first"


def test_one_of_eight_writers_at_once_locks_its_content_and_the_others_are_told(vault: Vault) -> None:
    together = threading.Barrier(8)

    def write(number: int) -> bytes | None:
        together.wait(timeout=60)
        data = b"writer %d" % number
        try:
            vault.put("race", data, evidence_type="sbom", retention=HOUR)
        except VaultConflictError:
            return None
        return data

    with ThreadPoolExecutor(8) as pool:
        winners = [data for data in pool.map(write, range(8)) if data is not None]
    assert winners == [vault.get("race")]


def test_an_overwritten_and_deleted_key_still_gives_what_was_locked_first(vault: Vault, ci: Any) -> None:
    first = vault.put("attacked", b"true", evidence_type="decision", retention=HOUR)
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY}
    ci.put_object(
        Bucket=BUCKET,
        Key="shop/attacked",
        Body=b"false",
        ContentMD5=_md5(b"false"),
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + HOUR,
        **encrypted,
    )
    assert vault.get("attacked") == b"true"
    status = vault.status("attacked")
    assert status.version_id == first.version_id
    assert status.hidden
    assert "hidden by a later version" in status.text()


def test_what_was_written_without_a_lock_is_no_evidence(vault: Vault, ci: Any) -> None:
    ci.put_object(Bucket=BUCKET, Key="shop/unlocked", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=KMS_KEY)
    with pytest.raises(VaultMissingError, match="nothing is locked under 'unlocked'"):
        vault.get("unlocked")
    vault.put("unlocked", b"true", evidence_type="sbom", retention=HOUR)
    assert vault.get("unlocked") == b"true"


def test_locked_bytes_that_are_not_those_of_their_digest_are_refused(vault: Vault, ci: Any) -> None:
    ci.put_object(
        Bucket=BUCKET,
        Key="shop/forged",
        Body=b"forged",
        ContentMD5=_md5(b"forged"),
        Metadata={"maestro-sha256": "0" * 64, "maestro-evidence-type": "sbom"},
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + HOUR,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=KMS_KEY,
    )
    with pytest.raises(VaultCorruptError, match=r"'forged' .* is corrupt"):
        vault.get("forged")


def test_a_lock_becomes_longer_and_never_shorter(vault: Vault) -> None:
    locked = vault.put("longer", b"x", evidence_type="sbom", retention=HOUR)
    later = locked.until + HOUR
    assert vault.extend("longer", later).until == later
    with pytest.raises(InputError, match="a lock never becomes shorter"):
        vault.extend("longer", locked.until)
    assert vault.status("longer").until == later


def test_a_legal_hold_is_placed_and_lifted_with_locked_reasons(vault: Vault) -> None:
    vault.put("held", b"x", evidence_type="sbom", retention=HOUR)
    assert vault.hold("held", True, reason="case 17").legal_hold
    assert "under legal hold" in vault.status("held").text()
    assert not vault.hold("held", False, reason="case 17 is closed").legal_hold
    assert [(hold.on, hold.reason) for hold in vault.holds("held")] == [(True, "case 17"), (False, "case 17 is closed")]


def test_the_listing_names_each_key_once_and_not_the_vaults_own(vault: Vault) -> None:
    for name in ("list/b", "list/a", "list/a b/ü"):
        vault.put(name, name.encode(), evidence_type="sbom", retention=HOUR)
    vault.hold("list/a", True, reason="listing")
    assert [one.key for one in vault.list("list/")] == ["list/a", "list/a b/ü", "list/b"]
    assert not any(one.key.startswith(".maestro") for one in vault.list())


def test_a_version_that_never_was_is_missing(vault: Vault) -> None:
    vault.put("versioned", b"x", evidence_type="sbom", retention=HOUR)
    with pytest.raises(VaultMissingError, match="versioned, version nonesuch"):
        vault.get("versioned", "nonesuch")


# --- the bucket ------------------------------------------------------------------------------------------------------


def test_the_bucket_is_set_up_as_planned_but_for_what_this_server_lacks(deviations: list[str]) -> None:
    # Ceph 16 keeps no default encryption, which the policy demands of every object instead, and takes every policy that
    # allows anything, and every object CI writes, for public ones.
    assert deviations == [
        "public access, BlockPublicAcls",
        "public access, BlockPublicPolicy",
        "default encryption",
    ]


def test_nobody_but_ci_writes(rgw: RgwServer, state: Path, tmp_path: Path) -> None:
    for user in ("other", "admin"):
        client = open_client(address(rgw), rgw.environ(user))
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.put_object(
                Bucket=BUCKET, Key="shop/x", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=KMS_KEY
            )


def test_what_is_not_encrypted_is_refused(ci: Any) -> None:
    with pytest.raises(ci.exceptions.ClientError, match="AccessDenied"):
        ci.put_object(Bucket=BUCKET, Key="shop/plain", Body=b"x")


def test_a_connection_without_tls_is_refused(rgw: RgwServer, state: Path, tmp_path: Path) -> None:
    plain = f"s3://{BUCKET}/shop?endpoint={rgw.endpoint}&kms_key={KMS_KEY}"
    with pytest.raises(VaultError, match="these credentials may not do that"):
        open_vault(plain, folder=tmp_path, environ=rgw.environ("ci")).status("a/sbom.json")


def test_each_deviation_of_a_bucket_is_named(rgw: RgwServer) -> None:
    where = address(rgw, "careless", kms_key="")
    client = open_client(where, rgw.environ("admin"))
    client.create_bucket(Bucket="careless")
    everybody = {
        "Sid": "Open",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::careless/*",
    }
    client.put_bucket_policy(Bucket="careless", Policy=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}))
    plan = BucketPlan(where, (CI,), expire=True)
    found = {one.name: str(one) for one in check_bucket(client, plan)}
    assert found["Object Lock"] == "Object Lock: not set, not Enabled"
    assert found["versioning"] == "versioning: not set, not Enabled"
    assert found["policy statement Open"] == "policy statement Open: allows s3:GetObject, not absent"
    assert "policy statement OnlyCiWrites" in found
    assert "lifecycle rule maestro-expire-sbom" in found
    with pytest.raises(VaultError, match=r"the bucket 'careless' .* has no Object Lock"):
        prepare_bucket(client, plan)


def test_a_bucket_can_be_told_to_let_evidence_expire(rgw: RgwServer) -> None:
    where = address(rgw, "expiring", kms_key="")
    plan = BucketPlan(where, (CI,), expire=True)
    client = open_client(where, rgw.environ("admin"))
    first = prepare_bucket(client, plan)
    assert not any("lifecycle" in one.name for one in first)
    assert prepare_bucket(client, plan) == first


def test_a_set_up_that_would_shut_itself_out_is_refused(rgw: RgwServer) -> None:
    where = BucketAddress.parse(f"s3://shut?endpoint={rgw.endpoint}")
    with pytest.raises(InputError, match="would refuse this very connection"):
        prepare_bucket(open_client(where, rgw.environ("admin")), BucketPlan(where, (CI,)))


def test_the_program_says_what_differs_and_by_its_exit_code_that_something_does(
    rgw: RgwServer, deviations: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--vault", url(rgw), "--principal", CI]
    assert main([*arguments, "--check"], rgw.environ("admin")) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == deviations
    assert main([*arguments, "--check"], rgw.environ("other")) == 1
    assert "these credentials may not do that" in capsys.readouterr().err


# --- what a person reads when it cannot work -------------------------------------------------------------------------


def test_a_missing_bucket_is_named(rgw: RgwServer, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="there is no bucket 'nonesuch'"):
        open_vault(url(rgw, bucket="nonesuch"), folder=tmp_path, environ=rgw.environ("ci")).probe(seconds=2)


def test_a_bucket_without_object_lock_is_named(rgw: RgwServer, tmp_path: Path) -> None:
    environ = rgw.environ("admin")
    open_client(address(rgw), environ).create_bucket(Bucket="unlocked")
    vault = open_vault(url(rgw, bucket="unlocked"), folder=tmp_path, environ=environ)
    with pytest.raises(VaultError, match="has no Object Lock, so nothing in it can be locked"):
        vault.put("x", b"x", evidence_type="sbom")


def test_refused_credentials_are_told_without_them(rgw: RgwServer, state: Path) -> None:
    environ = {**rgw.environ("ci"), "AWS_SECRET_ACCESS_KEY": "hush-hush-hush"}
    with pytest.raises(VaultError, match="the server refuses the credentials") as raised:
        open_vault(url(rgw), folder=state, environ=environ).status("x")
    assert "hush" not in str(raised.value)


def test_an_encryption_key_that_is_not_there_is_named(rgw: RgwServer, state: Path, ci: Any) -> None:
    vault = open_vault(url(rgw, kms_key="nonesuch"), folder=state, environ=rgw.environ("ci"))
    with pytest.raises(VaultError, match="its encryption key is refused"):
        vault.put("keyless", b"x", evidence_type="sbom", retention=HOUR)


def test_a_certificate_nobody_vouches_for_is_refused(rgw: RgwServer, state: Path) -> None:
    environ = {name: value for name, value in rgw.environ("ci").items() if name != "AWS_CA_BUNDLE"}
    with pytest.raises(VaultUnavailableError, match="SSL validation failed"):
        open_vault(url(rgw), folder=state, environ=environ).status("x")


def test_credentials_that_may_not_write_are_told_so(rgw: RgwServer, state: Path) -> None:
    with pytest.raises(VaultError, match="these credentials may not do that"):
        run_probe(open_client(address(rgw), rgw.environ("other")), address(rgw), seconds=2)


def test_credentials_that_may_not_delete_anything_prove_nothing(rgw: RgwServer) -> None:
    """Every attack is refused for want of permission, so nobody knows whether the lock would have refused it."""
    where = address(rgw, "timid", kms_key="")
    owner = open_client(where, rgw.environ("admin"))
    owner.create_bucket(Bucket="timid", ObjectLockEnabledForBucket=True)
    actions = ["s3:GetObject*", "s3:PutObject*", "s3:ListBucket*", "s3:GetBucket*"]
    resources = ["arn:aws:s3:::timid", "arn:aws:s3:::timid/*"]
    statement = {"Effect": "Allow", "Principal": {"AWS": [CI]}, "Action": actions, "Resource": resources}
    owner.put_bucket_policy(Bucket="timid", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    report = run_probe(open_client(where, rgw.environ("ci")), where, seconds=2)
    assert not report.passed
    got = {check.name: check.got for check in report.checks}
    assert got["delete a locked version"] == "refused (AccessDenied)"
    assert got["delete after retention and hold ended"] == "refused (AccessDenied)"


# --- outages ---------------------------------------------------------------------------------------------------------


@contextmanager
def dropping(target: str, times: int) -> Iterator[str]:
    """A way to ``target`` that drops the first connections."""
    port = int(target.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        def serve() -> None:
            left = times
            with suppress(OSError):
                while True:
                    near, _peer = listener.accept()
                    if left:
                        left -= 1
                        near.close()
                        continue
                    far = socket.create_connection(("127.0.0.1", port))
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=pump, args=ends, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_connection_that_breaks_is_tried_again(rgw: RgwServer, tmp_path: Path) -> None:
    environ = rgw.environ("admin")
    open_client(address(rgw), environ).create_bucket(Bucket="shaky", ObjectLockEnabledForBucket=True)
    with dropping(rgw.endpoint, 2) as endpoint:
        where = f"s3://shaky?endpoint={endpoint}"
        check = ProbeCheck("asked before", "yes", "yes", True)
        remember(tmp_path / "probes", ProbeReport(str(BucketAddress.parse(where)), datetime.now(UTC), (check,), {}))
        vault = open_vault(where, folder=tmp_path, environ=environ)
        vault.put("x", b"x", evidence_type="sbom", retention=HOUR)
        assert vault.get("x") == b"x"


def test_a_server_that_does_not_answer_is_named_and_nothing_is_believed_of_it(rgw: RgwServer, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        vault = open_vault(
            f"s3://{BUCKET}?endpoint=http://127.0.0.1:{closed.getsockname()[1]}",
            folder=tmp_path,
            environ=rgw.environ("ci"),
        )
        with pytest.raises(VaultUnavailableError, match=r"the vault s3://evidence at http://127.0.0.1:\d+ cannot"):
            assert vault.immutable
    assert not list(tmp_path.rglob("*.json"))


def _md5(data: bytes) -> str:
    return checksums(data)["ContentMD5"]

"""What is decided about a vault before any server is asked: addresses, retention, remembered probes, documents of the bucket."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.vault import BucketAddress, ProbeCheck, ProbeReport, VaultError, open_vault, retention_table
from maestro.vault.client import explain
from maestro.vault.deploy import main
from maestro.vault.locked import Locked
from maestro.vault.plan import BucketPlan, bucket_policy, encryption, lifecycle
from maestro.vault.report import recall, remember
from maestro.vault.retention import DEFAULTS, retain_until

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2040, 1, 1, tzinfo=UTC)
ROLE = "arn:aws:iam::111122223333:role/ci"


# --- addresses -------------------------------------------------------------------------------------------------------


def test_an_address_names_bucket_prefix_server_region_and_key() -> None:
    address = BucketAddress.parse("s3://evidence/a/b/?endpoint=https://host:9000/&region=eu-1&kms_key=alias/x")
    assert address == BucketAddress("evidence", "a/b", "https://host:9000", "eu-1", "alias/x")
    assert str(address) == "s3://evidence/a/b at https://host:9000"
    assert (address.key("x"), address.name("a/b/x")) == ("a/b/x", "x")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("evidence", "does not begin with s3://"),
        ("s3://", "does not begin with s3://"),
        ("s3://Evidence", "does not begin with s3://"),
        ("http://host/bucket", "does not begin with s3://"),
        ("s3://[", "cannot be read"),
        ("s3://evidence?endpoint", "cannot be read"),
        ("s3://evidence?mode=governance", "its options can only be endpoint, region, kms_key"),
        ("s3://evidence/a/../b", "its prefix has"),
        ("s3://evidence?region=EU%20West", "its region is no region"),
        ("s3://evidence?endpoint=host:9000", "its endpoint is no URL"),
        ("s3://evidence?endpoint=https://host/path", "its endpoint is no URL"),
        ("s3://evidence?endpoint=https://host:port", "its endpoint cannot be read"),
        ("s3://evidence?endpoint=http://storage.example", "is not encrypted"),
        ("s3://evidence?endpoint=http://127.0.0.1.evil.example", "is not encrypted"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the vault's address cannot be used") as raised:
        open_vault(url, folder=tmp_path, environ={})
    assert why in raised.value.what


@pytest.mark.parametrize("url", ["s3://key:hush-hush@evidence", "s3://evidence?endpoint=https://key:hush-hush@host"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError, match="holds credentials") as raised:
        BucketAddress.parse(url)
    assert "hush-hush" not in str(raised.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(raised.value)


def test_missing_credentials_are_named(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="there are no credentials for the vault s3://evidence") as raised:
        open_vault("s3://evidence", folder=tmp_path, environ={"AWS_ACCESS_KEY_ID": "key"})
    assert "AWS_SECRET_ACCESS_KEY" in str(raised.value.next_step)


def test_credential_files_and_profiles_of_other_tools_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nonesuch")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere.example")
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    vault: Any = open_vault("s3://evidence", folder=tmp_path, environ=environ)
    assert vault.client.meta.endpoint_url.endswith("amazonaws.com")


def test_the_package_loads_no_storage_library() -> None:
    code = "import sys, maestro.vault; print(sorted({'boto3', 'botocore'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- retention -------------------------------------------------------------------------------------------------------


def test_each_type_has_a_period_that_can_be_set_otherwise() -> None:
    table = retention_table({"sbom": "10y", "drill": "12w", "secrets": "90d"})
    assert table["sbom"] == timedelta(days=3653)
    assert table["drill"] == timedelta(days=84)
    assert table["secrets"] == timedelta(days=90)
    assert table["provenance"] == DEFAULTS["provenance"]


@pytest.mark.parametrize("years", [1, 3, 7])
def test_a_year_is_never_less_than_a_year(years: int) -> None:
    period = retention_table({"x": f"{years}y"})["x"]
    for start in range(2024, 2032):
        assert datetime(start, 1, 1) + period >= datetime(start + years, 1, 1)


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "7 y", "7Y", "101y", "36501d", "1h", "9999999d"])
def test_a_period_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no retention period"):
        open_vault(None, folder=tmp_path, environ={}, retention={"sbom": text})


@pytest.mark.parametrize("retention", [timedelta(0), timedelta(seconds=-1), timedelta(days=36501)])
def test_a_retention_that_is_none_is_refused(retention: timedelta) -> None:
    with pytest.raises(InputError, match="retention must be more than 0"):
        retain_until(retention, NOW)


def test_the_end_of_a_lock_is_rounded_up_to_the_second_servers_keep() -> None:
    assert retain_until(timedelta(seconds=1.2), NOW) == NOW + timedelta(seconds=2)


def test_a_lock_that_ended_is_not_shown_as_one() -> None:
    ended = Locked("x", "1", "0" * 64, 1, "sbom", NOW, "COMPLIANCE", True)
    assert ended.text(NOW - timedelta(seconds=1)) == "locked until 2040-01-01 00:00:00 UTC"
    assert ended.text(NOW) == "lock ended 2040-01-01 00:00:00 UTC"


# --- remembered probes -----------------------------------------------------------------------------------------------


def a_report(*, passed: bool = True, at: datetime = NOW) -> ProbeReport:
    return ProbeReport("s3://evidence", at, (ProbeCheck("delete", "refused", "refused", passed),), {"checksums": True})


def test_a_report_is_remembered_for_its_vault_alone(tmp_path: Path) -> None:
    remember(tmp_path, a_report())
    assert recall(tmp_path, "s3://evidence") == a_report()
    assert recall(tmp_path, "s3://other") is None


def test_a_report_without_checks_proves_nothing() -> None:
    assert not ProbeReport("s3://evidence", NOW, (), {}).passed


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"schema": 2}', '{"schema": 1, "at": "2040-01-01"}'])
def test_a_damaged_report_is_no_report(tmp_path: Path, content: str) -> None:
    remember(tmp_path, a_report())
    (file,) = tmp_path.glob("*.json")
    file.write_text(content)
    assert recall(tmp_path, "s3://evidence") is None


def test_a_report_that_calls_itself_passed_is_judged_by_its_checks(tmp_path: Path) -> None:
    remember(tmp_path, a_report(passed=False))
    (file,) = tmp_path.glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "passed": True}))
    found = recall(tmp_path, "s3://evidence")
    assert found is not None
    assert not found.passed


def test_a_report_counts_for_days_and_a_failed_one_for_an_hour() -> None:
    week = timedelta(days=7)
    assert a_report().is_fresh(NOW + timedelta(days=6), week)
    assert not a_report().is_fresh(NOW + week, week)
    assert not a_report().is_fresh(NOW - timedelta(seconds=1), week)
    assert a_report(passed=False).is_fresh(NOW + timedelta(minutes=59), week)
    assert not a_report(passed=False).is_fresh(NOW + timedelta(hours=1), week)


# --- what servers say ------------------------------------------------------------------------------------------------


class ServerError(Exception):
    """As boto3's, which says what the server said."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("error", "what", "following"),
    [
        (ServerError("RequestTimeTooSkewed"), "the clocks of this machine and of the server differ", "clock"),
        (ServerError("NoSuchBucket"), "there is no bucket 'evidence'", "maestro.vault.deploy --apply"),
        (ServerError("ExpiredToken"), "the server refuses the credentials (ExpiredToken)", "AWS_SESSION_TOKEN"),
        (ServerError("AccessDenied", status=403), "these credentials may not do that", "policy"),
        (ServerError("KMS.DisabledException", "it is disabled"), "its encryption key is refused", "kms_key"),
        (ServerError("InvalidRequest", "Bucket is missing Object Lock Configuration"), "has no Object Lock", "--apply"),
        (ServerError("InternalError", status=500), "the server failed", "try again later"),
        (ServerError("Weird", "who knows"), "Weird who knows", "log"),
    ],
)
def test_each_failure_of_a_server_says_what_to_do(error: Exception, what: str, following: str) -> None:
    told = explain(error, BucketAddress("evidence"), "be read")
    assert what in told.what
    assert following in str(told.next_step)


# --- documents of the bucket -----------------------------------------------------------------------------------------


def a_plan(url: str = "s3://evidence/shop?kms_key=alias/x", principal: str = ROLE, **more: Any) -> BucketPlan:
    return BucketPlan(BucketAddress.parse(url), (principal,), **more)


def statement(plan: BucketPlan, sid: str) -> dict[str, Any]:
    (found,) = [one for one in bucket_policy(plan)["Statement"] if one["Sid"] == sid]
    return dict(found)


def test_the_documents_in_deploy_are_those_the_generator_writes(tmp_path: Path) -> None:
    assert main(["--write", str(tmp_path)], {}) == 0
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert written == {file.name: file.read_text() for file in (ROOT / "deploy" / "vault").iterdir()}


def test_only_the_named_principals_may_write_on_aws_and_on_ceph() -> None:
    aws = statement(a_plan(), "OnlyCiWrites")
    assert (aws["Effect"], aws["Principal"]) == ("Deny", "*")
    assert aws["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": [ROLE]}}
    ceph = statement(a_plan(principal="arn:aws:iam:::user/ci"), "OnlyCiWrites")
    assert ceph["NotPrincipal"] == {"AWS": ["arn:aws:iam:::user/ci"]}
    assert "Condition" not in ceph


def test_nobody_is_allowed_to_delete_but_what_probes_leave() -> None:
    allowed = [one for one in bucket_policy(a_plan())["Statement"] if one["Effect"] == "Allow"]
    deleting = [one["Resource"] for one in allowed if any("Delete" in action for action in one["Action"])]
    assert deleting == ["arn:aws:s3:::evidence/shop/.maestro/probe/*"]


def test_encryption_is_demanded_only_with_a_key() -> None:
    without = a_plan("s3://evidence")
    assert encryption(without) is None
    assert not any("Encrypt" in one["Sid"] for one in bucket_policy(without)["Statement"])
    assert statement(a_plan(), "OnlyEncrypted")["Effect"] == "Deny"


def test_evidence_expires_only_when_asked_and_after_its_retention() -> None:
    assert not any("maestro-expire" in rule["ID"] for rule in lifecycle(a_plan())["Rules"])
    rules = {rule["ID"]: rule for rule in lifecycle(a_plan(expire=True))["Rules"]}
    assert rules["maestro-expire-provenance"]["Expiration"]["Days"] == DEFAULTS["provenance"].days + 30


@pytest.mark.parametrize("principal", ["", "*", "ci", "arn:aws:s3:::evidence", 'arn:aws:iam:::user/x"'])
def test_a_principal_that_is_none_is_refused(principal: str) -> None:
    with pytest.raises(InputError, match="is no principal"):
        a_plan(principal=principal)


def test_a_plan_without_anybody_is_refused() -> None:
    with pytest.raises(InputError, match="no principal is named"):
        BucketPlan(BucketAddress("evidence"), ())


@pytest.mark.parametrize("action", ["--apply", "--check", "--probe"])
def test_the_examples_are_never_applied(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([action], {}) == 2
    assert "give --vault s3://… and --principal ARN" in capsys.readouterr().err

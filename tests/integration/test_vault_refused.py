"""A server that says it locks and lets locks be undone: moto lets retention in compliance mode be shortened and removed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.vault import BucketAddress, NotImmutableError, ProbeReport, Vault, open_vault
from maestro.vault.bucket_vault import BucketVault
from maestro.vault.client import open_client
from maestro.vault.report import recall

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.readline()
"""
ENVIRON = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            where = f"s3://evidence/shop?endpoint=http://127.0.0.1:{int(server.stdout.readline())}"
            client = open_client(BucketAddress.parse(where), ENVIRON)
            client.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
            yield where
        finally:
            server.kill()


@pytest.fixture(scope="module")
def probed(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ProbeReport]]:
    """The vault's folder, and what four steps that began at once were told of the server."""
    folder = tmp_path_factory.mktemp("vault")
    vault = open_vault(url, folder=folder, environ=ENVIRON)
    assert isinstance(vault, BucketVault)
    vault.seconds = 2
    with ThreadPoolExecutor(4) as pool:
        return folder, list(pool.map(lambda _: vault.contract(), range(4)))


@pytest.fixture
def state(probed: tuple[Path, list[ProbeReport]]) -> Path:
    return probed[0]


@pytest.fixture
def vault(url: str, state: Path) -> Vault:
    return open_vault(url, folder=state, environ=ENVIRON)


def test_each_broken_promise_is_named(url: str, state: Path) -> None:
    report = recall(state / "probes", str(BucketAddress.parse(url)))
    assert report is not None
    assert not report.passed
    broken = {check.name: check.got for check in report.failed}
    assert broken["shorten a retention by one second"] == "accepted"
    assert broken["change the mode of a lock to governance"] == "accepted"
    assert broken["remove a retention"] == "accepted"
    assert broken["write with a retention in the past"] == "accepted"
    assert "delete a locked version" not in broken


def test_versioning_of_the_bucket_is_not_put_at_risk_on_a_server_that_failed(url: str, state: Path) -> None:
    report = recall(state / "probes", str(BucketAddress.parse(url)))
    assert report is not None
    (check,) = [check for check in report.checks if check.name == "suspend versioning"]
    assert check.got == "not tried after the failures above"
    client = open_client(BucketAddress.parse(url), ENVIRON)
    assert client.get_bucket_versioning(Bucket="evidence")["Status"] == "Enabled"


def test_the_vault_does_not_call_itself_immutable(vault: Vault) -> None:
    assert not vault.immutable
    assert isinstance(vault, BucketVault)
    with pytest.raises(
        NotImmutableError, match=r"does not enforce Object Lock \(shorten a retention by one second: acc"
    ):
        vault.require_immutable()


def test_what_is_kept_there_says_that_it_is_not_immutable_and_why(vault: Vault) -> None:
    kept = vault.put("x", b"x", evidence_type="sbom", retention=timedelta(hours=1))
    assert not kept.immutable
    assert "NOT immutable" in kept.text()
    assert "does not enforce Object Lock" in kept.text()
    assert vault.get("x") == b"x"


def test_one_of_two_writers_creates_where_the_server_can_tell(url: str, state: Path, vault: Vault) -> None:
    report = recall(state / "probes", str(BucketAddress.parse(url)))
    assert report is not None
    assert report.features["conditional_writes"]
    vault.put("once", b"x", evidence_type="sbom", retention=timedelta(hours=1))
    client = open_client(BucketAddress.parse(url), ENVIRON)
    assert len(client.list_object_versions(Bucket="evidence", Prefix="shop/once")["Versions"]) == 1


def test_steps_that_begin_at_once_wait_for_one_probe(probed: tuple[Path, list[ProbeReport]]) -> None:
    _folder, reports = probed
    assert len({id(report) for report in reports}) == 1

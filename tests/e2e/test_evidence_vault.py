"""Evidence in a vault nobody can empty and an audit log in PostgreSQL: one profile, a real object gateway, a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from maestro.profile import FOLDERS
from maestro.vault import BucketAddress, open_vault
from maestro.vault.bucket import prepare_bucket
from maestro.vault.client import open_client
from maestro.vault.plan import BucketPlan
from tests.e2e.example import Example, new_example
from tests.integration.postgres_server import postgres_database
from tests.integration.rgw_server import RgwServer, rgw_server

CI = "arn:aws:iam:::user/ci"


@pytest.fixture(scope="module")
def gateway() -> Iterator[RgwServer]:
    with rgw_server() as server:
        yield server


@pytest.fixture(scope="module")
def address(gateway: RgwServer) -> BucketAddress:
    """A bucket set up as its owner, ``admin``, does it; ``ci`` may write."""
    made = BucketAddress.parse(f"s3://evidence/shop?endpoint={gateway.tls_endpoint}")
    prepare_bucket(open_client(made, gateway.environ("admin")), BucketPlan(made, (CI,)))
    return made


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    with postgres_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def delivered(
    gateway: RgwServer, address: BucketAddress, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Example:
    """The repaired example, delivered with that profile."""
    folder = tmp_path_factory.mktemp("vault")
    profile = folder / "profile"
    profile.mkdir()
    (profile / "dagster.yaml").write_text(
        next(base for base in FOLDERS if (base / "default").is_dir()).joinpath("default", "dagster.yaml").read_text()
    )
    vault = f"s3://{address.bucket}/{address.prefix}?endpoint={address.endpoint}"
    settings = {"evidence": {"vault": vault, "audit": database}}
    (profile / "settings.yaml").write_text(json.dumps(settings))
    environment = {**gateway.environ("ci"), "MAESTRO_PROFILE": str(profile)}
    example = new_example(folder / "app", environment=environment)
    example.vendor("3.1.6")
    # As whoever sets a vault up does; the first run would do it, and take longer.
    open_vault(vault, folder=example.project.home / "vault", environ=environment).probe(seconds=3)
    ran = example.run()
    assert ran.last["state"] == "succeeded", ran.ended
    return ran


def bundles(delivered: Example) -> list[str]:
    """The vault's keys of the evidence of the last revision."""
    shown = delivered.maestro("evidence", "show", "--json").json()["evidence"]
    return [
        f"shop/evidence/app/{delivered.revision}/{one['type']}-{one['bundle'].removeprefix('sha256:')}.json"
        for one in shown
    ]


def test_show_states_until_when_it_is_locked(delivered: Example) -> None:
    ended = delivered.maestro("evidence", "show")
    assert ended.code == 0, ended.text
    found = re.findall(r"^vault: locked until (\S+)$", ended.out, re.MULTILINE)
    assert found, ended.out
    assert "NOT immutable" not in ended.out
    for until in found:
        assert datetime.fromisoformat(until).replace(tzinfo=UTC) > datetime.now(UTC) + timedelta(days=300)


def test_not_even_the_owner_of_the_bucket_can_delete_it(
    gateway: RgwServer, address: BucketAddress, delivered: Example
) -> None:
    owner = open_client(address, gateway.environ("admin"))
    kept = owner.list_object_versions(Bucket=address.bucket, Prefix="shop/evidence/")["Versions"]
    assert {one["Key"] for one in kept} == set(bundles(delivered))
    for one in kept[:2]:
        for more in ({}, {"BypassGovernanceRetention": True}):
            with pytest.raises(owner.exceptions.ClientError, match="AccessDenied"):
                owner.delete_object(Bucket=address.bucket, Key=one["Key"], VersionId=one["VersionId"], **more)
    assert delivered.maestro("evidence", "show").code == 0


def test_a_legal_hold_is_placed_lifted_shown_and_audited(delivered: Example) -> None:
    held = delivered.maestro("evidence", "hold", "--reason", "case 4711")
    assert held.code == 0, held.text
    assert f"legal hold on {len(bundles(delivered))} statements of {delivered.revision}" in held.out
    assert "legal hold" in delivered.maestro("evidence", "show").out
    (row,) = delivered.audit("evidence.held")
    assert (row["object"], row["data"]["reason"], row["data"]["immutable"]) == (delivered.revision, "case 4711", True)
    lifted = delivered.maestro("evidence", "hold", "--lift", "--reason", "case 4711 is closed")
    assert lifted.code == 0, lifted.text
    assert "legal hold" not in delivered.maestro("evidence", "show").out


def test_the_checkpoints_of_the_audit_log_lie_in_the_vault(
    gateway: RgwServer, address: BucketAddress, delivered: Example, tmp_path: Path
) -> None:
    client = open_client(address, gateway.environ("ci"))
    found = client.list_objects_v2(Bucket=address.bucket, Prefix="shop/audit/app/checkpoint-")["Contents"]
    newest = max(found, key=lambda one: str(one["Key"]))
    note = tmp_path / "checkpoint.txt"
    note.write_bytes(client.get_object(Bucket=address.bucket, Key=newest["Key"])["Body"].read())
    ended = delivered.maestro("audit", "verify", "--checkpoint", str(note))
    assert ended.code == 0, ended.text


def test_a_row_that_was_changed_in_postgresql_is_named(delivered: Example, database: str) -> None:
    row = delivered.audit("policy.decision")[0]
    engine = create_engine(make_url(database).set(drivername="postgresql+psycopg2"))
    change = text("UPDATE audit_entries SET actor = :actor WHERE idx = :idx")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(change, {"idx": row["index"], "actor": "eve"})
    try:
        ended = delivered.maestro("audit", "verify")
        assert ended.code == 1
        assert f"edited: row {row['index']} was edited" in ended.out
    finally:
        with engine.begin() as connection:
            connection.execute(change, {"idx": row["index"], "actor": row["actor"]})
            connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))
        engine.dispose()
    assert delivered.maestro("audit", "verify").code == 0
    assert not (delivered.project.home / "audit.db").exists()

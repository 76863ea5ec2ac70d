"""Somebody who can write to the artifact store changes what is there, on the disk of a project that was really run."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import records
from tests.integration.evidence_project import Delivered, change, copied, delivered


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return delivered(tmp_path_factory.mktemp("evidence") / "shop")


@pytest.fixture
def shop(original: Delivered, tmp_path: Path) -> Delivered:
    return copied(original, tmp_path / "shop")


def recorded(shop: Delivered, step: str) -> list[Path]:
    """Every file that holds the record of a step: of its run, of its revision, and of the cache."""
    found = []
    for file in (shop.home / "artifacts").rglob("*.json"):
        document = json.loads(file.read_text())
        if isinstance(document.get("record"), dict) and document["record"]["step"] == step:
            found.append(file)
    return found


def rewrite(shop: Delivered, step: str, alter: Callable[[dict[str, Any]], None]) -> None:
    """Changes a step's records so that they are sound again: their digest is no secret."""
    files = recorded(shop, step)
    assert files
    for file in files:
        document = json.loads(file.read_text())["record"]
        alter(document)
        file.chmod(0o644)
        file.write_bytes(records.encode(records.StepRecord.from_json(document)))


def refused(shop: Delivered) -> str:
    """What the step behind the gate says, which has effects outside; it must not have happened again."""
    before = (shop.root / "deployed.txt").read_text()
    said = shop.run("run", "--only", "deploy", code=1)
    assert (shop.root / "deployed.txt").read_text() == before
    return said


def test_untouched_the_step_behind_the_gate_runs_again(shop: Delivered) -> None:
    shop.run("run", "--only", "deploy")
    assert (shop.root / "deployed.txt").read_text() == "appapp"


def test_a_changed_statement_is_found_by_its_digest(shop: Delivered) -> None:
    bundle = shop.bundle("provenance")
    bundle.chmod(0o644)
    bundle.write_bytes(bundle.read_bytes().replace(b"payloadType", b"payloadtype"))
    said = refused(shop)
    assert "its provenance statement" in said
    assert "cannot be read" in said
    assert "quarantined" in shop.evidence("show", code=1)


def test_a_statement_put_in_the_place_of_another_is_found_by_its_signature(shop: Delivered) -> None:
    entry = shop.entry("provenance")
    document = json.loads(shop.bundle("provenance").read_text())
    payload = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    payload["predicate"]["runDetails"]["builder"]["id"] = "https://builder.example/trusted"
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    kept = shop.store.put_bytes(json.dumps(document).encode(), name="provenance", media_type="application/json")
    change(entry, lambda one: one.update(bundle={**one["bundle"], "sha256": kept.sha256, "size": kept.size}))
    entry.rename(entry.with_name(f"{kept.sha256}.json"))
    said = shop.evidence("verify", code=1)
    assert "rejected" in said
    assert "the signature is not of the key 'development'" in said
    assert "does not verify" in shop.evidence("export", "-o", "p.tar.zst", code=1)
    assert not (shop.root / "p.tar.zst").exists()


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda one: one["subjects"].append("sha256:" + "f" * 64), "not about sha256:ffffffffffff"),
        (lambda one: one.update(step="check/other"), "its step is check/other, and signed is check/prove"),
        (lambda one: one.update(signed_at="2030-01-01T00:00:00Z"), "its time is 2030-01-01T00:00:00Z"),
        (lambda one: one.update(keyid="0" * 64), "its key is 0000"),
    ],
)
def test_an_index_that_says_something_else_than_its_statement_is_not_believed(
    shop: Delivered, alter: Callable[[Any], Any], said: str
) -> None:
    change(shop.entry("provenance"), alter)
    [row] = [one for one in shop.json("evidence", "show", code=1)["evidence"] if one["type"] == "provenance"]
    assert row["state"] == "rejected"
    assert said in row["reason"]


@pytest.mark.parametrize(
    "alter",
    [
        lambda one: one.update(revision="b" * 40),
        lambda one: one.update(project="other"),
        lambda one: one.update(subjects=[]),
        lambda one: one.update(signed_at=7),
        lambda one: one.update(schema=2),
    ],
)
def test_an_entry_that_is_none_or_belongs_elsewhere_is_an_error_that_says_which(
    shop: Delivered, alter: Callable[[Any], Any]
) -> None:
    change(shop.entry("provenance"), alter)
    assert "of the evidence index is damaged" in shop.evidence("show", code=1)
    assert "index_damaged" in refused(shop) or "is damaged" in refused(shop)


def test_a_statement_taken_out_of_the_index_is_missed_by_the_audit_log(shop: Delivered) -> None:
    shop.entry("secrets").unlink()
    [row] = [one for one in shop.json("evidence", "verify", code=1)["evidence"] if one["type"] == "secrets"]
    assert (row["state"], row["code"]) == ("rejected", "withheld")
    assert "which was signed (row " in row["reason"]
    assert "the pack would not be complete" in shop.evidence("export", code=1)
    assert "withheld" in refused(shop)


def test_bytes_changed_in_a_record_are_not_those_the_evidence_is_about(shop: Delivered) -> None:
    evil = shop.store.put_bytes(b"evil", name="dist/app.txt", path="dist/app.txt")
    rewrite(shop, "build/app", lambda one: one["outputs"][0].update(evil.to_json()))
    (shop.root / "dist/app.txt").unlink()
    assert "(result_mismatch)" in refused(shop)


def test_a_record_that_no_longer_says_where_the_bytes_are_is_refused(shop: Delivered) -> None:
    evil = shop.store.put_bytes(b"evil", name="dist/app.txt", path="dist/app.txt")

    def alter(record: dict[str, Any]) -> None:
        record["outputs"][0].update(evil.to_json())
        record["subjects"][0].update(output=None, uri="docker://elsewhere.example/app")

    rewrite(shop, "build/app", alter)
    assert "(result_mismatch)" in refused(shop)


def test_a_gate_that_denied_cannot_be_made_to_have_allowed(shop: Delivered) -> None:
    workflow = shop.root / "maestro.yaml"
    workflow.write_text(workflow.read_text().replace("require: [provenance", "require: [sbom, provenance"))
    shop.commit()
    assert "denied by supply_chain.release" in shop.run("run", code=1)
    assert "gate 'release/gate' has not let this revision through: denied by" in refused(shop)
    rewrite(shop, "release/gate", lambda one: one.update(passed=True))
    assert "it was signed for another result than the record of step 'release/gate' has" in refused(shop)
    rewrite(shop, "release/gate", lambda one: one.update(claims=[], evidence=[], kind="shell"))
    assert "it has decided nothing" in refused(shop)


def test_a_result_put_into_the_cache_is_not_signed_but_made_again(shop: Delivered) -> None:
    (shop.root / "unit.xml").write_text(
        '<testsuite name="unit"><testcase classname="a" name="adds"><failure/></testcase></testsuite>'
    )
    cache = shop.home / "artifacts/cache"
    [passed] = [file for file in recorded(shop, "check/unit") if file.parent == cache]
    shop.commit()
    shop.run("run", "check", code=1)
    [key] = {json.loads(one.read_text())["record"]["cache_key"] for one in recorded(shop, "check/unit")} - {passed.stem}
    forged = json.loads(passed.read_text())["record"] | {"cache_key": key}
    (cache / f"{key}.json").write_bytes(records.encode(records.StepRecord.from_json(forged)))
    assert "the cached result cannot be used and is made again: its test-report statement is of another result" in (
        shop.run("run", "check", "--verbose", code=1)
    )
    found = shop.json("evidence", "controls", "--framework", "soc2", code=1)["controls"]
    assert any("tests failed" in reason for one in found for reason in one["because"])


def test_evidence_of_another_project_does_not_count(shop: Delivered, tmp_path: Path, original: Delivered) -> None:
    other = copied(original, tmp_path / "other")
    workflow = other.root / "maestro.yaml"
    workflow.write_text(workflow.read_text().replace("project: shop", "project: other"))
    shutil.rmtree(other.home)
    other.commit()
    other.run("run", "check")
    [theirs] = (other.home / "artifacts/evidence/revisions/other").iterdir()
    shutil.copytree(other.home / "artifacts/cas", shop.home / "artifacts/cas", dirs_exist_ok=True)
    [provenance] = [one for one in theirs.iterdir() if json.loads(one.read_text())["type"] == "provenance"]
    entry = shop.entry("provenance")
    document = json.loads(provenance.read_text()) | {"project": "shop", "revision": shop.index.name}
    entry.unlink()
    (shop.index / provenance.name).write_text(json.dumps(document))
    assert "is not trusted here" in shop.evidence("verify", code=1)
    shutil.copy(other.home / "keys/trust.yaml", tmp_path / "theirs.yaml")
    renamed = (tmp_path / "theirs.yaml").read_text().replace("name: development", "name: theirs")
    (tmp_path / "theirs.yaml").write_text(renamed)
    shop.run("keys", "import", str(tmp_path / "theirs.yaml"))
    assert "is of project 'other', not of 'shop'" in shop.evidence("verify", code=1)

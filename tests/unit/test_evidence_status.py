"""Which statement counts when there are several, and what the index and the audit log have to say to that."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import Artifact, Claim, StepRecord, Subject
from maestro.evidence.gate_input import GateQuestion, gate_input
from maestro.evidence.index import Entry
from maestro.evidence.issue import digest_of
from maestro.evidence.types import CYCLONEDX, REFERENCE, SLSA_PROVENANCE, VULNERABILITIES
from maestro.evidence.verify import EvidenceStatus, check_about
from maestro.signing import Origin, VerificationError, make_statement, sign_statement, verify_bundle
from tests.unit.evidence_harness import REVISION, SOURCE, Desk, unit_report


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def of_tests(desk: Desk) -> EvidenceStatus:
    return desk.open().status("test-report", SOURCE, REVISION)


def entries(desk: Desk) -> list[Entry]:
    return desk.desk.index.of_revision("shop", REVISION)


def rewrite(desk: Desk, entry: Entry, **changes: Any) -> None:
    """The index as somebody leaves it who can write to the store."""
    for file in Path(desk.folder, "artifacts/evidence").rglob(f"{entry.bundle.sha256}.json"):
        document = json.loads(file.read_text())
        file.chmod(0o644)
        file.write_text(json.dumps(document | changes))


def result(status: EvidenceStatus) -> object:
    assert status.verified is not None
    return status.verified.statement.predicate["result"]


def test_of_one_step_the_newest_statement_counts_by_its_own_word(desk: Desk) -> None:
    desk.step("test/unit", claims=[unit_report()])
    desk.step("test/unit", claims=[unit_report(failed=["test_b"])])
    assert result(of_tests(desk)) == "FAILED"


def test_an_older_statement_made_to_look_newer_in_the_index_does_not_count(desk: Desk) -> None:
    desk.step("test/unit", claims=[unit_report()])
    desk.step("test/unit", claims=[unit_report(failed=["test_b"])])
    older = entries(desk)[0]
    rewrite(desk, older, signed_at="2030-01-01T00:00:00Z")
    status = of_tests(desk)
    assert (status.state, status.code) == ("rejected", "index_mismatch")


def test_a_newer_statement_taken_away_is_missed(desk: Desk) -> None:
    desk.step("test/unit", claims=[unit_report()])
    desk.step("test/unit", claims=[unit_report(failed=["test_b"])])
    newest = entries(desk)[-1]
    for file in Path(desk.folder, "artifacts/evidence").rglob(f"{newest.bundle.sha256}.json"):
        file.unlink()
    status = of_tests(desk)
    assert (status.state, status.code) == ("rejected", "withheld")
    assert status.reason is not None
    assert f"sha256:{newest.bundle.sha256} of step 'test/unit'" in status.reason


def test_another_steps_later_statement_does_not_hide_what_an_earlier_one_found(desk: Desk) -> None:
    desk.step("test/unit", claims=[unit_report(failed=["test_b"])])
    desk.step("test/integration", claims=[unit_report()])
    found = desk.open().verifier.statuses("test-report", digest_of(SOURCE), REVISION)
    assert [result(one) for one in found] == ["FAILED", "PASSED"]


def test_policy_sees_what_all_steps_have_found(desk: Desk) -> None:
    built = desk.built()
    desk.step("test/unit", claims=[unit_report(failed=["test_b"])])
    desk.step("test/integration", claims=[unit_report()])
    for step, findings in (("scan/osv", [{"id": "CVE-1"}]), ("scan/grype", [])):
        state = "findings" if findings else "clean"
        report = desk.store.put_bytes(json.dumps({"state": state, "findings": findings}).encode(), name=f"{step}.json")
        claim = Claim("vulnerabilities", VULNERABILITIES, built.subjects, {}, report=report.name)
        desk.step(step, outputs=[report], claims=[claim])
    question = GateQuestion(
        "delivery", REVISION, "run-1", SOURCE, [(built.subjects[0], built)], ["provenance"], "production"
    )
    document = gate_input(desk.open(), question)
    assert document["tests"]["result"] == "FAILED"
    assert document["tests"]["failed_tests"] == ["test_b"]
    [scan] = document["vulnerabilities"]
    assert (scan["state"], [one["id"] for one in scan["findings"]]) == ("findings", ["CVE-1"])


def test_a_scan_that_cannot_be_read_makes_the_whole_not_scanned(desk: Desk) -> None:
    built = desk.built()
    for step in ("scan/osv", "scan/grype"):
        report = desk.store.put_bytes(b'{"state":"clean"}' if step == "scan/osv" else b"[]", name=f"{step}.json")
        claim = Claim("vulnerabilities", VULNERABILITIES, built.subjects, {}, report=report.name)
        desk.step(step, outputs=[report], claims=[claim])
    question = GateQuestion("delivery", REVISION, "run-1", SOURCE, [(built.subjects[0], built)], [], "production")
    [scan] = gate_input(desk.open(), question)["vulnerabilities"]
    assert scan["state"] == "not_scanned"


def signed(desk: Desk, subjects: list[Subject], change: Callable[[dict[str, Any]], None]) -> bytes:
    """A statement as only who holds the key can make it."""
    origin = Origin("shop", REVISION, "run-1", "package/wheel", datetime.now(UTC), "provenance")
    document = json.loads(make_statement(subjects, SLSA_PROVENANCE, {}, origin=origin))
    change(document)
    return sign_statement(json.dumps(document).encode(), desk.desk.signer)


def disagree_on_revision(document: dict[str, Any]) -> None:
    document["subject"][1]["annotations"]["maestro.revision"] = "b" * 40


def disagree_on_step(document: dict[str, Any]) -> None:
    document["subject"][1]["annotations"]["maestro.step"] = "other"


def say_nothing(document: dict[str, Any]) -> None:
    del document["subject"][1]["annotations"]


def other_type(document: dict[str, Any]) -> None:
    for one in document["subject"]:
        one["annotations"]["maestro.type"] = "sbom"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (disagree_on_revision, "revision_mismatch"),
        (disagree_on_step, "revision_mismatch"),
        (say_nothing, "malformed"),
        (other_type, "predicate_mismatch"),
    ],
)
def test_all_subjects_of_a_statement_must_agree_on_what_it_is_of(
    desk: Desk, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    _kept, first = desk.wheel(b"one")
    _kept, second = desk.wheel(b"two")
    desk.desk.signer  # noqa: B018 - makes the key and trusts it
    data = signed(desk, [first, second], change)
    with pytest.raises(VerificationError) as refused:
        check_about(
            verify_bundle(data, desk.desk.trust),
            type_="provenance", subject=digest_of(first), project="shop", revision=REVISION,
        )  # fmt: skip
    assert refused.value.code == code


def test_a_statement_about_a_weak_digest_alone_is_about_nothing(desk: Desk) -> None:
    weak = Subject("app", {"sha1": "a" * 40})
    desk.desk.signer  # noqa: B018 - makes the key and trusts it
    data = signed(desk, [weak], lambda _document: None)
    with pytest.raises(VerificationError, match="is about sha1:"):
        check_about(
            verify_bundle(data, desk.desk.trust),
            type_="provenance", subject=digest_of(weak), project="shop", revision=REVISION,
        )  # fmt: skip


def test_a_store_that_does_not_answer_sets_nothing_aside(desk: Desk) -> None:
    record = desk.built()
    trust = desk.desk.trust_file
    trust.write_text("keys: [")
    with pytest.raises(Exception, match="this is no trust file"):
        desk.open().use.check({record.step: record}, SOURCE, revision=REVISION)
    assert desk.desk.quarantine.all() == []


def test_a_record_of_another_revision_does_not_bring_its_evidence_along(desk: Desk) -> None:
    record = desk.built()
    with pytest.raises(Exception, match="revision_mismatch"):
        desk.open().use.check({record.step: record}, SOURCE, revision="b" * 40)


def cached(desk: Desk, **changes: Any) -> tuple[StepRecord, str | None]:
    record = replace(desk.built(), cache_key="k" * 64)
    record = replace(desk.sign(record), **changes)
    return record, desk.open().use.why_not_cached(record, "k" * 64)


def test_a_cached_result_as_it_was_signed_may_be_used(desk: Desk) -> None:
    record, refused = cached(desk)
    assert refused is None
    assert (
        desk.desk.use.why_not_cached(replace(record, run_id="run-9", revision="b" * 40, step="a/b"), "k" * 64) is None
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passed": False}, "its provenance statement is of another result"),
        ({"outputs": (Artifact("dist/app-1.0.whl", "0" * 64, 4, "application/zip", None),)}, "is of another result"),
        ({"evidence": ()}, "what it claims was never signed"),
        ({"cache_key": "j" * 64}, "it was made under another key"),
    ],
)
def test_a_cached_result_that_was_changed_is_made_again(desk: Desk, changes: dict[str, Any], said: str) -> None:
    _record, refused = cached(desk, **changes)
    assert refused is not None
    assert said in refused


def test_a_cached_result_signed_by_a_key_nobody_trusts_is_made_again(desk: Desk) -> None:
    record, _refused = cached(desk)
    [key] = desk.desk.trust
    desk.desk.project_keys.rotate_development(environ={})
    desk.desk.project_keys.revoke(key.keyid, reason="stolen")
    refused = desk.open().use.why_not_cached(record, "k" * 64)
    assert refused is not None
    assert "was revoked: stolen" in refused


def test_an_sbom_too_large_for_a_statement_is_named_by_it_and_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.evidence.issue.MOST_INLINE", 10)
    built = desk.built()
    sbom = desk.store.put_bytes(b'{"bomFormat":"CycloneDX"}', name="sbom.cdx.json")
    desk.step("sbom/app", outputs=[sbom], claims=[Claim("sbom", CYCLONEDX, built.subjects, output="sbom.cdx.json")])
    status = desk.open().status("sbom", built.subjects[0], REVISION)
    assert status.entry is not None
    assert status.entry.predicate_type == REFERENCE
    assert [one.sha256 for one in status.entry.names] == [sbom.sha256]


def test_age_is_counted_from_what_the_statement_says(desk: Desk) -> None:
    desk.step("test/unit", claims=[unit_report()])
    age = of_tests(desk).age_hours(datetime.now(UTC) + timedelta(hours=5))
    assert age is not None
    assert round(age) == 5

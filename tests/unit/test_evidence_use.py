"""Nothing is used whose evidence does not hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import Claim, StepRecord, Subject
from maestro.errors import InputError
from maestro.evidence.contract import Contract
from maestro.evidence.errors import QuarantinedError
from maestro.evidence.index import Entry
from maestro.evidence.issue import digest_of
from maestro.evidence.types import CYCLONEDX, SLSA_PROVENANCE
from tests.unit.evidence_harness import REVISION, SOURCE, Desk, replace_digest, unit_report


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def use(desk: Desk, *records: StepRecord, revision: str = REVISION) -> None:
    desk.open().use.check({one.step: one for one in records}, SOURCE, revision=revision)


def with_bundle(desk: Desk, record: StepRecord, change: Callable[[dict[str, Any]], None]) -> StepRecord:
    """``record`` with its first bundle changed by somebody who can write to the store."""
    document = json.loads(desk.store.get_bytes(record.evidence[0].sha256))
    change(document)
    bundle = desk.store.put_bytes(json.dumps(document).encode(), name="provenance", media_type="application/json")
    return replace(record, evidence=(bundle, *record.evidence[1:]))


def change_payload(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def changed(document: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
        change(statement)
        document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return changed


def test_what_is_signed_and_unchanged_may_be_used(desk: Desk) -> None:
    use(desk, desk.built())


def test_provenance_says_what_it_was_built_from_and_how(desk: Desk) -> None:
    record = desk.built(key_parts={"inputs": "b" * 64, "kind": "shell 1"}, params={"command": "make"})
    status = desk.open().status("provenance", record.subjects[0], REVISION)
    assert status.verified is not None
    said = status.verified.statement.predicate
    assert said["buildDefinition"]["externalParameters"]["with"] == {"command": "make"}
    dependencies = {one["uri"]: one["digest"] for one in said["buildDefinition"]["resolvedDependencies"]}
    assert dependencies[SOURCE.uri] == {"gitCommit": REVISION}
    assert dependencies["maestro:cache-key/inputs"] == {"sha256": "b" * 64}
    assert said["runDetails"]["metadata"] == {
        "invocationId": "run-1",
        "startedOn": "2023-11-14T22:13:20Z",
        "finishedOn": "2023-11-14T22:13:22Z",
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (change_payload(lambda one: one["subject"][0]["digest"].update(sha256="f" * 64)), "signature_invalid"),
        (change_payload(lambda one: one.update(predicateType=CYCLONEDX)), "signature_invalid"),
        (lambda one: one["dsseEnvelope"].update(payloadType="application/json"), "wrong_type"),
        (lambda one: one["dsseEnvelope"]["signatures"].append({"sig": "AAAA"}), "two_payloads"),
        (lambda one: one.update(messageSignature={}), "two_payloads"),
        (lambda one: one["dsseEnvelope"]["signatures"][0].update(sig="AAAA"), "signature_invalid"),
    ],
)
def test_a_changed_statement_is_refused_and_its_subject_set_aside(
    desk: Desk, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    record = with_bundle(desk, desk.built(), change)
    with pytest.raises(QuarantinedError, match=rf"provenance statement sha256:.* does not verify: .*\({code}\)"):
        use(desk, record)
    aside = desk.open().quarantine.of(digest_of(record.subjects[0]))
    assert aside is not None
    assert code in aside.reason


def test_a_statement_by_a_key_nobody_trusts_is_refused(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    record = other.built()
    desk.built()
    for artifact in record.artifacts():
        desk.store.put_bytes(other.store.get_bytes(artifact.sha256), name=artifact.name)
    with pytest.raises(QuarantinedError, match="unknown_key"):
        use(desk, record)


def test_a_statement_of_another_revision_is_refused(desk: Desk) -> None:
    replayed = replace(desk.built(), revision="b" * 40)
    with pytest.raises(QuarantinedError, match=r"is of revision 'a{40}', not of 'b{40}'.*revision_mismatch"):
        use(desk, replayed, revision="b" * 40)


def test_a_statement_about_other_bytes_is_refused(desk: Desk) -> None:
    record = desk.built()
    kept, subject = desk.wheel(b"a wheel with something else in it")
    swapped = replace(
        record, outputs=(kept,), subjects=(subject,), claims=(replace(record.claims[0], subjects=(subject,)),)
    )
    with pytest.raises(QuarantinedError, match="subject_mismatch"):
        use(desk, swapped)


def test_bytes_that_are_not_those_of_the_subject_are_refused(desk: Desk) -> None:
    record = desk.built()
    kept, _subject = desk.wheel(b"a wheel with something else in it")
    with pytest.raises(QuarantinedError, match=r"result_mismatch"):
        use(desk, replace(record, outputs=(kept,)))


def test_a_claim_that_was_never_signed_is_refused(desk: Desk) -> None:
    with pytest.raises(QuarantinedError, match=r"it was never signed"):
        use(desk, replace(desk.built(), evidence=()))


def test_a_statement_that_is_gone_is_refused(desk: Desk) -> None:
    record = desk.built()
    desk.store.delete(record.evidence[0].sha256)
    with pytest.raises(QuarantinedError, match="unreadable"):
        use(desk, record)


def test_a_revoked_key_takes_its_statements_with_it_a_retired_one_does_not(desk: Desk) -> None:
    record = desk.built()
    keys = desk.desk.project_keys
    keys.rotate_development(environ={})
    use(desk, record)
    old = next(one for one in keys.trust() if one.retired_at is not None)
    keys.revoke(old.keyid, reason="laptop stolen")
    with pytest.raises(QuarantinedError, match="revoked"):
        use(desk, record)


def test_what_a_person_set_aside_stays_so_until_released(desk: Desk) -> None:
    record = desk.built()
    desk.desk.set_aside(record.subjects[0], "built on a stolen laptop", revision=None, step=None)
    with pytest.raises(QuarantinedError, match="is in quarantine: built on a stolen laptop"):
        use(desk, record)
    desk.desk.release(digest_of(record.subjects[0]), "found again")
    use(desk, record)


def test_releasing_what_is_not_set_aside_says_so(desk: Desk) -> None:
    with pytest.raises(InputError, match="sha256:0 is not in quarantine"):
        desk.desk.release("sha256:0", "why not")


def test_the_contract_holds_when_everything_required_is_there(desk: Desk) -> None:
    built, tests = desk.built(), desk.step("test/unit", claims=[unit_report()])
    contract = Contract(("provenance", "test-report"))
    desk.open().use.check_contract(contract, {one.step: one for one in (built, tests)}, {}, SOURCE, revision=REVISION)


def test_missing_evidence_that_the_contract_requires_is_named(desk: Desk) -> None:
    built = desk.built()
    with pytest.raises(QuarantinedError, match=r"there is no sbom statement about sha256:.*contract requires"):
        desk.open().use.check_contract(Contract(("sbom",)), {built.step: built}, {}, SOURCE, revision=REVISION)


def test_behind_a_gate_only_what_it_let_through_must_fulfil_the_contract(desk: Desk) -> None:
    built = desk.built()
    kept, other = desk.wheel(b"not for release", name="dist/other.whl")
    rest = desk.step("package/other", outputs=[kept], subjects=[other])
    decision = Claim("decision", "https://maestro.example/attestation/decision/v1", built.subjects, {"allow": True})
    gate = desk.step("release/gate", claims=[decision], kind="gate")
    records = {one.step: one for one in (built, rest, gate)}
    desk.open().use.check_contract(Contract(("provenance",)), records, {gate.step: gate}, SOURCE, revision=REVISION)


def test_a_statement_is_not_made_twice_for_one_revision_and_anew_for_another(desk: Desk) -> None:
    first = desk.step("test/unit", claims=[unit_report()])
    again = desk.step("test/unit", claims=[unit_report()], run_id="run-2")
    assert first.evidence == again.evidence
    elsewhere = desk.step("test/unit", claims=[unit_report()], revision="b" * 40)
    assert elsewhere.evidence != first.evidence
    status = desk.open().status("test-report", replace_digest(SOURCE, "b" * 40), "b" * 40)
    assert status.state == "verified"


def test_every_statement_has_a_row_in_the_audit_log_and_a_copy_in_the_vault(desk: Desk) -> None:
    desk.built()
    entry: Entry = desk.desk.index.of_revision("shop", REVISION)[0]
    assert entry.audit_index is not None
    row = next(desk.desk.audit.entries(entry.audit_index, entry.audit_index + 1))
    assert row.kind == "evidence.signed"
    assert row.data["bundle"] == f"sha256:{entry.bundle.sha256}"
    assert entry.vault is not None
    assert desk.desk.vault.get(entry.vault["key"]) == desk.store.get_bytes(entry.bundle.sha256)


def test_a_claim_from_an_output_the_step_did_not_leave_says_which(desk: Desk) -> None:
    claim = Claim("sbom", CYCLONEDX, (Subject("app", {"sha256": "c" * 64}),), output="sbom.cdx.json")
    with pytest.raises(Exception, match=r"step 'sbom/app' claims 'sbom' from output 'sbom.cdx.json', which it did not"):
        desk.step("sbom/app", claims=[claim])


def test_an_unknown_evidence_type_says_which_there_are(desk: Desk) -> None:
    with pytest.raises(InputError, match="there is no evidence type 'sboms'"):
        desk.step("x/y", claims=[Claim("sboms", SLSA_PROVENANCE, ())])

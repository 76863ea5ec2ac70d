"""What a step has delivered is what later steps have signed about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maestro.artifacts import Claim, StepRecord
from maestro.evidence.agreement import DECISION, JUDGED, check_newest
from maestro.evidence.errors import EvidenceError
from maestro.evidence.issue import digest_of
from maestro.evidence.types import DECISION as DECISION_TYPE
from maestro.evidence.types import SLSA_PROVENANCE
from tests.unit.evidence_harness import REVISION, SOURCE, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def wheel_step(desk: Desk, content: bytes) -> StepRecord:
    """A step that delivers a wheel and signs nothing."""
    kept, subject = desk.wheel(content)
    return desk.step("package/wheel", outputs=[kept], subjects=[subject])


def prove(desk: Desk, built: StepRecord) -> StepRecord:
    return desk.step("package/prove", claims=[Claim("provenance", SLSA_PROVENANCE, built.subjects, of_step=built.step)])


def decide(desk: Desk, built: StepRecord, **more: object) -> StepRecord:
    said = {"allow": True, JUDGED: {built.step: [digest_of(one) for one in built.subjects]}, **more}
    return desk.step("package/gate", kind="gate", claims=[Claim(DECISION, DECISION_TYPE, built.subjects, said)])


def use(desk: Desk, *records: StepRecord) -> None:
    desk.open().use.check({one.step: one for one in records}, SOURCE, revision=REVISION)


def test_what_was_signed_later_about_a_step_may_be_used(desk: Desk) -> None:
    built = wheel_step(desk, b"wheel")
    use(desk, built, prove(desk, built), decide(desk, built))


def test_another_delivery_than_the_one_whose_provenance_was_signed_is_refused(desk: Desk) -> None:
    built = wheel_step(desk, b"wheel")
    proven = prove(desk, built)
    with pytest.raises(
        EvidenceError, match=r"provenance statement sha256:\w+ of step 'package/prove' is about sha256:"
    ):
        use(desk, wheel_step(desk, b"another"), proven)


def test_another_delivery_than_the_one_a_gate_has_judged_is_refused(desk: Desk) -> None:
    built = wheel_step(desk, b"wheel")
    decided = decide(desk, built)
    with pytest.raises(
        EvidenceError, match=r"decision statement .* of step 'package/wheel', which has delivered sha256:"
    ):
        use(desk, wheel_step(desk, b"another"), decided)


def test_a_delivery_that_is_hidden_from_its_record_is_refused(desk: Desk) -> None:
    built = wheel_step(desk, b"wheel")
    with pytest.raises(EvidenceError, match="which has delivered nothing"):
        use(desk, replace(built, subjects=()), decide(desk, built))


def test_of_a_gate_only_the_newest_decision_counts(desk: Desk) -> None:
    built = wheel_step(desk, b"wheel")
    allowed, denied = decide(desk, built), decide(desk, built, allow=False)
    logged = desk.open().logged(REVISION)
    check_newest("package/gate", denied, logged)
    with pytest.raises(
        EvidenceError, match=rf"its newest decision statement sha256:{denied.evidence[0].sha256} \(row \d"
    ):
        check_newest("package/gate", allowed, logged)


def test_a_document_that_was_changed_in_the_store_takes_its_statement_with_it(desk: Desk) -> None:
    kept, subject = desk.wheel()
    report = desk.store.put_bytes(b'{"a": 1}', name="report.json")
    claim = Claim("provenance", SLSA_PROVENANCE, (subject,), predicate={"a": 1}, report="report.json")
    record = desk.step("package/wheel", outputs=[kept, report], subjects=[subject], claims=[claim])
    use(desk, record)
    desk.store.delete(report.sha256)
    with pytest.raises(EvidenceError, match=r"its document report.json \(sha256:\w+\) is gone from the store"):
        use(desk, record)

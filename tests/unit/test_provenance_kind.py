"""The kind ``attest.provenance``: whose deliveries it claims provenance of."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.provenance import ATTEST_PROVENANCE
from maestro.evidence.types import SLSA_PROVENANCE
from tests.unit.evidence_harness import Desk, unit_report
from tests.unit.step_harness import Harness, harness


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "desk").mkdir()
    made = Desk(tmp_path / "desk")
    for name in ("app", "other"):
        kept, subject = made.wheel(name.encode(), name=f"dist/{name}.whl")
        made.step(f"package/{name}", outputs=[kept], subjects=[subject])
    made.step("test/unit", claims=[unit_report()])
    return made


@pytest.fixture
def step(desk: Desk, tmp_path: Path) -> Harness:
    made = harness(tmp_path)
    made.records = dict(desk.records)
    return made


def test_every_delivery_before_it_is_claimed_in_the_name_of_the_step_that_made_it(step: Harness) -> None:
    result = step.run(ATTEST_PROVENANCE)
    assert (result.passed, result.summary) == (True, "provenance of 2 subjects")
    claims = [
        (one.type, one.predicate_type, one.of_step, [each.name for each in one.subjects]) for one in result.claims
    ]
    assert claims == [
        ("provenance", SLSA_PROVENANCE, "package/app", ["dist/app.whl"]),
        ("provenance", SLSA_PROVENANCE, "package/other", ["dist/other.whl"]),
    ]
    assert all(one.predicate is None for one in result.claims), "Maestro writes it, not the step"
    assert [row["made by"] for row in result.metadata["subjects"]] == ["package/app", "package/other"]


@pytest.mark.parametrize("name", ["other", "package/other"])
def test_only_the_steps_that_are_named_are_claimed(step: Harness, name: str) -> None:
    result = step.run(ATTEST_PROVENANCE, of=[name])
    assert [one.of_step for one in result.claims] == ["package/other"]
    assert result.summary == "provenance of 1 subject"


@pytest.mark.parametrize("name", ["unit", "nothing", "other/app"])
def test_a_step_that_delivered_nothing_fails_it_and_nothing_is_claimed(step: Harness, name: str) -> None:
    result = step.run(ATTEST_PROVENANCE, of=["app", name])
    assert (result.passed, result.summary, result.claims) == (False, f"nothing was delivered by {name}", ())


def test_without_any_delivery_it_fails(step: Harness) -> None:
    step.records = {name: record for name, record in step.records.items() if not record.subjects}
    result = step.run(ATTEST_PROVENANCE)
    assert (result.passed, result.summary) == (False, "no step before this one has delivered anything")


@pytest.mark.parametrize("params", [{"of": []}, {"of": "app"}, {"off": ["app"]}])
def test_parameters_that_make_no_sense_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ATTEST_PROVENANCE.params.model_validate(params)


def test_it_says_beforehand_what_it_would_sign_and_is_never_cached() -> None:
    assert ATTEST_PROVENANCE.describe(ATTEST_PROVENANCE.params()) == "Signs the provenance of what was delivered."
    assert ATTEST_PROVENANCE.describe(ATTEST_PROVENANCE.params(of=["a", "b"])) == "Signs the provenance of a, b."
    assert not ATTEST_PROVENANCE.cached(ATTEST_PROVENANCE.params())

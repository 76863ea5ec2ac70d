"""What the provenance of one step's delivery takes from the steps around it."""

from __future__ import annotations

from typing import Any

from maestro.artifacts import Material, StepRecord, Subject
from maestro.evidence.provenance import provenance

SHA = "a" * 64
IMAGE = Material("pkg:oci/debian@sha256%3Aaa", {"sha256": SHA}, "debian")
PROMPT = Material("maestro:prompt/review@1", {"sha256": SHA}, "prompt review 1")


def record(step: str, *materials: Material) -> StepRecord:
    return StepRecord(
        project="shop",
        workflow="flow",
        revision="1",
        step=step,
        kind="shell",
        kind_version="1",
        cache_key=None,
        passed=True,
        summary="",
        outputs=(),
        run_id="r",
        made_by_run="r",
        started=0.0,
        seconds=0.0,
        cache="off",
        materials=materials,
    )


def dependencies(about: StepRecord, *, before: StepRecord | None = None, proof: StepRecord | None = None) -> list[Any]:
    """URI and name of each, without the source."""
    made = provenance(
        about,
        builder="b",
        source=Subject("shop", {"gitCommit": "b" * 40}),
        upstream={before.step: before} if before else {},
        before_proof={one.step: one for one in (proof, about) if one} if proof else None,
    )
    return [(one["uri"], one["name"]) for one in made["buildDefinition"]["resolvedDependencies"][1:]]


def test_what_a_step_itself_was_made_from_is_named_once() -> None:
    about = record("all/keep", IMAGE, PROMPT)
    expected = [(IMAGE.uri, "debian"), (PROMPT.uri, "prompt review 1")]
    assert dependencies(about) == expected
    assert dependencies(about, proof=record("all/other")) == expected


def test_a_prompt_of_a_step_before_it_or_before_its_proof_is_named_with_that_step() -> None:
    review = record("all/review", PROMPT)
    expected = [(PROMPT.uri, "all/review: prompt review 1")]
    assert dependencies(record("all/keep"), before=review) == expected
    assert dependencies(record("all/keep"), proof=review) == expected
    assert dependencies(record("all/keep"), before=review, proof=review) == expected


def test_base_images_of_another_step_are_not_its_own() -> None:
    assert dependencies(record("all/keep"), before=record("all/image", IMAGE)) == []

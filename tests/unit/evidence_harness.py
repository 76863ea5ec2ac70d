"""A desk on a folder of its own, and records of steps that have left something behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maestro.artifacts import Artifact, ArtifactStore, Claim, StepRecord, Subject
from maestro.evidence.config import EvidenceConfig, PolicyConfig
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.issue import IssueContext
from maestro.evidence.types import SLSA_PROVENANCE, TEST_RESULT

REVISION = "a" * 40
SOURCE = Subject("shop", {"gitCommit": REVISION}, "git+https://git.example/shop.git@" + REVISION)


@dataclass
class Desk:
    """One project's desk, its store, and the records of its steps."""

    folder: Path
    config: EvidenceConfig = field(default_factory=EvidenceConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)

    def __post_init__(self) -> None:
        self.store = ArtifactStore.open(str(self.folder / "artifacts"))
        self.records: dict[str, StepRecord] = {}
        self.open()

    def open(self) -> EvidenceDesk:
        """The desk as a later process would open it."""
        self.desk = EvidenceDesk(
            self.folder, "shop", self.store, self.config, self.policy, {}, actor="ann", now=lambda: datetime.now(UTC)
        )
        return self.desk

    def wheel(self, content: bytes = b"wheel", name: str = "dist/app-1.0.whl") -> tuple[Artifact, Subject]:
        """A package in the store, and as a subject."""
        kept = self.store.put_bytes(content, name=name, media_type="application/zip")
        return kept, Subject(name, {"sha256": kept.sha256}, media_type="application/zip", output=name)

    def step(
        self,
        name: str,
        *,
        outputs: Sequence[Artifact] = (),
        subjects: Sequence[Subject] = (),
        claims: Sequence[Claim] = (),
        revision: str = REVISION,
        **more: Any,
    ) -> StepRecord:
        """A step that ran, its claims signed."""
        record = StepRecord(
            project="shop",
            workflow="delivery",
            revision=revision,
            step=name,
            kind=more.pop("kind", "shell"),
            kind_version="1",
            cache_key=None,
            passed=True,
            summary="",
            outputs=tuple(outputs),
            run_id=more.pop("run_id", "run-1"),
            made_by_run="run-1",
            started=1_700_000_000.0,
            seconds=2.0,
            made_started=1_700_000_000.0,
            made_seconds=2.0,
            cache="off",
            subjects=tuple(subjects),
            claims=tuple(claims),
            **more,
        )
        return self.sign(record)

    def sign(self, record: StepRecord) -> StepRecord:
        """``record`` with its claims signed, and remembered."""
        source = replace_digest(SOURCE, record.revision)
        context = IssueContext(
            source=source,
            upstream_of=lambda name: {one: found for one, found in self.records.items() if one != name},
            record_of={**self.records, record.step: record}.get,
            actor="ann",
        )
        signed = self.desk.issue(record, context)
        self.records[record.step] = signed
        return signed

    def built(self, **more: Any) -> StepRecord:
        """A step that delivered one wheel with provenance."""
        kept, subject = self.wheel()
        return self.step(
            "package/wheel",
            outputs=[kept],
            subjects=[subject],
            claims=[Claim("provenance", SLSA_PROVENANCE, (subject,))],
            **more,
        )


def replace_digest(source: Subject, revision: str) -> Subject:
    """``source`` of another revision."""
    return replace(source, digest={"gitCommit": revision})


def unit_report(failed: Sequence[str] = ()) -> Claim:
    """What a test step claims about the source."""
    predicate: Mapping[str, Any] = {
        "result": "FAILED" if failed else "PASSED",
        "configuration": [{"name": "pytest"}],
        "passedTests": ["test_a"],
        "failedTests": list(failed),
    }
    return Claim("test-report", TEST_RESULT, (), predicate)

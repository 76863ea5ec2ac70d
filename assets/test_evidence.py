"""What a test step says about the source: in-toto test result v0.1.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md. Beside its fields stands ``counts``,
since the lists of names are cut.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from assets.report import Status, TestReport
from maestro.artifacts import Claim
from maestro.evidence.types import TEST_RESULT
from maestro.steps import BaseParams

NAMES = 1_000
"""Names of passed and of failed tests that are listed at most."""
_LONGEST = 300


def result_claim(kind: str, params: BaseParams, passed: bool, report: TestReport | None) -> Claim:
    """The claim of one test step about the revision it ran on.

    Args:
        kind: of the step; with ``params`` it is the configuration.
        passed: whether the step passed, which may fail though no test did.
        report: None when the tests were not counted.
    """
    configured = json.dumps(params.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    predicate: dict[str, Any] = {
        "result": "PASSED" if passed else "FAILED",
        "configuration": [{"name": kind, "digest": {"sha256": hashlib.sha256(configured.encode()).hexdigest()}}],
    }
    if report is not None:
        predicate |= {
            "passedTests": _names(report, "passed"),
            "failedTests": _names(report, "failed", "error"),
            "counts": {
                "passed": report.passed,
                "failed": report.failed + report.errors,
                "skipped": report.skipped,
            },
        }
    return Claim("test-report", TEST_RESULT, predicate=predicate)


def _names(report: TestReport, *statuses: Status) -> list[str]:
    """Sorted, so that what is cut does not depend on the order the tests ran in."""
    names = (f"{case.suite}::{case.name}".removeprefix("::") for case in report.cases if case.status in statuses)
    return sorted(name[:_LONGEST] for name in names)[:NAMES]

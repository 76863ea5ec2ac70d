"""A comparison as JSON, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from maestro.sbom.comparison import Comparison, SubjectDiff


def to_json(comparison: Comparison) -> dict[str, Any]:
    """A dict of JSON types: schema 1."""
    return {
        "schema": 1,
        "before": comparison.before,
        "after": comparison.after,
        "subjects": [_subject(one) for one in comparison.subjects],
    }


def _subject(subject: SubjectDiff) -> dict[str, Any]:
    diff, found = subject.components, subject.vulnerabilities
    return {
        "name": subject.name,
        "only": subject.only,
        "components": {"before": diff.before, "after": diff.after, "unchanged": diff.unchanged},
        "added": [one.to_json() for one in diff.added],
        "removed": [one.to_json() for one in diff.removed],
        "changed": [
            {"before": one.before.to_json(), "after": one.after.to_json(), "direction": one.direction}
            for one in diff.changed
        ],
        "licenses": [
            {"component": one.component.to_json(), "before": list(one.before), "after": list(one.after)}
            for one in diff.licenses
        ],
        "new_licenses": dict(diff.new_licenses),
        "vulnerabilities": None
        if found is None
        else {
            "unknown": found.unknown,
            "new": [asdict(one) for one in found.new],
            "gone": [asdict(one) for one in found.gone],
            "still": found.still,
        },
    }

"""Step kind ``scan.secrets``: looks for secrets in the source."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from assets import places
from assets.secret_report import MEDIA_TYPE, SecretFinding, SecretReport, State, read_baseline
from assets.secret_scanners import Searched, detect_secrets, gitleaks
from assets.step_reports import write_report
from maestro.artifacts import Claim
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

PREDICATE_TYPE = "https://maestro.example/attestation/secret-scan/v1"
_REPORT = "secrets.json"
_MOST_ROWS = 200


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SecretParams(BaseParams):
    """Parameters of ``scan.secrets``."""

    scanner: Literal["auto", "detect-secrets", "gitleaks"] = Field(
        "auto", description="`auto` is detect-secrets, and gitleaks too where it is installed."
    )
    baseline: str | None = Field(
        None, min_length=1, description="Baseline of detect-secrets; what stands in it is known and does not count."
    )
    exclude: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list, description="Globs over paths that are not looked at; `*` matches `/` too."
    )
    fail_on_findings: bool = Field(True, description="False: passes with findings; a gate decides.")
    required: bool = Field(True, description="False: passes when not everything could be scanned.")


def _run(context: StepContext, params: SecretParams) -> StepResult:
    known: frozenset[str] = frozenset()
    exclude = list(params.exclude)
    if params.baseline is not None:
        known = read_baseline(places.inside(context.workspace, params.baseline, "baseline"), params.baseline)
        # It holds hashes, which look like secrets.
        exclude.append(params.baseline)
    files = _files(context, exclude)
    if files is None:
        return _result(context, params, _report([], [], known, "git could not list the files of the workspace"))
    if not files:
        return _result(context, params, _report([], [], known, "there are no files to look at"))
    return _result(context, params, _report(_searched(context, params, files), files, known, None))


def _files(context: StepContext, exclude: Sequence[str]) -> list[str] | None:
    """The files of the revision: tracked, or new and not ignored. Links and submodules hold no text of it."""
    names = _listed(context) if (context.workspace / ".git").exists() else _walked(context.workspace)
    if names is None:
        return None
    found = [name for name in sorted(names) if not any(fnmatchcase(name, pattern) for pattern in exclude)]
    places_of = ((name, context.workspace / name) for name in found)
    return [name for name, place in places_of if place.is_file() and not place.is_symlink()]


def _listed(context: StepContext) -> set[str] | None:
    listed = context.scratch / "files"
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if context.run_process(argv, stdout=listed).exit_code != 0:
        return None
    return {one.decode("utf-8", "surrogateescape") for one in listed.read_bytes().split(b"\0") if one}


def _walked(workspace: Path) -> set[str]:
    """Every file: a checkout of a repository without commits is no repository, and git would ask the one around it."""
    found: set[str] = set()
    for parent, folders, names in os.walk(workspace):
        folders[:] = [one for one in folders if one not in (".git", ".maestro")]
        found |= {Path(parent, name).relative_to(workspace).as_posix() for name in names}
    return found


def _searched(context: StepContext, params: SecretParams, files: Sequence[str]) -> list[Searched]:
    found: list[Searched] = []
    if params.scanner != "gitleaks":
        found.append(detect_secrets(context, files))
    program = context.which("gitleaks") if params.scanner != "detect-secrets" else None
    if program is not None:
        found.append(gitleaks(context, program, files))
    elif params.scanner == "gitleaks":
        found.append(Searched("gitleaks", problem="gitleaks is not installed"))
    return found


def _report(
    searched: Sequence[Searched], files: Sequence[str], known: frozenset[str], problem: str | None
) -> SecretReport:
    every = {(one.file, one.line, one.type): one for each in searched for one in each.findings}
    fresh = [one for one in every.values() if one.fingerprint not in known]
    unread = tuple(sorted({one for each in searched for one in each.unread}))
    reasons = [problem, *(each.problem for each in searched)]
    if unread:
        more = f", and {len(unread) - 1} more" if len(unread) > 1 else ""
        reasons.append(
            f"'{unread[0][0]}' was not looked at: {unread[0][1]}{more}; leave out what may be with 'exclude'"
        )
    reason = "; ".join(one for one in reasons if one) or None
    state: State = "not_scanned" if reason else "findings" if fresh else "clean"
    return SecretReport(
        state=state,
        reason=reason,
        scanners={each.scanner: each.version for each in searched},
        scanned_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        files=len(files),
        findings=tuple(sorted(fresh, key=lambda one: (one.file, one.line, one.type))),
        known=len(every) - len(fresh),
        unread=unread,
    )


def _result(context: StepContext, params: SecretParams, report: SecretReport) -> StepResult:
    data = json.dumps(report.to_json(), indent=1).encode() + b"\n"
    path = write_report(context, "scan.secrets", _REPORT, data)
    for one in report.findings:
        context.log.info("%s:%d: %s", one.file, one.line, one.type)
    if report.reason:
        context.log.warning("not scanned: %s", report.reason)
    failed = (report.findings and params.fail_on_findings) or (report.state == "not_scanned" and params.required)
    return StepResult(
        passed=not failed,
        summary=_summary(report),
        outputs=[Output(_REPORT, path, MEDIA_TYPE)],
        values={"state": report.state, "findings": len(report.findings)},
        metadata=_metadata(report),
        claims=[Claim("secrets", PREDICATE_TYPE, predicate=report.to_json(), report=_REPORT)],
    )


def _summary(report: SecretReport) -> str:
    count = len(report.findings)
    said = f"{count} place{'' if count == 1 else 's'} with what may be a secret" if count else "no secrets"
    if report.state == "not_scanned":
        return f"not scanned: {report.reason}" + (f" ({said} so far)" if count else "")
    text = f"{said} in {report.files:,} files"
    return f"{text}, {report.known} known" if report.known else text


def _metadata(report: SecretReport) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "state": report.state,
        "findings": len(report.findings),
        "known": report.known,
        "files": report.files,
        "unread": len(report.unread),
        "scanners": ", ".join(f"{name} {version}" for name, version in report.scanners.items()),
    }
    if report.findings:
        metadata["table"] = [_row(one) for one in report.findings[:_MOST_ROWS]]
    return metadata


def _row(finding: SecretFinding) -> dict[str, Any]:
    return {"file": finding.file, "line": finding.line, "type": finding.type, "scanner": finding.scanner}


def _describe(params: SecretParams) -> str:
    by = "detect-secrets, and gitleaks if it is installed" if params.scanner == "auto" else params.scanner
    return f"Looks for secrets in the source with {by}."


def _requires(_context: PlanContext, params: SecretParams) -> list[Requirement]:
    git = Requirement("git", "install git: apt install git")
    if params.scanner != "gitleaks":
        return [git]
    return [git, Requirement("gitleaks", "install gitleaks, or leave out `scanner: gitleaks`", ("version",))]


SCAN_SECRETS = StepKind(
    name="scan.secrets",
    version="1",
    params=SecretParams,
    run=_run,
    summary="Looks for secrets in the source; what was not looked at is not clean.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("scan",),
    check="was_scanned",
    # Which scanners there are is no part of the cache key.
    cached=lambda params: params.scanner == "detect-secrets",
    confined=True,
)

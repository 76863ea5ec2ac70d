"""Step kind ``scan.secrets``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assets.secret_worker import answered
from assets.secrets import SCAN_SECRETS
from maestro.errors import InputError
from maestro.steps import StepResult
from tests.unit.step_harness import Harness, harness

# Put together here, so that this file itself holds nothing that looks like a key.
KEY = "AKIA" + "IOSFODNN7ABCDEF" + "Q"
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    made = harness(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=made.workspace, check=True)
    # gitleaks of the machine must not take part unless a test says so.
    made.env["PATH"] = "/usr/bin:/bin"
    return made.write({"readme.md": "hello\n", ".gitignore": "ignored/\nreports/\n"})


def report(step: Harness, result: StepResult) -> dict[str, Any]:
    (output,) = result.outputs
    document: dict[str, Any] = json.loads((step.workspace / output.path).read_bytes())
    return document


def places(step: Harness, result: StepResult) -> list[tuple[str, int, str]]:
    return [(one["file"], one["line"], one["type"]) for one in report(step, result)["findings"]]


def test_a_source_without_secrets_is_clean(step: Harness) -> None:
    result = step.run(SCAN_SECRETS)
    made = report(step, result)
    assert (result.passed, made["state"], made["files"]) == (True, "clean", 2)
    assert made["scanners"][0]["name"] == "detect-secrets"
    assert result.summary == "no secrets in 2 files"


def test_a_secret_is_found_by_file_line_and_type(step: Harness) -> None:
    step.write({"src/app.py": f"import os\nkey = '{KEY}'\n"})
    result = step.run(SCAN_SECRETS)
    assert not result.passed
    assert ("src/app.py", 2, "AWS Access Key") in places(step, result)
    assert step.run(SCAN_SECRETS, fail_on_findings=False).passed


def test_the_secret_itself_is_nowhere_in_report_claim_metadata_or_log(step: Harness) -> None:
    step.write({"src/app.py": f"key = '{KEY}'\ntoken = '{TOKEN}'\n"})
    result = step.run(SCAN_SECRETS)
    said = json.dumps([report(step, result), dict(result.metadata), result.summary]) + step.log
    said += json.dumps([claim.to_json() for claim in result.claims])
    assert "src/app.py" in said
    assert KEY not in said
    assert TOKEN not in said


def test_a_fingerprint_stays_when_lines_move_and_differs_between_files_and_secrets(step: Harness) -> None:
    def fingerprints(files: dict[str, str]) -> set[str]:
        step.write(files)
        return {one["fingerprint"] for one in report(step, step.run(SCAN_SECRETS))["findings"] if "AWS" in one["type"]}

    first = fingerprints({"a.py": f"key = '{KEY}'\n"})
    assert fingerprints({"a.py": f"\n\nkey = '{KEY}'\n"}) == first
    assert len(fingerprints({"b.py": f"key = '{KEY}'\n"})) == 2
    assert not fingerprints({"a.py": f"key = '{KEY[:-1]}Z'\n", "b.py": ""}) & first


def test_ignored_files_links_and_git_itself_are_no_source(step: Harness) -> None:
    step.write({"ignored/key.py": f"key = '{KEY}'\n", ".git/key.py": f"key = '{KEY}'\n"})
    (step.workspace / "link.py").symlink_to("ignored/key.py")
    assert report(step, step.run(SCAN_SECRETS))["state"] == "clean"


def test_files_may_be_left_out(step: Harness) -> None:
    step.write({"tests/deep/key.py": f"key = '{KEY}'\n"})
    assert not step.run(SCAN_SECRETS).passed
    assert step.run(SCAN_SECRETS, exclude="tests/*").passed


def test_what_stands_in_the_baseline_is_known_unless_it_was_audited_to_be_a_secret(step: Harness) -> None:
    import hashlib

    step.write({"app.py": f"key = '{KEY}'  # one\n"})
    before = report(step, step.run(SCAN_SECRETS))["findings"]
    entries = [
        {"type": one["type"], "hashed_secret": hashlib.sha1(KEY.encode(), usedforsecurity=False).hexdigest()}
        for one in before
    ]
    step.write({"baseline.json": json.dumps({"results": {"app.py": entries}})})
    result = step.run(SCAN_SECRETS, baseline="baseline.json")
    made = report(step, result)
    assert (result.passed, made["state"], made["known"]) == (True, "clean", len(before))
    audited = [{**one, "is_secret": True} for one in entries]
    step.write({"baseline.json": json.dumps({"results": {"app.py": audited}})})
    assert not step.run(SCAN_SECRETS, baseline="baseline.json").passed


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": {"a": [{}]}}'])
def test_a_baseline_that_is_none_is_refused(step: Harness, content: str) -> None:
    step.write({"baseline.json": content})
    with pytest.raises(InputError, match="this is no baseline of detect-secrets"):
        step.run(SCAN_SECRETS, baseline="baseline.json")


def test_text_that_is_not_utf_8_is_looked_at_and_what_is_no_text_is_not(step: Harness) -> None:
    (step.workspace / "latin.py").write_bytes(f"# caf\xe9\nkey = '{KEY}'\n".encode("latin-1"))
    (step.workspace / "image.bin").write_bytes(b"\0" + KEY.encode())
    result = step.run(SCAN_SECRETS)
    assert {one[0] for one in places(step, result)} == {"latin.py"}


def test_a_file_that_is_too_long_makes_it_not_scanned(step: Harness) -> None:
    step.write({"long.txt": "x\n" * 3_000_000})
    result = step.run(SCAN_SECRETS)
    made = report(step, result)
    assert (result.passed, made["state"]) == (False, "not_scanned")
    assert made["unread"] == [{"file": "long.txt", "reason": "it has 6,000,000 bytes, and 5,242,880 are looked at"}]
    assert result.summary.startswith("not scanned: 'long.txt' was not looked at")
    assert step.run(SCAN_SECRETS, exclude=["long.txt"]).passed
    assert step.run(SCAN_SECRETS, required=False).passed


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    answer = answered(tmp_path, ["gone.txt", "folder"], tmp_path, 100)
    assert answer["unread"] == [
        {"file": "gone.txt", "reason": "it cannot be read: No such file or directory"},
        {"file": "folder", "reason": "it cannot be read: Is a directory"},
    ]


def test_a_checkout_without_git_in_the_ignored_folder_of_a_repository_is_looked_at_whole(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("*\n")
    step = harness(tmp_path).write({"a/app.py": f"key = '{KEY}'\n"})
    assert {one[0] for one in places(step, step.run(SCAN_SECRETS))} == {"a/app.py"}


def test_a_repository_that_git_cannot_read_is_not_scanned(tmp_path: Path) -> None:
    step = harness(tmp_path).write({"a.txt": "a", ".git": "gitdir: nowhere\n"})
    result = step.run(SCAN_SECRETS)
    assert (result.passed, result.summary) == (False, "not scanned: git could not list the files of the workspace")


def test_no_files_at_all_are_not_scanned(step: Harness) -> None:
    result = step.run(SCAN_SECRETS, exclude="*")
    assert (result.passed, result.summary) == (False, "not scanned: there are no files to look at")


def test_nothing_in_the_workspace_takes_the_place_of_a_module(step: Harness) -> None:
    step.write({"detect_secrets/__init__.py": "raise SystemExit(0)\n", "json.py": "raise SystemExit(0)\n"})
    step.env["PYTHONPATH"] = str(step.workspace)
    assert report(step, step.run(SCAN_SECRETS))["state"] == "clean"


def test_a_scanner_that_crashes_did_not_scan(step: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    result = step.run(SCAN_SECRETS)
    assert (result.passed, report(step, result)["state"]) == (False, "not_scanned")
    assert "detect-secrets ended with exit code 1" in result.summary


def gitleaks(step: Harness, body: str) -> None:
    folder = step.private / "bin"
    folder.mkdir()
    (folder / "gitleaks").write_text(f"#!/bin/bash\nif [ $1 = version ]; then echo 8.30.0; exit; fi\n{body}\n")
    (folder / "gitleaks").chmod(0o755)
    step.env["PATH"] = f"{folder}:/usr/bin:/bin"


GITLEAKS = """
case "$*" in *--redact=100*) ;; *) exit 9;; esac
for one in "$@"; do case "$one" in --report-path=*) answer=${one#--report-path=};; esac; done
tree="${@: -1}"
test ! -e "$tree/ignored" || exit 8
printf '[{"RuleID":"aws-access-token","File":"%s/app.py","StartLine":1,"EndLine":1,"Secret":"REDACTED"}]' "$tree" > "$answer"
"""


def test_gitleaks_takes_part_where_it_is_installed_and_sees_only_the_source(step: Harness) -> None:
    gitleaks(step, GITLEAKS)
    step.write({"app.py": f"key = '{KEY}'\n", "ignored/x.py": "x"})
    result = step.run(SCAN_SECRETS)
    made = report(step, result)
    assert [one["name"] for one in made["scanners"]] == ["detect-secrets", "gitleaks"]
    assert ("app.py", 1, "aws-access-token") in places(step, result)
    assert KEY not in json.dumps(made)
    alone = step.run(SCAN_SECRETS, scanner="gitleaks")
    assert places(step, alone) == [("app.py", 1, "aws-access-token")]


def test_a_gitleaks_that_fails_makes_it_not_scanned(step: Harness) -> None:
    gitleaks(step, "exit 3")
    result = step.run(SCAN_SECRETS)
    assert (result.passed, report(step, result)["state"]) == (False, "not_scanned")
    assert "gitleaks ended with exit code 3" in result.summary
    assert step.run(SCAN_SECRETS, scanner="detect-secrets").passed


def test_a_gitleaks_that_is_missing_is_named_beforehand_and_did_not_scan(step: Harness) -> None:
    assert step.requires(SCAN_SECRETS, scanner="gitleaks") == ["git", "gitleaks"]
    assert step.run(SCAN_SECRETS, scanner="gitleaks").summary == "not scanned: gitleaks is not installed"


def test_the_claim_is_about_the_source(step: Harness) -> None:
    (claim,) = step.run(SCAN_SECRETS).claims
    assert (claim.type, claim.subjects, claim.report) == ("secrets", (), "secrets.json")
    assert claim.predicate_type == "https://maestro.example/attestation/secret-scan/v1"


def test_it_says_what_it_would_do() -> None:
    assert (
        SCAN_SECRETS.describe(SCAN_SECRETS.params(scanner="gitleaks"))
        == "Looks for secrets in the source with gitleaks."
    )

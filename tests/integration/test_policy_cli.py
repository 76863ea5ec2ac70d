"""``maestro policy`` and ``maestro waivers``, as a person calls them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import policies
from tests import forked_maestro

FOLDER = Path(policies.__file__).parent
SAMPLES = FOLDER / "supply_chain" / "samples"
DENIED = SAMPLES / "denied_vulnerable_and_tampered.json"
WORKFLOW = "name: shop\nstages: [{name: a, steps: [{run: shell, with: {command: 'true'}}]}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "maestro.yaml").write_text(WORKFLOW)
    return root


def maestro(project: Path, *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MAESTRO_ACTOR": "ada"}
    return forked_maestro.completed(*map(str, arguments), cwd=project, env=environment, given=given)


def test_the_policies_that_are_shipped_pass_their_tests(project: Path) -> None:
    done = maestro(project, "policy", "test", "--min-coverage", "100")
    assert (done.returncode, "0 failed, coverage 100.0 %" in done.stdout) == (0, True), done.stdout


def test_a_failing_test_and_low_coverage_are_exit_code_1(project: Path) -> None:
    folder = project / "own"
    folder.mkdir()
    (folder / "a.rego").write_text("package maestro.a\n\nx if input.x\n\ny if input.y\n")
    (folder / "a_test.rego").write_text('package maestro.a_test\n\ntest_x if data.maestro.a.x with input as {"x": 1}\n')
    assert maestro(project, "policy", "test", folder).returncode == 0
    low = maestro(project, "policy", "test", folder, "--min-coverage", "90")
    assert (low.returncode, "coverage is below 90 %" in low.stdout) == (1, True)
    assert "not covered  a.rego: 5" in low.stdout
    (folder / "b_test.rego").write_text("package maestro.b_test\n\ntest_b if false\n")
    failed = maestro(project, "policy", "test", folder, "--json")
    assert (failed.returncode, json.loads(failed.stdout)["passed"]) == (1, False)


def test_eval_answers_with_its_exit_code(project: Path) -> None:
    allowed = maestro(project, "policy", "eval", "supply_chain.release", SAMPLES / "allowed_release.json")
    assert (allowed.returncode, allowed.stdout.startswith("allowed by supply_chain.release 1.0.0")) == (0, True)
    denied = maestro(project, "policy", "eval", "supply_chain.release", "-", "--json", given=DENIED.read_text())
    assert denied.returncode == 1
    assert json.loads(denied.stdout)["changes"]


def test_explain_shows_every_rule_and_what_would_have_to_change(project: Path) -> None:
    shown = maestro(project, "policy", "explain", DENIED, "--policy", "supply_chain.release")
    assert shown.returncode == 0
    for text in ("denied", "CVE-2026-1234", "critical, known for 21 days", "medium, or critical for 0 days"):
        assert text in shown.stdout
    assert "- update libexample to 1.1; or waive CVE-2026-1234" in shown.stdout


def test_explain_reads_a_decision_from_a_file(project: Path) -> None:
    made = maestro(project, "policy", "eval", "supply_chain.release", DENIED, "--json").stdout
    (project / "decision.json").write_text(made)
    assert "evidence_rejected" in maestro(project, "policy", "explain", "decision.json").stdout
    (project / "decision.json").write_text(made.replace('"allow": false', '"allow": true'))
    forged = maestro(project, "policy", "explain", "decision.json")
    assert (forged.returncode, "was changed since it was made" in forged.stderr) == (2, True)


def test_a_bundle_is_built_twice_alike_signed_verified_and_decides(project: Path) -> None:
    first = maestro(project, "policy", "bundle", "build", FOLDER, "--output", "a.tar.gz", "--sign")
    assert first.returncode == 0, first.stderr
    assert maestro(project, "policy", "bundle", "build", "--output", "b.tar.gz").returncode == 0
    assert (project / "a.tar.gz").read_bytes() == (project / "b.tar.gz").read_bytes()
    verified = maestro(project, "policy", "bundle", "verify", "a.tar.gz")
    assert "signed by 'development'" in verified.stdout
    shown = json.loads(maestro(project, "policy", "bundle", "show", "a.tar.gz", "--json").stdout)
    assert "supply_chain.release" in shown["policies"]
    decided = maestro(project, "policy", "eval", "supply_chain.release", DENIED, "--bundle", "a.tar.gz", "--json")
    assert json.loads(decided.stdout)["bundle_digest"] == shown["digest"]
    assert "confined" in json.loads(decided.stdout)["engine"]


def test_a_bundle_without_a_signature_does_not_verify(project: Path) -> None:
    maestro(project, "policy", "bundle", "build", "--output", "b.tar.gz")
    done = maestro(project, "policy", "bundle", "verify", "b.tar.gz")
    assert (done.returncode, "b.tar.gz: the bundle is not signed" in done.stderr) == (2, True)


def test_a_waiver_is_added_listed_revoked_and_audited(project: Path) -> None:
    added = maestro(
        project, "waivers", "add", "CVE-2026-1234", "--expires", "30d", "--reason", "not reachable", "--json"
    )
    assert added.returncode == 0, added.stderr
    id_ = json.loads(added.stdout)["id"]
    assert json.loads(added.stdout)["approver"] == "ada"
    listed = json.loads(maestro(project, "waivers", "list", "--json").stdout)["waivers"]
    assert [(one["id"], one["state"], one["signer"]) for one in listed] == [(id_, "active", "development")]
    assert maestro(project, "waivers", "revoke", id_, "--reason", "a fix is out").returncode == 0
    assert " revoked " in maestro(project, "waivers", "list").stdout
    audit = maestro(project, "audit", "show").stdout
    assert "waiver.added" in audit
    assert "waiver.revoked" in audit


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["policy", "eval", "supply_chain.release", "nowhere.json"], "nowhere.json: it cannot be read"),
        (["policy", "eval", "supply_chain.release", "maestro.yaml"], "maestro.yaml:1:1: it is no JSON"),
        (["policy", "eval", "x.y", "-", "--opa", "nowhere"], "is no address of an OPA server"),
        (["policy", "eval", "x.y", "-", "--timeout", "0"], "--timeout 0 is no time for an answer"),
        (["policy", "explain", "abcdef"], "no decisions of this project begin with 'abcdef'"),
        (["policy", "test", "nowhere"], "nowhere: there is no such folder"),
        (["policy", "bundle", "build", "nowhere"], "nowhere: the bundle cannot be read"),
        (["policy", "bundle", "show", "maestro.yaml"], "maestro.yaml: it is no bundle: not gzip"),
        (["waivers", "add", "CVE-*", "--expires", "9d", "--reason", "r"], "names no finding"),
        (["waivers", "add", "CVE-1", "--expires", "400d", "--reason", "r"], "at most 365 are allowed"),
        (["waivers", "add", "CVE-1", "--expires", "soon", "--reason", "r"], "--expires 'soon' is no time"),
        (["waivers", "add", "CVE-1", "--expires", "9d"], "missing option '--reason'"),
        (["waivers", "revoke", "0123456789ab", "--reason", "r"], "there is no waiver '0123456789ab'"),
    ],
)
def test_what_cannot_be_done_is_told_with_a_next_step(arguments: list[str], told: str, project: Path) -> None:
    done = maestro(project, *arguments, given="{}")
    assert done.returncode == 2
    assert told in done.stderr
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr

"""``python -m bench evidence``: which figures it gives, and that its parts measure what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import __main__, audit, policy, sbom, signing, vulnerabilities
from bench.report import Figure
from maestro.policy import decide, load_bundle, open_engine
from maestro.policy.decision import canonical

KEYS = {
    "sign_ms",
    "verify_ms",
    "decision_p50_ms",
    "decision_p99_ms",
    "scan_500_ms",
    "diff_10k_s",
    "audit_rows_per_s",
    "proof_ms",
}
OPA_KEYS = {"opa_http_p50_ms", "opa_http_p99_ms"}


@pytest.fixture
def no_opa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither on the path nor where scripts/interop puts it; the latter folder is returned."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(policy, "_INTEROP", tmp_path)
    return tmp_path


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part gives its figures, and one more, at once."""

    def giving(*keys: str) -> object:
        return lambda *, quick: [Figure(key, float(number), "ms", "") for number, key in enumerate(keys, 1)]

    monkeypatch.setattr(signing, "measure", giving("sign_ms", "verify_ms"))
    monkeypatch.setattr(policy, "in_process", giving("decision_p50_ms", "decision_p99_ms"))
    monkeypatch.setattr(vulnerabilities, "measure", giving("scan_500_ms", "advisories_per_s"))
    monkeypatch.setattr(sbom, "differences", giving("diff_10k_s"))
    monkeypatch.setattr(audit, "measure", giving("audit_rows_per_s", "audit_append_ms", "proof_ms"))


@pytest.mark.usefixtures("instant", "no_opa")
def test_the_json_has_exactly_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["evidence", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == KEYS


@pytest.mark.usefixtures("instant")
def test_an_opa_server_stands_beside_them_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policy, "by_opa", lambda *, quick: [Figure(key, 1.0, "ms", "") for key in sorted(OPA_KEYS)])
    assert __main__.main(["evidence", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == KEYS | OPA_KEYS


def test_without_opa_nothing_is_said_of_it(no_opa: Path) -> None:
    assert policy.by_opa(quick=True) == []


def test_opa_is_also_found_where_the_interoperability_tests_put_it(no_opa: Path) -> None:
    program = no_opa / "opa"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert policy.opa_program() == str(program)


def test_the_measured_policy_has_thirty_rules_and_its_input_one_kilobyte() -> None:
    assert policy.thirty_rules().count("\ndeny contains ") == policy.RULES == 30
    assert 850 <= len(canonical(policy.one_kilobyte())) <= 1150


def test_every_one_of_the_thirty_rules_can_speak(tmp_path: Path) -> None:
    (tmp_path / "bench.rego").write_text(policy.thirty_rules())
    document = policy.one_kilobyte()
    for item in document["items"]:
        item["value"] = 5000
    decision = decide(open_engine(load_bundle(tmp_path), confined=False), "bench.release", document)
    assert {one.rule for one in decision.reasons} == {f"field_{number}" for number in range(policy.RULES)}


def test_a_decision_is_measured_two_thousand_times_and_more_in_process() -> None:
    p50, p99 = policy.in_process(quick=True)
    assert (p50.key, p99.key) == ("decision_p50_ms", "decision_p99_ms")
    assert p50.value is not None
    assert p99.value is not None
    assert 0 < p50.value <= p99.value
    assert policy._count(quick=False) >= 2000
    assert p99.goal == "<= 2"


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__.main(["evidense"])
    assert ended.value.code == 2
    assert "'evidense'" in (told := capsys.readouterr().err)
    assert "evidence" in told

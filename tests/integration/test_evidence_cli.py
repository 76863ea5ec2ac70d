"""``maestro evidence`` as a person uses it, on a project that was really run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.evidence_project import FAILED, Delivered, copied, delivered


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return delivered(tmp_path_factory.mktemp("evidence") / "shop")


@pytest.fixture
def shop(original: Delivered, tmp_path: Path) -> Delivered:
    return copied(original, tmp_path / "shop")


def digest(shop: Delivered) -> str:
    [subject] = {
        one for row in shop.json("evidence", "show")["evidence"] for one in row["subjects"] if one.startswith("sha256:")
    }
    return str(subject)


def test_show_names_signer_step_and_lock_of_every_statement(shop: Delivered) -> None:
    said = shop.evidence("show")
    for type_, step in (("provenance", "check/prove"), ("test-report", "check/unit"), ("decision", "release/gate")):
        assert any(line.startswith(type_) and line.rstrip().endswith(step) for line in said.splitlines())
    assert "development (development)" in said
    assert "NOT immutable: it lies in a folder" in said
    rows = shop.json("evidence", "show")["evidence"]
    assert {row["state"] for row in rows} == {"verified"}
    assert all(row["audit"] is not None and "NOT immutable" in row["lock"] for row in rows)


def test_show_of_a_digest_is_about_that_artifact_alone(shop: Delivered) -> None:
    rows = shop.json("evidence", "show", digest(shop)[:20])["evidence"]
    assert sorted(row["type"] for row in rows) == ["decision", "delivery", "provenance"]


def test_show_of_a_revision_without_evidence_says_so(shop: Delivered) -> None:
    (shop.root / "new.txt").write_text("new")
    assert "there is no evidence of worktree-" in shop.evidence("show")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "sha256:zzzzzz"], 2, "'sha256:zzzzzz' is no digest"),
        (["show", "sha256:000000"], 2, "no subjects of evidence begin with 'sha256:000000'"),
        (["show", "no-such-revision"], 2, "no-such-revision"),
        (["verify", "missing.tar.zst"], 2, "missing.tar.zst cannot be read: No such file"),
        (["verify", "unit.xml"], 2, "'unit.xml' is refused as an evidence pack: it is not compressed with zstd"),
        (["verify", "unit.xml", "--key", "unit.xml"], 2, "unit.xml is no public key in PEM"),
        (["verify", "unit.xml", "--key", "none.pem"], 2, "the file cannot be read"),
        (["verify", "unit.xml", "--key", "a", "--trust", "b"], 2, "give --key or --trust, not both"),
        (["verify", "unit.xml", "--audit-key", "rubbish"], 2, "it is no public key of an audit log either"),
        (["verify", "--key", "a.pem"], 2, "--key, --trust and --audit-key are for packs"),
        (["export", "-o", "no/such/folder/p.tar.zst"], 2, "cannot be written: No such file or directory"),
        (["export", "-o", "unit.xml"], 2, "unit.xml is there already"),
        (["quarantine", "sha256:" + "0" * 64], 2, "say why: --reason TEXT"),
        (["quarantine", "--reason", "because"], 2, "name what it is about"),
        (["quarantine", "gitnonsense", "--reason", "because"], 2, "'gitnonsense' is no digest"),
        (["quarantine", "sha256:" + "0" * 64, "--release", "--reason", "x"], 2, "is not in quarantine"),
        (["hold"], 2, "missing option '--reason'"),
        (["controls", "--framework", "nist"], 2, "there is no framework 'nist' in the table"),
        (["controls", "--table", "none.yaml"], 2, "it cannot be read"),
        (["controls", "--table", "unit.xml"], 2, "unit.xml"),
    ],
)
def test_bad_input_says_what_is_wrong_and_writes_nothing(
    original: Delivered, words: list[str], code: int, said: str
) -> None:
    before = sorted(original.root.iterdir())
    assert said in original.evidence(*words, code=code)
    assert sorted(original.root.iterdir()) == before


def test_verify_holds_what_the_contract_requires_against_what_there_is(shop: Delivered) -> None:
    assert "5 of 5 hold" in shop.evidence("verify")
    workflow = shop.root / "maestro.yaml"
    workflow.write_text(workflow.read_text().replace("[provenance,", "[sbom, provenance,"))
    shop.commit()
    shop.run("run", "check")
    found = shop.json("evidence", "verify", code=1)
    assert not found["holds"]
    assert [row["type"] for row in found["evidence"] if row["state"] == "missing"] == ["sbom"]


def test_what_is_set_aside_is_used_by_nobody_until_released(shop: Delivered) -> None:
    app = digest(shop)
    assert "nothing is in quarantine" in shop.evidence("quarantine")
    assert "in quarantine" in shop.evidence("quarantine", app, "--reason", "built on a stolen laptop")
    assert "by ann before: built on a stolen laptop" in shop.evidence("quarantine", app, "--reason", "another")
    assert "built on a stolen laptop" in shop.evidence("quarantine")
    assert "quarantined" in shop.evidence("show", code=1)
    assert "is in quarantine: built on a stolen laptop" in shop.run("run", "--only", "deploy", code=1)
    assert (shop.root / "deployed.txt").read_text() == "app"
    shop.evidence("quarantine", app, "--release", "--reason", "the laptop was found")
    shop.run("run", "--only", "deploy")
    assert (shop.root / "deployed.txt").read_text() == "appapp"
    assert [one for one in shop.kinds() if one.startswith("artifact.")] == [
        "artifact.quarantined",
        "artifact.released",
    ]


def test_a_quarantine_somebody_took_out_of_the_store_still_counts(shop: Delivered) -> None:
    app = digest(shop)
    shop.evidence("quarantine", app, "--reason", "stolen laptop")
    for one in (shop.home / "artifacts/evidence/quarantine").iterdir():
        one.unlink()
    assert "stolen laptop" in shop.evidence("quarantine")
    assert "is in quarantine: stolen laptop" in shop.run("run", "--only", "deploy", code=1)


def test_a_hold_says_what_it_is_worth_and_is_logged_with_its_reason(shop: Delivered) -> None:
    assert "legal hold on 5 statements" in (said := shop.evidence("hold", "--reason", "case 4711"))
    assert "under legal hold" in said
    assert "NOT immutable" in said
    # What the index no longer names is held as well.
    shop.entry("provenance").unlink()
    assert len(shop.json("evidence", "hold", "--lift", "--reason", "closed")["evidence"]) == 5
    entries = shop.json("audit", "show", "--limit", "1000")["entries"]
    logged = [(one["kind"], one["data"]["reason"]) for one in entries if "reason" in one["data"]]
    assert logged == [("evidence.held", "case 4711"), ("evidence.released", "closed")]


def test_nothing_is_held_of_a_revision_without_evidence(shop: Delivered) -> None:
    (shop.root / "new.txt").write_text("new")
    assert "the vault holds no evidence of revision worktree-" in shop.evidence("hold", "--reason", "case", code=2)


def test_controls_say_what_is_covered_and_what_is_missing(shop: Delivered) -> None:
    said = shop.evidence("controls", "--framework", "soc2", code=1)
    assert "CC8.1    covered" in said
    assert "CC7.1: sbom: there is none" in said
    rows = shop.json("evidence", "controls", code=1)["controls"]
    assert {row["framework"] for row in rows} == {"soc2", "iso27001"}


def test_an_own_table_of_controls_counts_and_a_wrong_one_names_the_place(shop: Delivered) -> None:
    table = shop.root / "controls.yaml"
    table.write_text(
        "frameworks: {ours: {title: Ours, controls: "
        "[{id: O1, title: Tested, needs: [test-report], max_age_days: 1}]}}\n"
    )
    shop.commit()
    revision = shop.index.name
    assert "O1       covered" in shop.evidence("controls", revision, "--table", "controls.yaml")
    table.write_text(table.read_text().replace("test-report", "horoscope"))
    said = shop.evidence("controls", revision, "--table", "controls.yaml", code=2)
    assert "frameworks.ours.controls.0.needs.0" in said


def test_tests_that_failed_are_evidence_but_cover_no_control(shop: Delivered) -> None:
    (shop.root / "unit.xml").write_text(FAILED)
    shop.commit()
    shop.run("run", "check", code=1)
    said = shop.evidence("controls", "--framework", "soc2", code=1)
    assert "CC8.1    rejected" in said
    assert "CC8.1: test-report: tests failed (step 'check/unit')" in said


def test_changes_of_keys_are_rows_of_the_audit_log(shop: Delivered) -> None:
    shop.run("keys", "rotate")
    shop.run("keys", "revoke", "development", "--reason", "the laptop was stolen")
    entries = shop.json("audit", "show", "--kind", "key.")["entries"]
    assert [(one["kind"], one["actor"]) for one in entries][-2:] == [("key.rotated", "ann"), ("key.revoked", "ann")]
    assert entries[-1]["data"]["reason"] == "the laptop was stolen"
    assert "was revoked: the laptop was stolen" in shop.evidence("verify", code=1)


def test_what_a_revoked_key_has_signed_is_signed_anew_when_it_is_made_again(shop: Delivered) -> None:
    shop.run("keys", "rotate")
    shop.run("keys", "revoke", "development", "--reason", "the laptop was stolen")
    shop.run("run", "check")
    states = {row["type"]: row["state"] for row in shop.json("evidence", "verify", code=1)["evidence"]}
    assert states == {
        "decision": "rejected",
        "delivery": "verified",
        "provenance": "verified",
        "secrets": "verified",
        "test-report": "verified",
    }


def test_the_log_of_changes_begins_with_the_project_and_is_that_of_its_runs(
    tmp_path: Path, original: Delivered
) -> None:
    shop = copied(original, tmp_path / "fresh")
    for name in ("audit.db", "keys", "artifacts", "vault"):
        path = shop.home / name
        path.rename(tmp_path / f"old-{name}")
    shop.run("keys", "rotate")
    shop.run("run", "check")
    assert json.loads(shop.run("audit", "verify", "--json"))["ok"] is True
    assert shop.kinds()[0] == "key.rotated"

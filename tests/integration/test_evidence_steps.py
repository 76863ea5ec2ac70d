"""Steps sign what they claim, per revision, and nothing behind a gate uses what does not verify."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import RecordStore, keys
from maestro.artifacts.records import StepRecord, encode
from maestro.audit import open_checkpoint
from maestro.cli.tracker import Tracker
from maestro.profile import load_profile
from maestro.runs.fold import EVIDENCE
from tests.integration.delivery import Delivery, Finished
from tests.integration.evident import (
    TAMPER,
    WORKFLOW,
    damage,
    delivering,
    desk_of,
    entries_of,
    observations,
    registry,
    rows_of,
    with_settings,
)


@pytest.fixture
def shop(tmp_path: Path) -> Delivery:
    """On SQLite."""
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, make_registry=registry)
    made.git("init", "-q", "-b", "main")
    return delivering(made)


@pytest.fixture
def both(delivery: Delivery) -> Delivery:
    """On SQLite and on PostgreSQL, with the audit log in the same database."""
    url = os.environ.get("MAESTRO_POSTGRES_URL") if delivery.profile.name == "postgres" else None
    return delivering(with_settings(delivery, audit=url))


def statement_of(shop: Delivery, sha256: str) -> dict[str, Any]:
    envelope = json.loads(shop.store().get_bytes(sha256))["dsseEnvelope"]
    statement: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return statement


def bundle_of(shop: Delivery, type_: str) -> str:
    return next(one.bundle.sha256 for one in entries_of(shop) if one.type == type_)


def test_a_revision_that_has_all_it_must_have_goes_through_the_gate(both: Delivery, tmp_path: Path) -> None:
    deployed = tmp_path / "deployed"
    run = both.run(deployed=str(deployed))
    assert run.passed, run.failures()
    assert deployed.read_text() == "deployed\n"
    assert sorted(one.type for one in entries_of(both)) == ["decision", "delivery", "provenance", "test-report"]
    with desk_of(both) as desk:
        report = desk.audit.verify()
    assert report.ok, report


def test_what_is_signed_is_the_output_as_it_was_kept_and_the_record_holds_the_statement(shop: Delivery) -> None:
    run = shop.run("build")
    app, prove = run.records["build/app"], run.records["build/prove"]
    (bundle,) = prove.evidence
    (subject,) = statement_of(shop, bundle.sha256)["subject"]
    assert subject["digest"] == {"sha256": app.outputs[0].sha256}
    assert shop.store().get_bytes(app.outputs[0].sha256) == b"made\n"
    assert subject["annotations"]["maestro.revision"] == shop.git("rev-parse", "HEAD")
    assert subject["annotations"]["maestro.run"] == run.run_id
    assert prove.metadata["evidence"][0]["state"] == "verified"


def test_a_step_that_fails_for_want_of_an_output_says_all_the_same_how_its_tests_ended(shop: Delivery) -> None:
    shop.workflow(
        """
        name: flow
        project: shop
        stages:
          - name: build
            steps:
              - {id: unit, run: test.unit, outputs: [gone.txt], with: {command: 'cp given.xml r.xml', report: r.xml}}
        """
    )
    run = shop.run()
    assert not run.passed
    said = statement_of(shop, run.records["build/unit"].evidence[0].sha256)
    assert not run.records["build/unit"].passed
    assert said["predicate"]["result"] == "PASSED"


def test_a_result_from_the_cache_has_statements_of_the_revision_that_uses_it(both: Delivery) -> None:
    first = both.run("build")
    before = both.git("rev-parse", "HEAD")
    both.write({"README.md": "nothing the steps look at\n"})
    second = both.run("build")
    assert second.passed, second.failures()
    record = second.records["build/unit"]
    assert record.cache == "hit"
    assert record.evidence != first.records["build/unit"].evidence
    (subject,) = statement_of(both, record.evidence[0].sha256)["subject"]
    after = both.git("rev-parse", "HEAD")
    assert subject["digest"] == {"gitCommit": after}
    assert subject["annotations"]["maestro.revision"] == after
    assert {one.type for one in entries_of(both, before)} == {one.type for one in entries_of(both, after)}
    with desk_of(both) as desk:
        assert all(desk.verifier.check_entry(one).state == "verified" for one in entries_of(both, after))


def test_nothing_is_signed_twice_for_one_revision(shop: Delivery) -> None:
    first = shop.run("build")
    second = shop.run("build")
    assert second.records["build/unit"].evidence == first.records["build/unit"].evidence
    assert second.records["build/prove"].evidence != ()
    signed = [row.data["type"] for row in rows_of(shop, "evidence.signed")]
    assert signed.count("test-report") == 1


def test_a_result_somebody_put_into_the_cache_is_not_used_and_not_signed(shop: Delivery) -> None:
    run = shop.run("unit")
    key = run.records["build/unit"].cache_key
    assert key is not None
    folder = shop.store().objects.folder
    assert folder is not None
    file = Path(folder, keys.cache(key))
    document = json.loads(file.read_text())["record"]
    document["summary"] = "2,000 passed"
    file.chmod(0o644)
    file.write_bytes(encode(StepRecord.from_json(document)))
    shop.write({"README.md": "another revision\n"})
    again = shop.run("unit")
    assert again.passed, again.failures()
    assert again.records["build/unit"].cache == "miss"
    assert again.records["build/unit"].summary == run.records["build/unit"].summary
    assert "is of another result" in again.logs["build__unit"]


def test_kinds_that_judge_the_moment_run_each_time_and_say_what_went_into_them(shop: Delivery) -> None:
    shop.run()
    again = shop.run()
    for name in ("build/prove", "release/gate"):
        record = again.records[name]
        assert (record.cache, record.cache_key, record.made_by_run) == ("off", None, again.run_id)
        assert {"kind", "params", "inputs"} <= set(record.key_parts)
    assert again.records["build/unit"].cache == "hit"


def test_provenance_names_the_source_what_the_step_was_made_from_and_the_step_before_it(shop: Delivery) -> None:
    run = shop.run("build")
    said = statement_of(shop, run.records["build/prove"].evidence[0].sha256)["predicate"]
    dependencies = {one["uri"]: one["digest"] for one in said["buildDefinition"]["resolvedDependencies"]}
    head = shop.git("rev-parse", "HEAD")
    assert dependencies[f"maestro:source/shop@{head}"] == {"gitCommit": head}
    assert "maestro:cache-key/inputs" in dependencies
    made = run.records["build/make"].outputs[0].sha256
    assert {"sha256": made} in dependencies.values()


def test_a_secret_in_a_claim_is_masked_before_it_is_signed(shop: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    shop.workflow(
        """
        name: flow
        project: shop
        secrets: [TOKEN]
        stages:
          - name: test
            steps:
              - {id: say, run: say, secrets: [TOKEN], with: {text: hello}}
        """
    )
    run = shop.run()
    assert run.passed, run.failures()
    said = statement_of(shop, run.records["test/say"].evidence[0].sha256)["predicate"]
    assert said["note"] == "hello ***"
    assert said["nested"] == {"list": ["***"]}
    home = shop.project.home
    leaks = [file for file in home.rglob("*") if file.is_file() and b"hunter2-hunter2" in file.read_bytes()]
    assert leaks == []


def test_a_gate_that_denies_fails_its_check_and_nothing_behind_it_runs(both: Delivery, tmp_path: Path) -> None:
    deployed = tmp_path / "deployed"
    run = both.run(deployed=str(deployed), builders="https://builders.example/**")
    assert not run.passed
    assert not deployed.exists()
    (check,) = [
        event.asset_check_evaluation_data
        for event in run.events
        if event.event_type_value == "ASSET_CHECK_EVALUATION" and event.step_key == "release__gate"
    ]
    assert (check.check_name, check.passed, check.severity.value, check.blocking) == ("allowed", False, "ERROR", True)
    shown: Any = check.metadata
    (why,) = shown["why"].records
    assert why.data["rule"] == "builder"
    assert "which may not build releases" in why.data["message"]
    assert "allowed builder" in shown["to be allowed"].records[0].data["change"]
    assert "release/deploy" not in run.records
    assert run.types("release__deploy") == []
    assert run.records["finally/tell"].passed
    assert "denied by builder: " in run.logs["release__gate"]
    (row,) = rows_of(both, "policy.decision")
    assert row.data["allow"] is False


def test_with_continue_on_error_a_gate_only_warns(shop: Delivery, tmp_path: Path) -> None:
    shop.workflow(WORKFLOW.replace("run: gate\n", "run: gate\n            continue_on_error: true\n"))
    deployed = tmp_path / "deployed"
    run = shop.run(deployed=str(deployed), builders="https://builders.example/**")
    assert run.passed, run.failures()
    assert deployed.read_text() == "deployed\n"
    (check,) = [
        event.asset_check_evaluation_data
        for event in run.events
        if event.event_type_value == "ASSET_CHECK_EVALUATION" and event.step_key == "release__gate"
    ]
    assert (check.passed, check.severity.value) == (False, "WARN")


def refused_deployment(shop: Delivery, run: Finished) -> None:
    """The step behind the gate was refused for a statement that was changed; everybody can see which and why."""
    assert not run.passed
    assert "provenance statement sha256:" in run.failures()
    assert "does not verify" in run.failures()
    assert run.types("release__deploy").count("STEP_UP_FOR_RETRY") == 0, "a retry would find the same statement"
    ((asset, metadata),) = observations(shop, run)
    assert asset == "shop/build/prove"
    assert "does not verify" in metadata["quarantined"]
    assert metadata["refused to"] == "release/deploy"
    assert rows_of(shop, "artifact.quarantined") != []


def test_a_statement_that_was_changed_stops_the_step_that_would_use_it_but_not_finally(
    both: Delivery, tmp_path: Path
) -> None:
    deployed = tmp_path / "deployed"
    assert both.run("build", "gate").passed
    damage(both.store(), bundle_of(both, "provenance"))
    run = both.run(selection=["release/deploy", "finally/tell"], deployed=str(deployed))
    refused_deployment(both, run)
    assert not deployed.exists()
    assert run.records["finally/tell"].passed


def test_one_step_alone_does_not_get_past_a_gate_that_denied(shop: Delivery, tmp_path: Path) -> None:
    deployed = tmp_path / "deployed"
    assert not shop.run(deployed=str(deployed), builders="https://builders.example/**").passed
    run = shop.run("deploy", only=True, deployed=str(deployed))
    assert not run.passed
    assert "gate 'release/gate' has not let this revision through: denied by supply_chain.release" in run.failures()
    assert run.types("release__deploy").count("STEP_UP_FOR_RETRY") == 0
    assert not deployed.exists()


def test_what_was_set_aside_is_not_used_until_it_is_released(shop: Delivery, tmp_path: Path) -> None:
    deployed = tmp_path / "deployed"
    run = shop.run("build")
    subject = run.records["build/app"].subjects[0]
    with desk_of(shop) as desk:
        desk.set_aside(subject, "built on a stolen laptop", revision=None, step=None, by="ann")
    refused = shop.run(deployed=str(deployed))
    assert not refused.passed
    assert "in quarantine: built on a stolen laptop" in refused.failures()
    assert not deployed.exists()
    with desk_of(shop) as desk:
        desk.release(f"sha256:{subject.digest['sha256']}", "it was mine")
    assert shop.run(deployed=str(deployed)).passed


def test_an_effect_without_a_gate_needs_what_the_contract_requires(shop: Delivery, tmp_path: Path) -> None:
    deployed = tmp_path / "deployed"
    before, _, _ = WORKFLOW.partition("          - id: gate")
    _, _, behind = WORKFLOW.partition("          - id: deploy")
    shop.workflow(
        f"{before}          - id: deploy{behind}".replace(
            "{id: prove, run: attest.provenance}", "{id: prove, run: shell, with: {command: 'true'}}"
        )
    )
    run = shop.run(deployed=str(deployed))
    assert not run.passed
    assert "there is no provenance statement about sha256:" in run.failures()
    assert "which the project's contract requires" in run.failures()
    assert not deployed.exists()
    shop.workflow(f"{before}          - id: deploy{behind}")
    run = shop.run(deployed=str(deployed))
    assert run.passed, run.failures()


def test_with_dagsters_executor_in_process_a_gate_stops_what_is_behind_it(
    shop: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = own_executor(shop, "in_process", tmp_path, monkeypatch)
    deployed = tmp_path / "deployed"
    denied = shop.run(deployed=str(deployed), builders="https://builders.example/**")
    assert not denied.passed
    assert not denied.records["release/gate"].passed
    assert not deployed.exists()
    assert denied.records["finally/tell"].passed


def test_with_a_process_for_each_step_a_statement_changed_on_the_way_is_noticed(
    shop: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = own_executor(shop, "multiprocess", tmp_path, monkeypatch)
    deployed, script = tmp_path / "deployed", tmp_path / "tamper.py"
    script.write_text(TAMPER)
    run = shop.run(deployed=str(deployed), before=f"{sys.executable} {script} {shop.store().objects.folder}")
    assert not run.passed
    rules = {one["rule"] for one in run.records["release/gate"].metadata["why"]}
    assert "evidence_rejected" in rules
    assert not deployed.exists()
    assert run.records["finally/tell"].passed
    with desk_of(shop) as desk:
        assert desk.audit.verify().ok


def own_executor(shop: Delivery, executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    folder = tmp_path / "profile"
    shutil.copytree(load_profile("default").folder, folder)
    settings = folder / "settings.yaml"
    settings.write_text(settings.read_text().replace("executor: maestro", f"executor: {executor}"))
    monkeypatch.setenv("MAESTRO_PROJECT", "")
    monkeypatch.setenv("MAESTRO_PROFILE", "")
    return replace(shop, profile=load_profile(str(folder)))


def test_at_the_end_of_a_run_the_log_has_a_signed_checkpoint_and_so_has_the_vault(both: Delivery) -> None:
    both.run("build")
    with desk_of(both) as desk:
        (note,) = desk.audit.checkpoints()
        kept = [desk.vault.get(one.key).decode() for one in desk.vault.list("audit/")]
        assert kept == [note]
        assert open_checkpoint(note, [desk.audit.key]).size == desk.audit.size
        assert desk.audit.verify(kept).ok


NO_CLAIMS = "{name: flow, project: shop, stages: [{name: a, steps: [{id: b, run: shell, with: {command: ':'}}]}]}"
CUT_OFF = "mv {vault} {vault}.away && touch {vault}"
"""From here on the vault refuses everything."""


def test_a_vault_that_is_gone_at_the_end_is_told_and_gets_it_with_the_next_run(shop: Delivery) -> None:
    vault = shop.project.home / "vault"
    shop.workflow(WORKFLOW.replace("echo told", CUT_OFF.format(vault=vault)))
    run = shop.run()
    assert run.passed, run.failures()
    told = [event for event in run.events if (event.message or "").startswith(EVIDENCE)]
    assert len(told) == 1
    assert "signed, but not in the vault: the checkpoint at" in (told[0].message or "")
    assert "maestro audit checkpoint" in (told[0].message or "")
    assert told[0].engine_event_data.error is not None, "the UI shows it as an error"
    assert "Traceback" not in run.messages()
    shown = Tracker(run.run_id, {}, {}).take(told[0], 0.0)
    assert shown is not None
    assert shown.kind == "evidence", "the command line says so, too"
    vault.unlink()
    vault.with_name("vault.away").rename(vault)
    shop.workflow(WORKFLOW)
    again = shop.run("build")
    assert again.passed, again.failures()
    assert [event for event in again.events if (event.message or "").startswith(EVIDENCE)] == []
    with desk_of(shop) as desk:
        kept = {desk.vault.get(one.key).decode() for one in desk.vault.list("audit/")}
        assert kept == set(desk.audit.checkpoints())
        assert len(kept) == 2


def test_with_an_executor_of_dagsters_own_a_vault_that_is_gone_is_told_too(
    shop: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = own_executor(shop, "in_process", tmp_path, monkeypatch)
    cut_off = CUT_OFF.format(vault=shop.project.home / "vault")
    shop.workflow(WORKFLOW.replace("echo deployed >> {{ params.deployed }}", cut_off))
    run = shop.run()
    assert run.passed, run.failures()
    with shop.instance() as instance:
        logged = [entry.message for entry in instance.all_logs(run.run_id)]
    assert [one for one in logged if one.startswith(EVIDENCE)] != []


def test_a_claim_the_vault_does_not_take_fails_its_step_and_a_retry_makes_it_good(shop: Delivery) -> None:
    vault = shop.project.home / "vault"
    vault.parent.mkdir(exist_ok=True)
    vault.touch()
    refused = shop.run("unit")
    assert not refused.passed
    assert "vault" in refused.failures()
    assert "build/unit" not in refused.records
    vault.unlink()
    run = shop.run()
    assert run.passed, run.failures()


def test_two_runs_of_one_project_at_once_sign_and_log_without_a_gap(both: Delivery, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maestro.cli", "--profile", both.profile.name, "run", "build"]
    environment = {**os.environ, "MAESTRO_PROJECT": str(both.root)}
    both.project.ensure_home()
    runs = [
        subprocess.Popen(command, cwd=both.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    printed = [run.communicate(timeout=120)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(printed)
    plain = with_settings(both, audit=None)
    with desk_of(plain) as desk:
        assert desk.audit.verify().ok
        logged = [row.data["bundle"] for row in desk.audit.entries() if row.kind == "evidence.signed"]
    entries = entries_of(plain)
    assert sorted(f"sha256:{one.bundle.sha256}" for one in entries) == sorted(logged)
    with desk_of(plain) as desk:
        assert {desk.verifier.check_entry(one).state for one in entries} == {"verified"}


def test_a_run_without_claims_opens_neither_keys_nor_log_nor_vault(shop: Delivery) -> None:
    shop.workflow(NO_CLAIMS)
    assert shop.run().passed
    made = {path.name for path in shop.project.home.iterdir()}
    assert made.isdisjoint({"keys", "audit.db", "vault"})


def test_a_run_without_claims_imports_nothing_that_deals_with_evidence(shop: Delivery) -> None:
    shop.workflow(NO_CLAIMS)
    for _ in ("made", "from the cache"):
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "maestro.cli", "run"],
            cwd=shop.root,
            env={**os.environ, "MAESTRO_PROJECT": str(shop.root)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
        assert "maestro.execution.evidence" in imported
        heavy = ("maestro.signing", "maestro.audit", "maestro.policy", "maestro.vault", "cryptography")
        assert [one for one in imported if one.startswith(heavy) or one == "maestro.evidence.desk"] == []


def test_a_delivery_planted_in_the_cache_is_not_used_but_made_again(shop: Delivery) -> None:
    made = shop.run("build").records["build/app"]
    assert made.cache_key is not None
    assert [one.type for one in made.claims] == ["delivery"]
    records = RecordStore(shop.store())
    evil = records.store.put_bytes(b"another app", name=made.outputs[0].name, path=made.outputs[0].path)
    subject = replace(made.subjects[0], digest={"sha256": evil.sha256})
    for planted in (
        replace(made, outputs=(evil,), subjects=(subject,)),
        replace(made, outputs=(evil,), subjects=(subject,), claims=(), evidence=()),
    ):
        records.forget_cache(made.cache_key)
        records.save_cache(made.cache_key, planted)
        again = shop.run("build").records["build/app"]
        assert again.subjects == made.subjects
        assert again.cache == "miss"

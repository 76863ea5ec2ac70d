"""Steps sign what they claim, per revision, and nothing behind a gate uses what does not verify."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro.artifacts import keys
from maestro.runs.fold import EVIDENCE
from tests.integration.delivery import Delivery
from tests.integration.evident import (
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
    assert sorted(one.type for one in entries_of(both)) == ["decision", "provenance", "test-report"]
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


def test_a_step_whose_outputs_cannot_be_kept_signs_nothing(shop: Delivery) -> None:
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
    # It is signed all the same, and bound to the record that says it has failed.
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
    from maestro.artifacts.records import StepRecord, encode

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
    (why,) = check.metadata["why"].value
    assert why.data["rule"] == "builder"
    assert "which may not build releases" in why.data["message"]
    assert "allowed builder" in check.metadata["to be allowed"].value[0].data["change"]
    assert "release/deploy" not in run.records
    assert "STEP_SKIPPED" in run.types("release__deploy")
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


@pytest.mark.parametrize("alone", [False, True])
def test_a_statement_that_was_changed_stops_what_is_behind_the_gate(
    both: Delivery, tmp_path: Path, alone: bool
) -> None:
    deployed, mark = tmp_path / "deployed", tmp_path / "tamper"
    assert both.run(deployed=str(deployed)).passed
    bundle = bundle_of(both, "provenance")
    if alone:
        damage(both.store(), bundle)
        run = both.run("deploy", only=True, deployed=str(deployed))
    else:
        # Between the gate and the step behind it, as whoever can write to the store would.
        store = both.store().objects.folder
        script = f"for f in $(cat {mark}); do chmod u+w $f; echo changed >> $f; done"
        both.write({"README.md": "another revision\n"})
        both.run("build")
        bundle = bundle_of(both, "provenance")
        latest = f"{store}/cas/sha256/{bundle[:2]}/{bundle[2:]}"
        mark.write_text("")
        find = f"grep -rl provenance {store}/evidence/revisions/shop/$MAESTRO_REVISION"
        sign = f"{sys.executable} -c \"import json,sys; [print(json.load(open(f))['bundle']['sha256']) for f in sys.argv[1:]]\""
        tamper = (
            f"for d in $({sign} $({find})); do "
            f"f={store}/cas/sha256/$(echo $d | cut -c1-2)/$(echo $d | cut -c3-); chmod u+w $f; echo changed >> $f; done"
        )
        assert (latest, script)
        run = both.run(deployed=str(deployed), before=tamper)
        assert run.records["release/gate"].passed
    assert not run.passed
    assert deployed.read_text() == "deployed\n", "it was deployed once, before the statement was changed"
    assert "provenance statement sha256:" in run.failures()
    assert "does not verify" in run.failures()
    assert run.types("release__deploy").count("STEP_UP_FOR_RETRY") == 0
    ((asset, metadata),) = observations(both, run)
    assert asset == "shop/build/prove"
    assert "does not verify" in metadata["quarantined"]
    assert metadata["refused to"] == "release/deploy"
    assert rows_of(both, "artifact.quarantined") != []
    if not alone:
        assert run.records["finally/tell"].passed

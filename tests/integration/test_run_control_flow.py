"""What a run does: order, conditions, failures, retries, finally, compensation, cancellation; on both storages."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
from dagster import DagsterRunStatus

from tests.integration.delivery import Delivery

SIMPLE = """
    name: flow
    project: shop
    params:
      who: {type: string, default: world}
      deploy: {type: boolean, default: false}
    stages:
      - name: build
        steps:
          - id: make
            run: shell
            with: {command: 'mkdir -p dist && echo "hello {{ params.who }}" > dist/out.txt && echo made'}
            outputs: {out: dist/out.txt}
      - name: deploy
        when: params.deploy
        steps:
          - {id: send, run: shell, with: {command: 'echo sent'}}
      - name: check
        parallel:
          - {id: read, run: shell, with: {command: 'cat dist/out.txt'}}
          - id: each
            run: shell
            matrix: {python: ['3.11', '3.12']}
            with: {command: 'echo python {{ matrix.python }} in {{ git.branch }}'}
    """


def test_a_run_makes_every_step_and_keeps_what_it_leaves_behind(delivery: Delivery) -> None:
    delivery.workflow(SIMPLE)
    run = delivery.run()
    assert run.passed, run.messages()
    assert set(run.records) == {"build/make", "check/read", "check/each/3.11", "check/each/3.12"}
    assert delivery.store().get_bytes(run.records["build/make"].outputs[0].sha256) == b"hello world\n"
    assert run.logs["build__make"] == "made\n"
    assert run.logs["check__read"] == "hello world\n"
    assert "python 3.12 in main" in run.logs["check__each__3_12"]


def test_a_second_run_comes_from_the_cache_and_replays_logs_and_files(delivery: Delivery) -> None:
    delivery.workflow(SIMPLE)
    first = delivery.run()
    (delivery.root / "dist" / "out.txt").unlink()
    second = delivery.run()
    assert {record.cache for record in second.records.values()} == {"hit"}
    assert (delivery.root / "dist" / "out.txt").read_text() == "hello world\n"
    assert second.logs["build__make"].endswith("made\n")
    assert second.records["build/make"].made_by_run == first.run_id
    metadata = next(
        event.step_materialization_data.materialization.metadata
        for event in second.events
        if event.event_type_value == "ASSET_MATERIALIZATION" and event.step_key == "build__make"
    )
    assert metadata["cache"].value == "hit"


def test_what_the_plan_leaves_out_is_not_waited_for_and_keeps_the_order(delivery: Delivery) -> None:
    delivery.workflow(SIMPLE)
    run = delivery.run()
    assert "deploy/send" not in run.records
    keys = [event.step_key for event in run.events if event.event_type_value == "STEP_START"]
    assert keys[0] == "build__make"
    assert "deploy/send" in delivery.run(deploy=True).records


def test_one_changed_parameter_runs_only_what_depends_on_it(delivery: Delivery) -> None:
    delivery.workflow(SIMPLE)
    delivery.run()
    run = delivery.run(who="moon")
    assert {name for name, record in run.records.items() if record.cache == "miss"} == {"build/make", "check/read"} | {
        "check/each/3.11",
        "check/each/3.12",
    }
    assert delivery.run(who="moon").records["check/read"].cache == "hit"


def test_a_failed_step_leaves_its_report_fails_the_run_and_stops_what_waits_for_it(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        stages:
          - name: test
            steps:
              - {id: bad, run: shell, with: {command: 'echo report > report.txt; exit 3'}, outputs: [report.txt]}
              - {id: after, run: shell, with: {command: 'echo never'}}
        """)
    run = delivery.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert run.records["test/bad"].exit_code == 3
    assert not run.records["test/bad"].passed
    assert delivery.store().get_bytes(run.records["test/bad"].outputs[0].sha256) == b"report\n"
    assert "ASSET_MATERIALIZATION" in run.types("test__bad")
    assert "test/after" not in run.records
    assert delivery.run().records["test/bad"].cache == "miss"


def test_continue_on_error_shows_the_failure_and_goes_on(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        stages:
          - name: test
            steps:
              - {id: bad, run: shell, with: {command: 'exit 3'}, continue_on_error: true}
              - {id: after, run: shell, with: {command: 'echo "{{ steps.bad.passed }}"'}}
        """)
    run = delivery.run()
    assert run.passed, run.failures()
    assert not run.records["test/bad"].passed
    assert run.logs["test__after"] == "false\n"


def test_retries_try_again_until_it_passes(delivery: Delivery, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    delivery.workflow(f"""
        name: flow
        project: shop
        stages:
          - name: test
            steps:
              - id: flaky
                run: shell
                with: {{command: 'echo attempt $MAESTRO_ATTEMPT; echo x >> {counter}; [ $(wc -l < {counter}) -ge 3 ]'}}
                retries: {{max: 3, delay: 10ms, jitter: false}}
        """)
    run = delivery.run()
    assert run.passed, run.failures()
    assert run.types("test__flaky").count("STEP_UP_FOR_RETRY") == 2
    assert counter.read_text() == "x\nx\nx\n"
    assert "attempt 1" in run.logs["test__flaky"]
    assert "attempt 3" in run.logs["test__flaky"]


def test_a_timeout_kills_the_whole_process_group_and_counts_as_failed(delivery: Delivery, tmp_path: Path) -> None:
    mark = f"{tmp_path.name}-{os.getpid()}"
    delivery.workflow(f"""
        name: flow
        project: shop
        stages:
          - name: test
            steps:
              - id: slow
                run: shell
                with: {{command: '(exec -a {mark} sleep 60) & (exec -a {mark} sleep 60)'}}
                timeout: 500ms
        """)
    run = delivery.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert "longer than its timeout of 0.5 s" in run.records["test/slow"].summary
    assert not [one for one in psutil.process_iter(["cmdline"]) if mark in " ".join(one.info["cmdline"] or [])]


def test_finally_steps_run_after_success_and_after_failure_and_know_what_happened(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        params: {code: {type: integer, default: 0}}
        stages:
          - name: test
            steps:
              - {id: maybe, run: shell, with: {command: 'exit {{ params.code }}'}}
        finally:
          - {id: tell, run: shell, with: {command: 'echo passed={{ steps.maybe.passed }}'}}
          - {id: last, run: shell, with: {command: 'echo last'}, when: 'not steps.maybe.passed'}
        """)
    good = delivery.run()
    assert good.passed, good.failures()
    assert good.logs["finally__tell"] == "passed=true\n"
    assert "finally/last" not in good.records
    bad = delivery.run(code=1)
    assert bad.status == DagsterRunStatus.FAILURE
    assert bad.logs["finally__tell"] == "passed=false\n"
    assert bad.logs["finally__last"] == "last\n"


def test_a_finally_step_may_ask_about_a_step_that_never_ran(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        stages:
          - name: test
            steps:
              - {id: bad, run: shell, with: {command: 'exit 1'}}
              - {id: never, run: shell, with: {command: 'echo version=1 >> $MAESTRO_OUTPUT'}}
        finally:
          - {id: tell, run: shell, with: {command: "echo {{ steps.never.passed }} {{ steps.never.outputs.version | default('none') }}"}}
        """)
    run = delivery.run()
    assert run.logs["finally__tell"] == "false none\n", run.failures()


def test_a_failing_finally_step_fails_the_run_and_the_next_one_still_runs(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        stages:
          - name: test
            steps:
              - {id: good, run: shell, with: {command: 'true'}}
        finally:
          - {id: bad, run: shell, with: {command: 'exit 1'}, retries: {max: 1, delay: 10ms}}
          - {id: last, run: shell, with: {command: 'echo last'}}
        """)
    run = delivery.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert run.types("finally__bad").count("STEP_RESTARTED") == 1
    assert run.records["finally/last"].passed


COMPENSATED = """
    name: flow
    project: shop
    stages:
      - name: change
        steps:
          - id: one
            run: shell
            with: {command: 'echo do-one >> LOG'}
            effects: true
            compensate: {with: {command: 'echo undo-one >> LOG'}}
          - id: two
            run: shell
            with: {command: 'echo do-two >> LOG'}
            effects: true
            compensate: {with: {command: 'echo undo-two >> LOG'}}
          - {id: three, run: shell, with: {command: 'sleep SLEEP; exit CODE'}}
    """


def test_finished_steps_are_undone_in_reverse_order_when_a_later_one_fails(delivery: Delivery, tmp_path: Path) -> None:
    log = tmp_path / "effects"
    delivery.workflow(COMPENSATED.replace("LOG", str(log)).replace("SLEEP", "0").replace("CODE", "1"))
    run = delivery.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert log.read_text().split() == ["do-one", "do-two", "undo-two", "undo-one"]
    assert "Compensation: step change/two undone" in run.messages()


def test_a_cancelled_run_ends_its_processes_undoes_and_runs_finally(delivery: Delivery, tmp_path: Path) -> None:
    log = tmp_path / "effects"
    text = textwrap.dedent(COMPENSATED.replace("LOG", str(log)).replace("SLEEP", "60").replace("CODE", "0"))
    delivery.workflow(text + "finally:\n  - {id: bye, run: shell, with: {command: 'echo bye'}}\n")

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (not log.exists() or "do-two" not in log.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    run = delivery.run()
    assert run.status == DagsterRunStatus.CANCELED
    assert log.read_text().split() == ["do-one", "do-two", "undo-two", "undo-one"]
    assert run.logs["finally__bye"] == "bye\n"


def test_a_run_that_takes_longer_than_its_timeout_fails(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        timeout: 1s
        stages:
          - name: test
            steps:
              - {id: slow, run: shell, with: {command: 'sleep 60'}}
        """)
    run = delivery.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert "the run took longer than its timeout of 1 s" in run.messages()


def test_a_condition_on_outputs_is_decided_during_the_run_and_its_skip_passes_on(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        stages:
          - name: test
            parallel:
              - {id: look, run: shell, with: {command: 'echo found=no >> $MAESTRO_OUTPUT'}}
              - {id: act, run: shell, depends_on: [look], when: "steps.look.outputs.found == 'yes'", with: {command: 'echo act'}}
              - {id: next, run: shell, depends_on: [act], with: {command: 'echo next'}}
        """)
    run = delivery.run()
    assert run.passed, run.failures()
    assert set(run.records) == {"test/look"}
    assert "STEP_SKIPPED" in run.types("test__next")


def test_steps_run_at_once_up_to_the_limit(delivery: Delivery, tmp_path: Path) -> None:
    # Both steps wait for the other: they can only finish when they run at the same time.
    delivery.workflow(f"""
        name: flow
        project: shop
        stages:
          - name: test
            parallel:
              - {{id: a, run: shell, timeout: 30s, with: {{command: 'touch {tmp_path}/a; while [ ! -e {tmp_path}/b ]; do sleep 0.05; done'}}}}
              - {{id: b, run: shell, timeout: 30s, with: {{command: 'touch {tmp_path}/b; while [ ! -e {tmp_path}/a ]; do sleep 0.05; done'}}}}
        """)
    assert delivery.run().passed


def test_a_pool_limits_how_many_run_at_once(delivery: Delivery, tmp_path: Path) -> None:
    delivery.workflow(f"""
        name: flow
        project: shop
        stages:
          - name: test
            parallel:
              - {{id: a, run: shell, pool: one, with: {{command: 'mkdir {tmp_path}/lock && sleep 0.3 && rmdir {tmp_path}/lock'}}}}
              - {{id: b, run: shell, pool: one, with: {{command: 'mkdir {tmp_path}/lock && sleep 0.3 && rmdir {tmp_path}/lock'}}}}
        """)
    with delivery.instance() as instance:
        instance.event_log_storage.set_concurrency_slots("one", 1)
    run = delivery.run()
    assert run.passed, run.failures()


def test_secrets_reach_only_the_step_that_names_them_and_are_masked_everywhere(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t-value-0815")
    delivery.workflow("""
        name: flow
        project: shop
        secrets: [API_TOKEN]
        stages:
          - name: test
            steps:
              - id: use
                run: shell
                secrets: [API_TOKEN]
                with: {command: 'echo "token=$API_TOKEN"; echo "$API_TOKEN" | base64; echo "seen=$API_TOKEN" >> $MAESTRO_OUTPUT; test -n "$API_TOKEN"'}
              - {id: other, run: shell, with: {command: 'test -z "$API_TOKEN"'}}
        """)
    run = delivery.run()
    assert run.passed, run.failures()
    assert "token=***" in run.logs["test__use"]
    everything = run.messages() + str(run.records) + "".join(run.logs.values())
    assert "s3cr3t-value-0815" not in everything
    for file in (delivery.root / ".maestro").rglob("*"):
        if file.is_file():
            assert b"s3cr3t-value-0815" not in file.read_bytes(), file


def test_a_missing_secret_fails_the_step_by_name(delivery: Delivery) -> None:
    delivery.workflow("""
        name: flow
        project: shop
        secrets: [NOT_SET_ANYWHERE]
        stages:
          - name: test
            steps:
              - {id: use, run: shell, secrets: [NOT_SET_ANYWHERE], with: {command: 'true'}}
        """)
    run = delivery.run()
    assert run.status == DagsterRunStatus.FAILURE
    assert "NOT_SET_ANYWHERE" in run.failures()

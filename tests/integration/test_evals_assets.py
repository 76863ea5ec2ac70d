"""The standing assets of evaluations, in Dagster and through the real gateway: weeks, regressions, budgets, proposals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maestro.artifacts import ArtifactStore, keys
from maestro.audit import AuditLog
from maestro.audit.keyfile import read_public
from maestro.ledger.model import Scope, Unit
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.audit_check import verify_decisions
from maestro.project import Project
from maestro_defs.evals import asset_names, eval_assets
from maestro_defs.evals_setup import Evals
from maestro_defs.models import Charged
from tests.integration.eval_endpoint import EvalEndpoint, eval_endpoint
from tests.integration.github_pulls import github_with_pulls
from tests.integration.github_server import TOKEN
from tests.unit.eval_models import wrong

WEEK, NEXT_WEEK = "2026-11-09", "2026-11-16"


@pytest.fixture
def endpoint() -> Iterator[EvalEndpoint]:
    with eval_endpoint() as one:
        yield one


@pytest.fixture
def project(tmp_path: Path, endpoint: EvalEndpoint) -> Project:
    root = tmp_path / "app"
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    (root / "models.yaml").write_text(endpoint.models_yaml("good", "poor"))
    return Project.find(root, environ={})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def _evals(project: Project, models: str = "good,poor", **environ: str) -> Evals:
    return Evals(
        Charged(project, "app", "acme"),
        {"PATH": os.environ["PATH"], "MAESTRO_EVALS_MODELS": models, **environ},
        lambda: _store(project),
    )


def _store(project: Project) -> ArtifactStore:
    return ArtifactStore.open(str(project.ensure_home() / "artifacts"))


class _Week:
    """What a week's run of the job left in Dagster."""

    def __init__(
        self,
        evals: Evals,
        week: str,
        instance: dg.DagsterInstance,
        only: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        job = eval_assets(evals).get_repository_def().get_job("evals_weekly")
        self.result = job.execute_in_process(
            run_config=config,
            partition_key=week,
            instance=instance,
            raise_on_error=False,
            asset_selection=None if only is None else [dg.AssetKey(only.split("/"))],
        )

    def metadata(self, *key: str) -> dict[str, Any]:
        found = next(
            event.materialization
            for event in self.result.get_asset_materialization_events()
            if event.asset_key == dg.AssetKey(list(key))
        )
        return {name: value.value for name, value in found.metadata.items()}

    def check(self, name: str) -> list[tuple[bool, dg.AssetCheckSeverity]]:
        found = self.result.get_asset_check_evaluations()
        return [(one.passed, one.severity) for one in found if one.check_name == name]


def test_a_week_has_a_run_for_each_model_a_report_and_weights(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    endpoint.scripts["poor"] = wrong
    week = _Week(_evals(project), WEEK, instance)
    assert week.result.success
    assert week.metadata("evals", "dataset", "code_review")["cases"] == 80
    assert week.metadata("evals", "code_review", "good")["passed"] == 1.0
    assert week.metadata("evals", "code_review", "poor")["passed"] == 0.0
    assert week.metadata("evals", "code_review", "good")["dollars"] == pytest.approx(80 * 600 / 1e6)
    assert week.metadata("evals", "diff")["says"] == "nothing to compare with: good, poor"
    weights = week.metadata("llm", "routing_weights")
    assert weights["changes"] == 1
    assert weights["pull request"] == "none: no repository is set up for it"
    page = _store(project).objects.read(keys.eval_report("app", "code_review", WEEK, "html"))
    assert page is not None
    assert b"<h2>good</h2>" in page[0]


def test_what_it_costs_is_charged_to_the_project_to_the_nanodollar(
    project: Project, instance: dg.DagsterInstance
) -> None:
    _Week(_evals(project, "good"), WEEK, instance)
    with Ledger.open(ledger_url(project.home, {})) as ledger:
        assert ledger.balance(Scope("project", "acme/app"), Unit.USD).spent == 80 * 600_000
        assert list(ledger.check()) == []


def test_why_its_models_were_asked_is_in_the_audit_log_of_the_project(
    project: Project, instance: dg.DagsterInstance
) -> None:
    week = _Week(_evals(project, "good"), WEEK, instance)
    key = read_public(str(project.home / "keys" / "audit.pem.pub"))
    with AuditLog.read(f"sqlite:///{project.home / 'audit.db'}", key=key) as log:
        (entry,) = log.entries()
        with Ledger.open(ledger_url(project.home, {})) as ledger:
            assert verify_decisions(ledger.engine, log).decisions == 80
    assert (entry.kind, entry.data["run"], entry.data["count"]) == ("llm.decisions", week.result.run_id, 80)


def test_a_model_that_became_worse_fails_the_check_and_is_named(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    first = _Week(_evals(project, "good"), WEEK, instance)
    endpoint.scripts["good"] = lambda case: "[]"
    second = _Week(_evals(project, "good"), NEXT_WEEK, instance)
    assert first.check("no_regression") == [(False, dg.AssetCheckSeverity.WARN)]
    assert second.check("no_regression") == [(False, dg.AssetCheckSeverity.ERROR)]
    assert second.metadata("evals", "diff")["says"] == "worse: good"


def test_a_model_that_stayed_as_it_was_passes_the_check(project: Project, instance: dg.DagsterInstance) -> None:
    _Week(_evals(project, "good"), WEEK, instance)
    week = _Week(_evals(project, "good"), NEXT_WEEK, instance)
    assert week.check("no_regression")[0][0]


def test_a_budget_is_kept_and_the_run_is_partial_until_it_is_raised(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    scope = Scope("project", "acme/app")
    with Ledger.open(ledger_url(project.ensure_home(), {})) as ledger:
        ledger.set_limit(scope, Unit.USD, 30_000_000, actor="ann", reason="a trial")
    week = _Week(_evals(project, "good"), WEEK, instance)
    assert week.check("complete") == [(False, dg.AssetCheckSeverity.WARN)]
    assert week.metadata("evals", "code_review", "good")["state"] == "partial"
    assert week.metadata("evals", "diff")["says"] == "partial, not compared: good"
    paid = len(endpoint.asked)
    with Ledger.open(ledger_url(project.home, {})) as ledger:
        assert 0 < ledger.balance(scope, Unit.USD).spent <= 30_000_000
        ledger.set_limit(scope, Unit.USD, 10**9, actor="ann", reason="it is worth it")
    again = _Week(_evals(project, "good"), WEEK, instance)
    assert again.metadata("evals", "code_review", "good")["state"] == "complete"
    assert 0 < paid < 80
    assert len(endpoint.asked) == 80
    told = again.metadata("evals", "code_review", "good")
    assert told["reused"] == paid
    assert told["dollars this time"] == pytest.approx((80 - paid) * 600 / 1e6)
    page = _store(project).objects.read(keys.eval_report("app", "code_review", WEEK, "html"))
    assert page is not None
    assert f"{paid} answers are of an earlier attempt of this week".encode() in page[0]


def test_a_complete_week_is_used_again_and_says_so_until_all_of_it_is_wanted_again(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    only, key = "evals/code_review/good", ("evals", "code_review", "good")
    first = _Week(_evals(project, "good"), WEEK, instance).metadata(*key)
    assert (first["reused"], first["dollars this time"]) == (0, first["dollars"])
    with_weight = endpoint.models_yaml("good", "poor").replace("max_output: 4096", "max_output: 4096\n    weight: 0.5")
    (project.root / "models.yaml").write_text(with_weight)
    second = _Week(_evals(project, "good"), WEEK, instance, only)
    again = second.metadata(*key)
    assert second.check("complete")[0][0]
    assert len(endpoint.asked) == 80
    assert (again["reused"], again["dollars this time"], again["dollars"]) == (80, 0.0, first["dollars"])
    assert "nothing was asked" in again["note"]
    wanted = {"ops": {"__".join(key): {"config": {"again": True}}}}
    third = _Week(_evals(project, "good"), WEEK, instance, only, wanted).metadata(*key)
    assert len(endpoint.asked) == 160
    assert (third["reused"], third["dollars this time"]) == (0, first["dollars"])


def test_using_a_week_again_leaves_it_as_it_compared_and_was_accepted(
    project: Project, instance: dg.DagsterInstance
) -> None:
    evals = _evals(project, "good")
    _Week(evals, WEEK, instance)
    kept = evals.history().get("code_review", "good", WEEK)
    assert kept is not None
    assert kept.good
    _Week(evals, WEEK, instance, "evals/code_review/good")
    assert evals.history().get("code_review", "good", WEEK) == kept


def test_a_model_behind_another_entry_of_the_catalogue_is_asked_in_full(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    only = "evals/code_review/good"
    _Week(_evals(project, "good"), WEEK, instance, only)
    other = endpoint.models_yaml("good").replace("max_output: 4096", "max_output: 2048")
    (project.root / "models.yaml").write_text(other)
    again = _Week(_evals(project, "good"), WEEK, instance, only).metadata("evals", "code_review", "good")
    assert (len(endpoint.asked), again["reused"]) == (160, 0)


def test_what_is_partial_when_all_is_asked_again_does_not_replace_what_was_complete(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    only, key = "evals/code_review/good", ("evals", "code_review", "good")
    _Week(_evals(project, "good"), WEEK, instance, only)
    with Ledger.open(ledger_url(project.home, {})) as ledger:
        ledger.set_limit(Scope("project", "acme/app"), Unit.USD, 60_000_000, actor="ann", reason="a trial")
    wanted = {"ops": {"__".join(key): {"config": {"again": True}}}}
    week = _Week(_evals(project, "good"), WEEK, instance, only, wanted)
    told = week.metadata(*key)
    assert told["state"] == "complete"
    assert told["note"].startswith("the complete run of before stays, as this one is partial: ")
    assert 0 < told["dollars this time"] < told["dollars"]


def test_a_model_that_cannot_be_asked_does_not_hide_the_others(project: Project, instance: dg.DagsterInstance) -> None:
    week = _Week(_evals(project, "good,gpt-4o-mini"), WEEK, instance)
    assert week.result.success
    assert week.metadata("evals", "code_review", "gpt_4o_mini")["answered"] == 0
    assert week.metadata("evals", "code_review", "good")["answered"] == 80
    assert "partial, not compared: gpt-4o-mini" in week.metadata("evals", "diff")["says"]


def test_the_offline_provider_is_the_default_and_gives_the_same_again(
    project: Project, instance: dg.DagsterInstance
) -> None:
    one = _Week(_evals(project, ""), WEEK, instance).metadata("evals", "code_review", "offline")
    two = _Week(_evals(project, ""), NEXT_WEEK, instance).metadata("evals", "code_review", "offline")
    assert one["offline"] is True
    assert 0 < one["defects found"] < 0.5
    assert (one["passed"], one["false alarms"], one["dollars"]) == (two["passed"], two["false alarms"], 0.0)


def test_weights_become_one_pull_request_a_week(
    project: Project, instance: dg.DagsterInstance, endpoint: EvalEndpoint
) -> None:
    endpoint.scripts["poor"] = lambda case: "[]"
    with github_with_pulls({"models.yaml": (project.root / "models.yaml").read_text()}) as github:
        environ = {
            "MAESTRO_EVALS_REPOSITORY": "acme/app",
            "MAESTRO_EVALS_GITHUB_API": github.url,
            "MAESTRO_EVALS_TOKEN": "env:ROBOT",
            "MAESTRO_EVALS_REVIEWERS": "ann, bob",
            "ROBOT": TOKEN,
        }
        first = _Week(_evals(project, **environ), WEEK, instance).metadata("llm", "routing_weights")
        again = _Week(_evals(project, **environ), WEEK, instance, "llm/routing_weights").metadata(
            "llm", "routing_weights"
        )
        assert (first["state"], again["state"], len(github.pulls)) == ("opened", "open", 1)
        assert github.pulls[0]["reviewers"] == ["ann", "bob"]
        assert "| `poor` | 1.0 | 0.12 |" in github.pulls[0]["body"]
        changed = github.file(f"maestro/routing-weights-{WEEK}", "models.yaml")
        assert changed is not None
        assert "weight: 0.12" in changed


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"MAESTRO_EVALS_RUNNER": "other"}, "MAESTRO_EVALS_RUNNER is 'other'"),
        ({"MAESTRO_EVALS_REPOSITORY": "https://x/y"}, "MAESTRO_EVALS_REPOSITORY is 'https://x/y'"),
        ({"MAESTRO_EVALS_REPOSITORY": "acme/app"}, "there is no token for acme/app"),
    ],
)
def test_wrong_settings_fail_with_what_to_do(
    project: Project, instance: dg.DagsterInstance, environ: dict[str, str], said: str
) -> None:
    only = "evals/code_review/good" if "MAESTRO_EVALS_RUNNER" in environ else "llm/routing_weights"
    result = _Week(_evals(project, "good", **environ), WEEK, instance, only).result
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert not result.success
    assert any(error is not None and said in str(error) for error in errors)


def test_it_runs_by_itself_on_mondays_only_where_models_are_named(project: Project) -> None:
    named, unnamed = (eval_assets(_evals(project, models)).get_repository_def() for models in ("good", ""))
    assert named.get_schedule_def("evals_weekly").default_status == dg.DefaultScheduleStatus.RUNNING
    assert unnamed.get_schedule_def("evals_weekly").default_status == dg.DefaultScheduleStatus.STOPPED
    moment = datetime(2026, 11, 16, 4, 23, tzinfo=UTC)
    with dg.build_schedule_context(scheduled_execution_time=moment, repository_def=named) as context:
        found = named.get_schedule_def("evals_weekly").evaluate_tick(context).run_requests or []
    assert [(one.partition_key, one.run_key) for one in found] == [("2026-11-16", "2026-11-16")]


def test_names_of_models_that_look_alike_have_assets_of_their_own() -> None:
    assert asset_names(["qwen3:8b", "qwen3.8b", "a/b"]) == {
        "qwen3:8b": "qwen3_8b",
        "qwen3.8b": "qwen3_8b_2",
        "a/b": "a_b",
    }

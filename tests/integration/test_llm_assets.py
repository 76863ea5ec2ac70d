"""What Dagster shows of models and money: the spend of a day, which models answer, and budgets that run out."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maestro.errors import InputError, MaestroError
from maestro.ledger.model import NANO, PULL_REQUEST_DEFAULT, Attribution, Scope, Unit
from maestro.ledger.store import Ledger
from maestro.ledger.tables import CHARGES
from maestro.project import Project, revision_of
from maestro.runs.tags import PARTITION_TAG, PROJECT_TAG
from maestro.server.home import HOME_VARIABLE, find_server
from maestro.server.projects import RegisteredProject
from maestro_defs.crossings import Crossings
from maestro_defs.definitions import definitions_of
from maestro_defs.local import job_origin
from maestro_defs.models import Charged, model_assets
from maestro_defs.run_worker import carry_out
from maestro_defs.served import definitions_of_project
from maestro_defs.server import Server
from maestro_defs.trust import commit_of
from resources.delivery import Source
from resources.llm import LlmResource
from tests.integration.delivery import Delivery
from tests.integration.dispatch_desk import Desk, desk
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import model_server

__all__ = ["desk"]

DAY = date(2026, 3, 10)
SPEND, HEALTH = dg.AssetKey(["llm", "spend"]), dg.AssetKey(["llm", "health"])
REVIEW = Attribution("local", "shop", run="run-1", step="all/review")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Delivery(tmp_path / "shop")
    made.root.mkdir()
    made.git("init", "-q", "-b", "main")
    return made.project


@pytest.fixture
def ledger(project: Project) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{project.ensure_home() / 'ledger.db'}") as opened:
        yield opened


def charge(
    ledger: Ledger,
    usd: float,
    who: Attribution = REVIEW,
    *,
    day: date | None = None,
    tokens: int = 10,
    model: str = "m",
) -> str:
    """An answer that cost this much, on ``day``; its reservation."""
    id = uuid.uuid4().hex
    amounts = {Unit.USD: round(usd * NANO), Unit.TOKENS: tokens}
    ledger.reserve(id, who, amounts, sent=True)
    ledger.settle(id, amounts, model=model, provider="p", decision="dec_1")
    if day is not None:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
        with ledger.engine.begin() as connection:
            connection.execute(CHARGES.update().where(CHARGES.c.reservation == id).values(at=noon))
    return id


def materialized(
    project: Project, key: dg.AssetKey, *, day: date | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The metadata of the asset: what tables hold as rows, everything else as it is."""
    definitions = model_assets(Charged(project, "shop", "local"), environ or {})
    done = dg.materialize([definitions.resolve_assets_def(key)], partition_key=None if day is None else day.isoformat())
    (event,) = done.get_asset_materialization_events()
    return {name: shown(value) for name, value in event.materialization.metadata.items()}


def shown(value: Any) -> Any:
    if isinstance(value, dg.TableMetadataValue):
        return [dict(record.data) for record in value.records]
    return value.value


def test_the_spend_of_a_day_is_shown_by_model_and_step(project: Project, ledger: Ledger) -> None:
    charge(ledger, 0.25, day=DAY)
    charge(ledger, 0.5, Attribution("local", "shop", run="run-2", step="all/notes"), day=DAY, model="big")
    charge(ledger, 0.125, day=DAY)
    charge(ledger, 7, day=DAY - timedelta(days=1))
    charge(ledger, 7, day=DAY + timedelta(days=1))
    charge(ledger, 7, Attribution("local", "another", run="run-3", step="all/review"), day=DAY)
    assert materialized(project, SPEND, day=DAY) == {
        "dollars": 0.875,
        "tokens": 30,
        "calls": 3,
        "out of line": False,
        "by model": [{"model": "big", "dollars": 0.5}, {"model": "m", "dollars": 0.375}],
        "by step": [{"step": "all/notes", "dollars": 0.5}, {"step": "all/review", "dollars": 0.375}],
    }


def test_a_day_without_a_charge_is_a_zero_that_plots(project: Project) -> None:
    found = materialized(project, SPEND, day=DAY)
    assert (found["dollars"], found["tokens"], found["calls"], found["by model"]) == (0.0, 0, 0, [])
    assert isinstance(found["dollars"], float)


def test_an_answer_that_cost_nothing_is_a_call_all_the_same_and_a_correction_is_none(
    project: Project, ledger: Ledger
) -> None:
    charge(ledger, 0, day=DAY, tokens=500, model="qwen3:8b")
    lost = uuid.uuid4().hex
    ledger.reserve(lost, REVIEW, {Unit.USD: NANO}, sent=True, lease=0.001, model="m")
    ledger.expire(datetime.now(UTC) + timedelta(hours=1))
    ledger.adjust(lost, NANO // 4, reason="the bill says so", actor="boss")
    found = materialized(project, SPEND, day=DAY)
    assert (found["calls"], found["tokens"], found["dollars"]) == (1, 500, 0.0)
    with ledger.engine.begin() as connection:
        moved = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=1, hours=1)
        connection.execute(CHARGES.update().where(CHARGES.c.reservation == lost).values(at=moved.timestamp()))
    found = materialized(project, SPEND, day=DAY + timedelta(days=1))
    assert (found["calls"], found["dollars"]) == (1, 0.25)


def test_a_day_that_costs_much_more_than_such_days_is_flagged(project: Project, ledger: Ledger) -> None:
    for past in range(1, 43):
        charge(ledger, 1 + past % 5 / 20, Attribution("local", "shop"), day=DAY - timedelta(days=past))
    charge(ledger, 1.1, day=DAY)
    assert materialized(project, SPEND, day=DAY)["out of line"] is False
    charge(ledger, 8, day=DAY)
    found = materialized(project, SPEND, day=DAY)
    assert found["out of line"] is True
    assert found["expected"].startswith("about $1.")


def test_a_ledger_that_cannot_be_read_fails_the_asset_and_says_why(project: Project) -> None:
    (project.ensure_home() / "ledger.db").write_text("no database at all, but long enough to be looked at" * 30)
    with pytest.raises(dg.Failure, match="database"):
        materialized(project, SPEND, day=DAY)


def test_which_models_can_be_used_is_shown_with_the_reason_where_one_cannot(project: Project) -> None:
    with model_server() as server:
        elsewhere = {"away": {"kind": "openai", "api_base": "http://127.0.0.1:9/v1", "key": "env:TEST_KEY"}}
        catalogue_file(project.root, server.url, {"echo": {}, "gone": {"provider": "away"}}, more_providers=elsewhere)
        environ = {"TEST_KEY": KEY, "OLLAMA_HOST": "127.0.0.1:9"}
        found = materialized(project, HEALTH, environ=environ)
    states = {row["model"]: row["state"] for row in found["models"]}
    assert states["echo"] == "ready"
    assert states["gone"] != "ready"
    assert states["offline"] == "ready"
    assert found["ready"] == sum(state == "ready" for state in states.values())
    assert found["not ready"] == len(states) - found["ready"]
    assert KEY not in str(states)


def test_a_wrong_catalogue_fails_the_asset_with_its_place(project: Project) -> None:
    (project.root / "models.yaml").write_text("models:\n  mine: {provider: nobody}\n")
    with pytest.raises(dg.Failure, match=r"models\.yaml:2:\d+"):
        materialized(project, HEALTH)


def test_the_numbers_of_a_model_step_plot_over_revisions_also_where_they_are_zero(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    shop = Delivery(project.root)
    with model_server() as server:
        catalogue_file(project.root, server.url, {"echo": {}})
        shop.workflow(
            "name: flow\nproject: shop\nstages:\n  - name: all\n    parallel:\n"
            "      - { id: paid, run: llm.generate, with: { model: echo, text: hello } }\n"
            "      - { id: free, run: llm.generate, with: { model: offline, text: hello } }\n"
        )
        run = shop.run()
    assert run.passed, run.failures()
    made = [one.step_materialization_data.materialization for one in run.events if one.is_step_materialization]
    found = {one.asset_key.path[-1]: one.metadata for one in made}
    kinds = {
        "dollars": dg.FloatMetadataValue,
        "latency (s)": dg.FloatMetadataValue,
        "first token (s)": dg.FloatMetadataValue,
        "input tokens": dg.IntMetadataValue,
        "output tokens": dg.IntMetadataValue,
        "offline": dg.BoolMetadataValue,
        "model": dg.TextMetadataValue,
        "decision": dg.TextMetadataValue,
        "candidates": dg.TableMetadataValue,
    }
    for step in ("paid", "free"):
        assert {name: type(found[step][name]) for name in kinds} == kinds
    assert shown(found["paid"]["dollars"]) > 0
    assert shown(found["free"]["dollars"]) == 0


# One machine.


def evaluated(project: Project, environ: Mapping[str, str] | None = None) -> dg.SensorResult:
    definitions = model_assets(Charged(project, "shop", "local"), environ or {})
    (sensor,) = definitions.sensors or ()
    assert isinstance(sensor, dg.SensorDefinition)
    found = sensor(dg.build_sensor_context())
    assert isinstance(found, dg.SensorResult)
    return found


def test_the_sensor_observes_each_threshold_once(project: Project, ledger: Ledger) -> None:
    ledger.set_limit(Scope("project", "local/shop"), Unit.USD, NANO, actor="boss", reason="test")
    charge(ledger, 0.5)
    assert evaluated(project).asset_events == []
    charge(ledger, 0.46)
    told = evaluated(project).asset_events
    assert [shown(one.metadata["level (%)"]) for one in told] == [80, 95]
    assert {tuple(one.asset_key.path) for one in told} == {("llm", "spend")}
    assert told[0].description == (
        "the budget of project:local/shop is used by 80 %: $0.96 of $1.00; "
        "cheaper models of a route are preferred from now on"
    )
    assert evaluated(project).asset_events == []


def test_what_costs_more_than_was_reserved_is_told_as_that(project: Project, ledger: Ledger) -> None:
    ledger.reserve("r-1", REVIEW, {Unit.USD: NANO}, sent=True)
    ledger.settle("r-1", {Unit.USD: 2 * NANO})
    (told,) = evaluated(project).asset_events
    assert told.description == "step:run-1/all/review has cost $2.00, more than the $1.00 that were reserved (r-1)"
    assert "level (%)" not in told.metadata


def test_where_nothing_was_ever_asked_the_sensor_makes_no_ledger(project: Project) -> None:
    assert evaluated(project).skip_reason is not None
    assert not (project.home / "ledger.db").exists()


def test_a_ledger_that_cannot_be_read_is_a_reason_to_skip(project: Project) -> None:
    (project.ensure_home() / "ledger.db").write_text("no database at all, but long enough to be looked at" * 30)
    assert "the ledger cannot be read" in str(evaluated(project).skip_reason)


def test_the_sensor_of_a_checkout_takes_nothing_that_is_the_conductors_to_tell(
    project: Project, tmp_path: Path
) -> None:
    home = tmp_path / "server"
    home.mkdir()
    with Ledger.open(f"sqlite:///{home / 'ledger.db'}") as ledger:
        ledger.set_limit(Scope("tenant", "local"), Unit.USD, NANO, actor="boss", reason="test")
        charge(ledger, 1)
        assert evaluated(project, {HOME_VARIABLE: str(home)}).asset_events == []
        assert [one.level for one in ledger.take_crossings()] == [80, 95, 100]


def test_an_asset_of_ones_own_asks_through_the_resource(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")

    @dg.asset
    def asked(llm: LlmResource) -> str:
        return llm.ask("hello there", target="echo").text

    below = project.root / "below"
    below.mkdir()
    with model_server() as server:
        catalogue_file(project.root, server.url, {"echo": {}})
        done = dg.materialize([asked], resources={"llm": LlmResource(project="shop", root=str(below))})
    assert done.output_for_node("asked") == "hello there"
    with Ledger.open(f"sqlite:///{project.home / 'ledger.db'}") as ledger:
        (one,) = ledger.charges(unit="usd")
        assert (one.attribution.project, one.attribution.tenant, one.model) == ("shop", "local", "echo")
        assert one.amount > 0


# A server.


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    made = Server(find_server())
    for name, tenant in (("shop", "acme"), ("site", "acme"), ("other", "zeta")):
        made.projects.add(RegisteredProject(name, f"/nowhere/{name}.git", tenant=tenant, provider="git"))
    return made


@contextmanager
def shared(server: Server) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{server.home.folder / 'ledger.db'}") as ledger:
        yield ledger


def told(server: Server, instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """Project -> scopes it was told of, after one look of a new conductor."""
    crossings = Crossings(server, instance)
    try:
        crossings.look()
    finally:
        crossings.close()
    return observed(server, instance)


def observed(server: Server, instance: dg.DagsterInstance) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for project in server.projects.all():
        key = dg.AssetKey([project.name, "llm", "spend"])
        records = instance.fetch_observations(key, limit=50, ascending=True).records
        for record in records:
            observation = record.asset_observation
            assert observation is not None
            found.setdefault(project.name, []).append(
                f"{shown(observation.metadata['scope'])} {shown(observation.metadata['level (%)'])}"
            )
    return found


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        (Scope("tenant", "acme"), {"shop", "site"}),
        (Scope("project", "acme/shop"), {"shop"}),
        (Scope("pull_request", "acme/shop#7"), {"shop"}),
        (Scope("run", "run-1"), {"shop"}),
        (Scope("step", "run-1/all/review"), {"shop"}),
    ],
)
def test_the_conductor_tells_the_projects_a_budget_concerns_once(server: Server, scope: Scope, where: set[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance, shared(server) as ledger:
        instance.add_run(dg.DagsterRun("app", run_id="run-1", tags={PROJECT_TAG: "shop"}))
        ledger.set_limit(scope, Unit.USD, NANO, actor="boss", reason="test")
        charge(ledger, 0.9, Attribution("acme", "shop", pull_request=7, run="run-1", step="all/review"))
        expected = {name: [f"{scope} 80"] for name in where}
        assert told(server, instance) == expected
        assert told(server, instance) == expected


def test_a_budget_of_a_month_is_told_to_the_project_it_is_of(server: Server) -> None:
    month = datetime.now(UTC).strftime("%Y-%m")
    with dg.DagsterInstance.ephemeral() as instance, shared(server) as ledger:
        ledger.set_limit(Scope("project", "zeta/other", month), Unit.RUNS, 1, actor="boss", reason="test")
        ledger.spend(Attribution("zeta", "other"), {Unit.RUNS: 1})
        assert {name: len(lines) for name, lines in told(server, instance).items()} == {"other": 3}


def test_what_dagster_did_not_take_is_told_at_the_next_look(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance, shared(server) as ledger:
        charge(ledger, 0.9 * PULL_REQUEST_DEFAULT / NANO, Attribution("acme", "shop", pull_request=7))
        crossings = Crossings(server, instance, every=0)

        def failing(*_event: object) -> None:
            raise ConnectionError("the storage is away")

        with monkeypatch.context() as away:
            away.setattr(instance, "report_runless_asset_event", failing)
            with pytest.raises(ConnectionError):
                crossings.look()
        assert crossings.look() == 1
        assert crossings.look() == 0
        crossings.close()
        assert observed(server, instance) == {"shop": ["pull_request:acme/shop#7 80"]}


def test_the_conductor_gives_back_what_a_dead_process_had_reserved(server: Server) -> None:
    dies = """
import os, sys
from maestro.ledger.model import Attribution, Unit
from maestro.ledger.store import Ledger
ledger = Ledger.open(sys.argv[1])
ledger.reserve("unsent", Attribution("acme", "shop"), {Unit.USD: 5})
ledger.reserve("sent", Attribution("acme", "shop"), {Unit.USD: 7}, sent=True)
os._exit(9)
"""
    with dg.DagsterInstance.ephemeral() as instance, shared(server) as ledger:
        done = subprocess.run([sys.executable, "-c", dies, str(ledger.engine.url)], check=False)
        assert done.returncode == 9
        assert len(ledger.reservations()) == 2
        told(server, instance)
        assert ledger.reservations() == []
        assert {one.id: one.state for one in ledger.reservations(["unsent", "sent"])} == {
            "unsent": "released",
            "sent": "assumed",
        }
        assert ledger.check() == []


def test_the_projects_of_a_server_do_not_all_look_at_once(server: Server) -> None:
    times = set()
    for project in server.projects.all():
        charged = Charged(server.project(project), project.name, project.tenant, (project.name,))
        schedules = model_assets(charged, {}).get_repository_def().schedule_defs
        times.add(next(one.cron_schedule for one in schedules if one.name == "llm_health"))
    assert len(times) == 3


def test_on_a_server_the_assets_begin_with_the_projects_name_and_run_by_themselves(server: Server) -> None:
    project = server.projects.get("shop")
    charged = Charged(server.project(project), project.name, project.tenant, (project.name,))
    definitions = model_assets(charged, {})
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {"shop/llm/spend", "shop/llm/health"}
    assert not definitions.sensors
    schedules = definitions.get_repository_def().schedule_defs
    assert {one.name: one.default_status.value for one in schedules} == {
        "llm_spend": "RUNNING",
        "llm_health": "RUNNING",
    }


def test_the_spend_of_a_project_is_looked_up_in_the_servers_ledger(server: Server) -> None:
    with shared(server) as ledger:
        charge(ledger, 0.5, Attribution("acme", "shop"), day=DAY)
        charge(ledger, 4, Attribution("acme", "site"), day=DAY)
    project = server.projects.get("shop")
    charged = Charged(server.project(project), project.name, project.tenant, (project.name,))
    definitions = model_assets(charged, {HOME_VARIABLE: str(server.home.folder)})
    key = charged.key("spend")
    done = dg.materialize([definitions.resolve_assets_def(key)], partition_key=DAY.isoformat())
    (event,) = done.get_asset_materialization_events()
    assert shown(event.materialization.metadata["dollars"]) == 0.5


@pytest.mark.parametrize(("job", "name", "day"), [("llm_spend", "spend", DAY), ("llm_health", "health", None)])
def test_a_worker_of_a_server_makes_the_standing_assets_under_the_projects_name(
    desk: Desk, job: str, name: str, day: date | None
) -> None:
    with shared(desk.server) as ledger:
        charge(ledger, 0.5, Attribution("web", "app"), day=DAY)
    definitions = definitions_of_project(desk.server.home, "app", {HOME_VARIABLE: str(desk.server.home.folder)})
    run = desk.instance.create_run_for_job(
        definitions.resolve_job_def(job),
        run_id=str(uuid.uuid4()),
        tags={} if day is None else {PARTITION_TAG: day.isoformat()},
        remote_job_origin=job_origin(job, "app"),
    )
    carry_out(run.run_id, desk.server.home)
    ended = desk.instance.get_run_by_id(run.run_id)
    assert ended is not None
    told = "\n".join(one.message for one in desk.instance.all_logs(run.run_id))
    assert ended.status == dg.DagsterRunStatus.SUCCESS, told
    event = desk.instance.get_latest_materialization_event(dg.AssetKey(["app", "llm", name]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert shown(metadata["dollars" if day else "ready"]) == (0.5 if day else 1)


def test_a_day_given_for_a_commit_leads_to_no_commit(desk: Desk) -> None:
    desk.forks_commit({"src/a.py": "evil"})
    project = desk.server.projects.get("app")
    run = dg.DagsterRun("app", run_id=str(uuid.uuid4()), tags={PARTITION_TAG: DAY.isoformat()})
    assert commit_of(run) is None
    with pytest.raises(MaestroError, match=DAY.isoformat()):
        revision_of(desk.server.project(project), DAY.isoformat())


@pytest.mark.parametrize("partition", ["refs/pull/7/head", "2026-03-10^{commit}", "1" * 40])
def test_whatever_else_is_given_for_a_commit_is_judged_as_one(partition: str) -> None:
    run = dg.DagsterRun("app", run_id=str(uuid.uuid4()), tags={PARTITION_TAG: partition})
    assert commit_of(run) == partition


def test_a_step_that_would_be_a_standing_asset_is_told_to_change_its_name(project: Project) -> None:
    shop = Delivery(project.root)
    shop.workflow(
        "name: flow\nproject: shop\nstages:\n  - name: llm\n    steps:\n"
        "      - { id: spend, run: shell, with: { command: 'true' } }\n"
    )
    source = Source.load(shop.project, shop.profile)
    assert definitions_of(source, {}).resolve_all_asset_specs()
    with pytest.raises(InputError, match="step 'llm/spend' is called as one of Maestro's own assets is"):
        definitions_of(source, {}, prefix=("shop",))

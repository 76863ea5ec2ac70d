"""Runs outlast a PostgreSQL that is away for a moment: they begin, are counted and ask models once it is back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from dagster import DagsterRunStatus

from maestro.execution.errors import StepCancelledError
from maestro.execution.quotas import RunQuotas
from maestro.execution.session import RunSession
from maestro.ledger.errors import LedgerUnavailableError
from maestro.ledger.model import BudgetExceededError, Unit
from maestro.ledger.store import Ledger
from maestro.llm.model import Message, ModelRequest
from maestro.server.home import HOME_VARIABLE
from maestro.server.patience import is_server_away, patiently
from maestro.server.projects import RegisteredProject
from maestro.workflow.budget import Amounts, Budget
from maestro_defs.making import AskedRun, make_run
from maestro_defs.run_worker import carry_out
from maestro_defs.server import Server
from tests.e2e.cli_process import until
from tests.integration.delivery import Delivery
from tests.integration.gateway_server import make_home
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.mirror_origin import Origin
from tests.integration.model_server import ModelServer, model_server
from tests.integration.postgres_control import PostgresControl, controlled_postgres
from tests.integration.postgres_server import postgres_database

T = TypeVar("T")
WORKFLOW = "name: app\nstages:\n  - name: all\n    steps:\n      - { run: shell, with: { command: 'true' } }\n"
QUESTION = ModelRequest([Message("user", "hello")], target="echo", max_output_tokens=100)


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, PostgresControl]]:
    with controlled_postgres() as found:
        yield found


@pytest.fixture
def postgres(server: tuple[str, PostgresControl]) -> Iterator[tuple[str, PostgresControl]]:
    """A database of its own, and what stops its server."""
    with postgres_database(server[0]) as url:
        yield url, server[1]


@pytest.fixture
def session(
    tmp_path: Path, postgres: tuple[str, PostgresControl], provider: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunSession]:
    """A run of a server whose ledger is in the database."""
    home = make_home(tmp_path / "home", postgres[0]).folder
    catalogue_file(home, provider.url, {"echo": {}})
    for name, value in ((HOME_VARIABLE, str(home)), ("TEST_KEY", KEY), ("OLLAMA_HOST", "127.0.0.1:9")):
        monkeypatch.setenv(name, value)
    shop = Delivery(tmp_path / "shop")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    shop.workflow(
        "name: flow\nproject: shop\n"
        "stages:\n  - name: all\n    steps:\n      - { run: llm.generate, with: { text: hello } }\n"
    )
    with shop.session() as made:
        yield made


def outlasted(do: Callable[[], T], control: PostgresControl, told: pytest.LogCaptureFixture) -> T:
    """What ``do`` gives, which begins while the database is away and is tried again at least once before it is back."""
    told.set_level(logging.INFO, "maestro.storage")
    told.clear()
    control.stop()
    try:
        with ThreadPoolExecutor(1) as thread:
            doing = thread.submit(do)
            until(lambda: "Backing off" in told.text or doing.done(), "it is tried again")
            control.start()
            return doing.result(60)
    except BaseException:
        if not control.running:
            control.start()
        raise


def runs_of(session: RunSession, url: str) -> list[int]:
    with Ledger.open(url) as ledger:
        assert ledger.check() == []
        return [one.amount for one in ledger.charges(unit=Unit.RUNS.value, project=session.project_name)]


def test_a_run_that_begins_meanwhile_is_counted_once(
    session: RunSession, postgres: tuple[str, PostgresControl], caplog: pytest.LogCaptureFixture
) -> None:
    url, control = postgres
    before = runs_of(session, url)
    quotas = RunQuotas(replace_run(session, "another"))
    outlasted(quotas.begin, control, caplog)
    assert runs_of(session, url) == [*before, 1]


def test_a_worker_that_begins_meanwhile_carries_its_run_out(
    tmp_path: Path, postgres: tuple[str, PostgresControl], caplog: pytest.LogCaptureFixture
) -> None:
    url, control = postgres
    home = make_home(tmp_path / "home", url)
    server = Server(home)
    origin = Origin.make(tmp_path)
    origin.commit({"maestro.yaml": WORKFLOW})
    project = RegisteredProject("app", str(origin.bare), provider="git")
    server.projects.add(project)
    with server.instance() as instance:
        sha = server.default_revision(project)
        asked = AskedRun("test", sha, sha, branch="main")
        made = make_run(server, instance, project, server.workflow(project, sha), asked)
    assert made is not None
    server.engine.dispose()
    outlasted(lambda: carry_out(made.run.run_id, home), control, caplog)
    with server.instance() as instance:
        run = instance.get_run_by_id(made.run.run_id)
    assert run is not None and run.status == DagsterRunStatus.SUCCESS


def test_what_a_run_used_is_written_down_when_it_ends_meanwhile(
    session: RunSession, postgres: tuple[str, PostgresControl], caplog: pytest.LogCaptureFixture
) -> None:
    url, control = postgres
    session.quotas.begin()
    session.quotas._used[Unit.MINUTES] = 90.0
    assert outlasted(session.quotas.end, control, caplog) is None
    with Ledger.open(url) as ledger:
        used = ledger.charges(unit=Unit.MINUTES.value, project=session.project_name)
        assert [one.amount for one in used] == [90]


def test_a_step_asks_its_model_once_the_ledger_is_back(
    session: RunSession,
    postgres: tuple[str, PostgresControl],
    provider: ModelServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, control = postgres
    calls = len(provider.calls)
    answer = outlasted(lambda: session.models_of("all/llm-generate").ask(QUESTION), control, caplog)
    assert answer.text
    assert len(provider.calls) == calls + 1
    session.close()
    with Ledger.open(url) as ledger:
        assert ledger.check() == []
        assert [one.kind for one in ledger.charges(project=session.project_name, unit="usd")] == ["settled"]


def test_a_step_that_waits_for_the_ledger_can_be_stopped(
    session: RunSession, postgres: tuple[str, PostgresControl], caplog: pytest.LogCaptureFixture
) -> None:
    _, control = postgres
    caplog.set_level(logging.INFO, "maestro.storage")
    stop = threading.Event()
    models = session.models_of("all/llm-generate", stop)
    control.stop()
    try:
        with ThreadPoolExecutor(1) as thread:
            asking = thread.submit(models.ask, QUESTION)
            until(lambda: "Backing off" in caplog.text, "it is tried again")
            stop.set()
            with pytest.raises(StepCancelledError):
                asking.result(60)
    finally:
        control.start()
    with pytest.raises(StepCancelledError):
        models.decide(QUESTION)


def test_a_budget_that_is_used_up_is_refused_at_once(session: RunSession, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "maestro.storage")
    none = Budget(month=Amounts(runs=0))
    workflow = session.loaded.workflow.model_copy(update={"budget": none})
    refused = replace_run(session, "refused", loaded=replace(session.loaded, workflow=workflow))
    with pytest.raises(BudgetExceededError):
        RunQuotas(refused).begin()
    assert "Backing off" not in caplog.text


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "maestro.storage")
    file = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{file}") as ledger:
        file.write_bytes(b"no database" * 1000)
        with pytest.raises(LedgerUnavailableError, match="not a database"):
            patiently(ledger.scopes, when=is_server_away)()
    assert "Backing off" not in caplog.text


def replace_run(session: RunSession, run: str, **more: Any) -> RunSession:
    return replace(session, identity=replace(session.identity, run_id=run, root_run_id=run), **more)

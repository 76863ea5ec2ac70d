"""Steps wait for money that parallel calls have reserved and give back; what is spent is not waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maestro.execution.errors import StepCancelledError
from maestro.execution.session import RunSession
from maestro.ledger.model import NANO, Attribution, BudgetExceededError, Unit
from maestro.ledger.store import Ledger
from maestro.llm.model import Answer, Message, ModelRequest
from tests.integration.delivery import Delivery
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import ModelServer, model_server

WORST_NANO = 2_100_000
"""More than a call of these tests costs at most, and less than that and a tenth."""
CALLERS, AT_ONCE = 12, 4


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture
def session(tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunSession]:
    """A run whose budget holds four of its calls at once."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    shop = Delivery(tmp_path / "shop")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    catalogue_file(shop.root, server.url, {"slow/0.2": {}})
    budget = AT_ONCE * WORST_NANO / NANO
    shop.workflow(
        f"name: flow\nproject: shop\nbudget: {{ run: {{ usd: {budget} }} }}\n"
        "stages:\n  - name: all\n    steps:\n      - { run: llm.generate, with: { text: hello } }\n"
    )
    with shop.session() as made:
        yield made


def asked(session: RunSession, step: str, told: list[str], seconds: float | None = None) -> Answer:
    question = ModelRequest([Message("user", f"hello from {step}")], target="slow/0.2", max_output_tokens=1000)
    return session.models_of(step, seconds=seconds, tell=told.append).ask(question)


def ledger_of(session: RunSession) -> Ledger:
    return Ledger.open(f"sqlite:///{session.project.ensure_home() / 'ledger.db'}")


def run_of(session: RunSession) -> Attribution:
    return Attribution(
        tenant=session.identity.tenant,
        project=session.project_name,
        run=session.identity.root_run_id,
        step="all/other",
        actor="somebody",
    )


def test_twelve_steps_share_a_budget_for_four_reservations(session: RunSession) -> None:
    told: list[str] = []
    limit = AT_ONCE * WORST_NANO
    done = threading.Event()
    with ledger_of(session) as ledger, ThreadPoolExecutor(CALLERS + 1) as threads:
        scope = next(one for one in run_of(session).scopes() if one.kind == "run")

        def watch() -> int:
            most = 0
            while not done.is_set():
                balance = ledger.balance(scope, Unit.USD)
                most = max(most, balance.spent + balance.reserved)
            return most

        watching = threads.submit(watch)
        answers = [threads.submit(asked, session, f"all/{number}", told) for number in range(CALLERS)]
        try:
            texts = {one.result().text for one in answers}
        finally:
            done.set()
        assert len(texts) == CALLERS
        assert 0 < watching.result() <= limit
        session.close()
        assert ledger.check() == []
        assert ledger.reservations() == []
        charges = list(ledger.charges(unit="usd"))
        assert len(charges) == CALLERS
        assert sum(one.amount for one in charges) < limit
    assert told
    assert all(one.startswith("waits for $0.00") and one.endswith("that other calls have reserved") for one in told)
    assert len(told) <= CALLERS - 1


def test_what_is_spent_is_not_waited_for(session: RunSession) -> None:
    told: list[str] = []
    with ledger_of(session) as ledger:
        ledger.reserve("other", run_of(session), {Unit.USD: 7_000_000}, sent=True)
        ledger.settle("other", {Unit.USD: 7_000_000})
    with pytest.raises(BudgetExceededError, match=r"\$0.007 are spent and \$0.00 reserved"):
        asked(session, "all/late", told)
    assert told == []


def test_a_step_whose_time_is_over_says_which_budget_it_waited_for(session: RunSession) -> None:
    told: list[str] = []
    with ledger_of(session) as ledger:
        ledger.reserve("other", run_of(session), {Unit.USD: 7_000_000})
        with pytest.raises(BudgetExceededError, match=r"\$0.00 are spent and \$0.007 reserved"):
            asked(session, "all/late", told, seconds=1.0)
        ledger.release("other", "the test is over")
    assert told == ["waits for $0.007 that other calls have reserved"]


def test_a_step_that_waits_can_be_stopped(session: RunSession) -> None:
    stop = threading.Event()
    with ledger_of(session) as ledger:
        ledger.reserve("other", run_of(session), {Unit.USD: 7_000_000})
        models = session.models_of("all/late", stop, None, lambda _sentence: stop.set())
        question = ModelRequest([Message("user", "hello")], target="slow/0.2", max_output_tokens=1000)
        with pytest.raises(StepCancelledError):
            models.ask(question)
        ledger.release("other", "the test is over")
        session.close()
        assert [one for one in ledger.reservations() if one.id != "other"] == []

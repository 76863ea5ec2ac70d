"""The gateway for threads: one loop behind many callers, ended by whoever is cancelled, new in a forked process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import RunCancelledError
from maestro.ledger.model import Unit
from maestro.ledger.store import Ledger
from maestro.llm.blocking import BlockingGateway
from maestro.llm.catalogue import load_catalogue
from maestro.llm.errors import NoAnswerError
from maestro.llm.model import Message, ModelRequest
from maestro.llm.opening import open_gateway
from tests.integration.llm_gateways import KEY, WHO, catalogue_file
from tests.integration.model_server import ModelServer, model_server

MODELS: dict[str, dict[str, Any]] = {"echo": {}, "hang": {}, "drip": {}, "slow/0.2": {}}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture
def made(server: ModelServer, tmp_path: Path) -> Iterator[BlockingGateway]:
    catalogue = load_catalogue([catalogue_file(tmp_path, server.url, MODELS)])
    with BlockingGateway(
        lambda: open_gateway(home=tmp_path, environ={"TEST_KEY": KEY}, catalogue=catalogue)
    ) as gateway:
        yield gateway


def request(target: str = "echo", text: str = "hello", **more: Any) -> ModelRequest:
    return ModelRequest([Message("user", text)], target=target, **{"max_output_tokens": 100, "timeout": 20.0, **more})


def spent(folder: Path) -> int:
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        assert ledger.check() == []
        assert ledger.reservations() == []
        return sum(charge.amount for charge in ledger.charges(unit=str(Unit.USD)))


def test_many_threads_ask_at_once(made: BlockingGateway, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: made.ask(request(text=f"number {number}"), WHO), range(24)))
    assert [answer.text for answer in answers] == [f"number {number}" for number in range(24)]
    made.close()
    assert spent(tmp_path) == sum(answer.cost_nano for answer in answers)


def test_calls_of_threads_do_not_wait_for_one_another(made: BlockingGateway) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _number: made.ask(request("slow/0.2"), WHO), range(8)))
    assert sum(answer.seconds for answer in answers) > 8 * 0.2


def test_a_stream_is_an_iterator(made: BlockingGateway) -> None:
    with made.stream(request(text="some words in pieces"), WHO) as stream:
        assert "".join(piece.text for piece in stream) == "some words in pieces"
        assert stream.answer is not None
        assert stream.answer.decision == stream.decision.id


def test_a_cancelled_step_stops_waiting_and_what_it_used_is_settled(
    made: BlockingGateway, server: ModelServer, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    before = server.seen["hang"]

    def cancel() -> None:
        while server.seen["hang"] == before:
            time.sleep(0.01)
        cancelled.set()

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    with pytest.raises(RunCancelledError, match="cancelled while a model was asked"):
        made.ask(request("hang"), WHO, cancelled=cancelled)
    thread.join()
    made.close()
    assert spent(tmp_path) > 0


def test_a_stream_that_is_left_is_settled(made: BlockingGateway, tmp_path: Path) -> None:
    with made.stream(request("drip"), WHO) as stream:
        next(stream)
    made.close()
    assert spent(tmp_path) > 0


def test_errors_come_through_as_they_are(made: BlockingGateway) -> None:
    with pytest.raises(NoAnswerError) as caught:
        made.ask(request("hang", timeout=0.2), WHO)
    assert caught.value.timed_out


def test_nothing_is_opened_before_something_is_asked(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError

    before = threading.active_count()
    BlockingGateway(never).close()
    assert threading.active_count() == before


def test_it_can_be_used_again_after_it_was_closed(made: BlockingGateway) -> None:
    assert made.ask(request(), WHO).text == "hello"
    made.close()
    made.close()
    assert made.ask(request(text="again"), WHO).text == "again"


def test_what_cannot_be_opened_is_told_each_time() -> None:
    def broken() -> Any:
        raise NoSuchPlaceError

    gateway = BlockingGateway(broken)
    for _ in range(2):
        with pytest.raises(NoSuchPlaceError):
            gateway.ask(request(), WHO)


class NoSuchPlaceError(Exception):
    """There is no database."""


def test_a_forked_process_has_a_gateway_of_its_own(made: BlockingGateway, tmp_path: Path) -> None:
    assert made.ask(request(), WHO).text == "hello"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if made.ask(request(text="from the child"), WHO).text == "from the child" else 2
            made.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert made.ask(request(text="from the parent"), WHO).text == "from the parent"
    made.close()
    assert spent(tmp_path) == _cost("hello", "from the child", "from the parent")


def _cost(*texts: str) -> int:
    """As the server counts: four characters are a token, and the answer is the question."""
    return sum(3 * 1000 * (len(text) // 4 + 1) for text in texts)

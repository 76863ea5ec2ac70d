"""Outcomes that are written later than whoever asked waits for them."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from maestro.llm import bookkeeper
from maestro.llm.bookkeeper import Bookkeeper
from maestro.llm.decisions import outcome_of
from maestro.llm.redact import Redactor
from tests.unit.llm_world import answer, ask


@pytest.mark.parametrize("cancelled", [False, True], ids=["waited-long-enough", "cancelled"])
def test_a_write_that_fails_after_nobody_waits_any_more_is_told_in_one_line(
    cancelled: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bookkeeper, "RECORD_SECONDS", 10.0 if cancelled else 0.01)
    begun, let_go = threading.Event(), threading.Event()

    def keep(*_given: Any) -> None:
        begun.set()
        let_go.wait(10)
        raise OSError("the disk is full")

    async def scenario() -> None:
        ledger: Any = SimpleNamespace(wake=lambda: None)
        decisions: Any = SimpleNamespace(keep=keep)  # All that it uses.
        keeper = Bookkeeper(ledger, decisions, Redactor(), lambda _crossed: None)
        made = ask("all")
        waiting = asyncio.ensure_future(keeper.recorded(made, outcome_of(made, answer(made))))
        if cancelled:
            await asyncio.to_thread(begun.wait, 10)
            waiting.cancel()
        await asyncio.wait([waiting])
        let_go.set()
        await keeper.written()
        keeper.close()
        await asyncio.sleep(0)
        gc.collect()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
        gc.collect()
    (told,) = caplog.records
    assert (told.name, told.exc_info) == ("maestro.llm.bookkeeper", None)
    assert told.getMessage().endswith("could not be kept: the disk is full")

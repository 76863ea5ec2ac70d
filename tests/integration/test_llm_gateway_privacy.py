"""Nothing secret leaves, neither to a model nor into records, logs and errors; personal data comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.llm.errors import NoAnswerError
from maestro.llm.model import Message, ModelRequest
from maestro.secrets import Masker
from tests.integration.llm_gateways import KEY, WHO, gateway
from tests.integration.model_server import ModelServer, model_server

pytestmark = pytest.mark.anyio
SECRET = "correct-horse-battery"
TOKEN = "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyzAB"
TEXT = f"Ada Lovelace has {SECRET} and {TOKEN}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


def request(target: str = "echo") -> ModelRequest:
    return ModelRequest(
        [Message("system", "be brief"), Message("user", TEXT)],
        target=target,
        max_output_tokens=100,
        timeout=20.0,
        personal=("Ada Lovelace",),
    )


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_a_model_sees_neither_secrets_nor_persons_and_the_answer_has_the_persons(
    server: ModelServer, tmp_path: Path
) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}, masker=Masker([SECRET]), store=True) as made:
        answer = await made.ask(request(), WHO)
        again = await made.ask(request(), WHO)
        assert server.calls[-1]["messages"][-1]["content"] == "«PERSON-1» has *** and ***"
        assert answer.text == again.text == "Ada Lovelace has *** and ***"
        assert answer.raw["content"] == answer.text
        assert again.cached
    kept = everything_in(tmp_path)
    assert "«PERSON-1» has".encode() in kept or b"PERSON-1" in kept
    for secret in (SECRET, TOKEN, KEY, "Lovelace"):
        assert secret.encode() not in kept


async def test_a_streamed_answer_has_the_persons_too(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"echo": {}}, masker=Masker([SECRET])) as made:
        async with await made.stream(request(), WHO) as stream:
            text = "".join([piece.text async for piece in stream])
        assert stream.answer is not None
        assert text == stream.answer.text == "Ada Lovelace has *** and ***"


async def test_a_key_a_provider_repeats_is_in_no_error_log_or_record(
    server: ModelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with gateway(tmp_path, server.url, {"leak": {}}) as made:
        with pytest.raises(NoAnswerError, match=r"Incorrect API key provided: Bearer \*\*\*") as caught:
            await made.ask(request("leak"), WHO)
        await made.settled()
        (kept,) = made.decisions.list()
        shown = [str(caught.value), repr(caught.value), repr(caught.value.attempts), repr(kept), repr(vars(made))]
        shown += [record.getMessage() for record in caplog.records]
        assert not [text for text in shown if KEY in text or KEY[5:] in text]
    assert KEY.encode() not in everything_in(tmp_path)


async def test_a_key_that_came_into_a_prompt_does_not_leave(server: ModelServer, tmp_path: Path) -> None:
    odd = "no-pattern-knows-this-key"
    async with gateway(tmp_path, server.url, {"echo": {}}, environ={"TEST_KEY": odd}) as made:
        asked = ModelRequest([Message("user", f"my key is {odd}")], target="echo", timeout=20.0)
        answer = await made.ask(asked, WHO)
        assert answer.text == "my key is ***"


async def test_a_missing_key_says_which_and_nothing_is_sent(server: ModelServer, tmp_path: Path) -> None:
    before = len(server.calls)
    async with gateway(tmp_path, server.url, {"echo": {}}, environ={}) as made:
        decision = await made.decide(request(), WHO)
        assert "no_key" in dict(decision.candidates[0].skipped)
    assert len(server.calls) == before


async def test_large_inputs_are_redacted_while_others_go_on(server: ModelServer, tmp_path: Path) -> None:
    async with gateway(tmp_path, server.url, {"count/2": {"context": 10_000_000}}, masker=Masker([SECRET])) as made:
        large = ModelRequest([Message("user", "x = 1\n" * 40_000 + SECRET)], target="count/2", timeout=20.0)
        small = ModelRequest([Message("user", "hi")], target="count/2", timeout=20.0)
        answers = await asyncio.gather(made.ask(large, WHO), made.ask(small, WHO))
        assert [answer.text for answer in answers] == ["word word"] * 2
    assert SECRET not in str(server.calls[-2:])

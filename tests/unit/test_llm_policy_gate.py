"""The policy's word about models: asked once, remembered, and a deny where it cannot be asked."""

from __future__ import annotations

import json
from typing import Any

from maestro.errors import MaestroError
from maestro.llm.model import ModelRequest, PromptRef
from maestro.llm.policy_gate import PolicyGate
from maestro.policy import load_bundle, open_engine
from tests.unit.llm_world import BIG, HOME, SMALL, WHO

REQUEST = ModelRequest(())


class Counting:
    """An engine that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._engine = open_engine(load_bundle())
        self.name, self.bundle = self._engine.name, self._engine.bundle

    def evaluate(self, policy: str, input_json: str) -> Any:
        self.asked += 1
        return self._engine.evaluate(policy, input_json)

    def close(self) -> None:
        self._engine.close()


def test_it_says_what_the_policy_says() -> None:
    gate = PolicyGate(open_engine(load_bundle()), {"regions": ["eu"]})
    assert gate.verdict(SMALL, REQUEST, WHO, 1_000).allow
    assert gate.verdict(HOME, REQUEST, WHO, 0).allow
    denied = gate.verdict(BIG, REQUEST, WHO, 1_000)
    assert denied.reasons == ("model big processes data in region us, and data may go to eu only",)
    assert denied.decision


def test_personal_data_of_the_request_are_told_to_the_policy() -> None:
    gate = PolicyGate(open_engine(load_bundle()), {"personal_regions": ["eu"]})
    assert gate.verdict(BIG, REQUEST, WHO, 1_000).allow
    assert not gate.verdict(BIG, ModelRequest((), personal=("Ada",)), WHO, 1_000).allow


def test_the_prompt_of_the_request_is_told_to_the_policy_and_what_its_file_says_of_it() -> None:
    gate = PolicyGate(open_engine(load_bundle()))
    asked = [
        json.loads(gate(BIG, ModelRequest((), prompt=prompt), WHO, 1_000)[0])["prompt"]
        for prompt in (None, PromptRef("greeting", "1.0.0", "sha256:0", {"purpose": "marketing", "public": True}))
    ]
    facts = {"purpose": "marketing", "public": True}
    assert asked == [None, {"name": "greeting", "version": "1.0.0", "digest": "sha256:0", "policy": facts}]


def test_another_prompt_is_another_question() -> None:
    engine = Counting()
    gate = PolicyGate(engine)
    for purpose in ("marketing", "marketing", "review"):
        prompt = PromptRef("greeting", "1.0.0", "sha256:0", {"purpose": purpose})
        assert gate.verdict(BIG, ModelRequest((), prompt=prompt), WHO, 1_000).allow
    assert engine.asked == 2


def test_equal_questions_are_asked_once_and_nearly_equal_costs_are_equal() -> None:
    engine = Counting()
    gate = PolicyGate(engine, {"max_usd": 0.02})
    for nano in (12_345_678, 12_300_001, 12_999_999):
        assert gate.verdict(BIG, REQUEST, WHO, nano).allow
    assert engine.asked == 1
    assert not gate.verdict(BIG, REQUEST, WHO, 20_000_001).allow, "costs are rounded up, never down"
    assert engine.asked == 2


def test_the_question_is_told_apart_from_the_asking() -> None:
    engine = Counting()
    gate = PolicyGate(engine)
    question, ask = gate(BIG, REQUEST, WHO, 1_000)
    assert engine.asked == 0
    assert ask().allow
    assert gate(BIG, REQUEST, WHO, 1_000)[0] == question


def test_an_engine_that_cannot_be_asked_denies_and_is_asked_again_the_next_time() -> None:
    tries: list[int] = []

    def opened() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise MaestroError("the bundle is gone")
        return open_engine(load_bundle())

    gate = PolicyGate(opened)
    assert gate.verdict(BIG, REQUEST, WHO, 1).reasons == ("the policy could not be asked: the bundle is gone",)
    assert gate.verdict(BIG, REQUEST, WHO, 1).allow
    assert gate.verdict(SMALL, REQUEST, WHO, 1).allow
    assert len(tries) == 2

"""Decisions: what they say, and that whatever goes wrong is a deny with that reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maestro.policy import Decision, PolicyEngine, PolicyError, decide, load_bundle, open_engine

REASON = '{"rule": "r", "message": "o is a, not b", "object": "o", "actual": "a", "allowed": "b", "fix": "make o b"}'
MODULE = f"""package maestro.t

ok := {{"allow": true, "deny": [], "warn": [{REASON}], "waived": [{{"id": "w1"}}]}}

refused := {{"allow": false, "deny": {{{REASON}}}}}

of_input := {{"allow": input.x, "deny": []}}

undefined := {{"allow": true}} if input.never

failing := {{"allow": true, "deny": [], "n": 1 / input.zero}}

slow := {{"allow": n > 0, "deny": []}} if n := count([1 | some i in numbers.range(1, 1200); some j in numbers.range(1, 1200); i * j == 7])
"""


@pytest.fixture(params=[False, True], ids=["in process", "confined"])
def engine_for(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., PolicyEngine]]:
    opened: list[PolicyEngine] = []

    def make(text: str = MODULE, timeout: float = 20.0) -> PolicyEngine:
        (tmp_path / "t.rego").write_text(text)
        opened.append(open_engine(load_bundle(tmp_path), timeout=timeout, confined=request.param))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


def result(text: str) -> str:
    return f"package maestro.t\nrelease := {text}\n"


def test_an_allow_has_warnings_waivers_and_where_it_comes_from(engine_for: Callable[..., PolicyEngine]) -> None:
    engine = engine_for()
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    decision = decide(engine, "t.ok", {"b": 1, "a": 2}, now=lambda: at)
    assert decision.allow
    assert [one.rule for one in decision.warnings] == ["r"]
    assert decision.waivers == ({"id": "w1"},)
    assert decision.bundle_digest == engine.bundle.digest
    assert decision.engine.startswith("regorus ")
    assert decision.at == "2026-11-21T12:00:00Z"
    assert decision.input_digest == decide(engine, "t.ok", {"a": 2, "b": 1}).input_digest


def test_a_deny_says_what_would_have_to_change(engine_for: Callable[..., PolicyEngine]) -> None:
    decision = decide(engine_for(), "t.refused", {})
    assert not decision.allow
    assert decision.reasons[0].message == "o is a, not b"
    assert decision.changes == ("make o b",)
    assert decision.error is None


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        ("t.undefined", "'t.undefined' is undefined"),
        ("t.nowhere", "'t.nowhere' is undefined"),
        ("nowhere.release", "'nowhere.release' is undefined"),
        ("t.failing", "divide by zero"),
        ("t.of_input", "'allow' is missing, not a boolean"),
        ("T.ok; data", "names no policy"),
    ],
)
def test_no_answer_is_a_deny_with_that_reason(policy: str, error: str, engine_for: Callable[..., PolicyEngine]) -> None:
    decision = decide(engine_for(), policy, {"zero": 0, "x": None})
    assert not decision.allow
    assert error in (decision.error or "")
    assert decision.changes


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("7", "it is a number, not an object"),
        ('{"allow": "yes", "deny": []}', "'allow' is a text, not a boolean"),
        ('{"allow": true, "deny": {}}', "'deny' is an object, not a set"),
        ('{"allow": true, "deny": ["no"]}', "'deny' holds something that has not exactly the texts"),
        (f'{{"allow": true, "deny": [{REASON}]}}', "it allows and denies at once"),
        ('{"allow": false, "deny": []}', "it denies without a reason"),
        (f'{{"allow": false, "deny": [{REASON.replace("make o b", "")}]}}', "denies without a message or a fix"),
        ('{"allow": true, "deny": [], "waived": ["w"]}', "'waived' is no list of waivers"),
    ],
)
def test_an_answer_of_the_wrong_type_is_a_deny(text: str, error: str, engine_for: Callable[..., PolicyEngine]) -> None:
    decision = decide(engine_for(result(text)), "t.release", {})
    assert not decision.allow
    assert error in (decision.error or "")


def test_an_answer_that_comes_too_late_is_a_deny(engine_for: Callable[..., PolicyEngine]) -> None:
    decision = decide(engine_for(timeout=0.05), "t.slow", {})
    assert not decision.allow
    assert decision.error == "there was no answer within 0.05 s"


@pytest.mark.parametrize("document", [{"x": math.nan}, {"x": object()}, [1], None])
def test_an_input_that_is_no_json_is_a_deny(document: Any) -> None:
    decision = decide(open_engine(load_bundle()), "access.release", document)
    assert not decision.allow
    assert "the input is no JSON object" in (decision.error or "")


def test_an_input_that_is_nested_deeply_is_a_deny(engine_for: Callable[..., PolicyEngine]) -> None:
    document: dict[str, Any] = {}
    for _ in range(500):
        document = {"x": document}
    decision = decide(engine_for(), "t.ok", document)
    assert not decision.allow
    assert "recursion limit exceeded" in (decision.error or "")


def test_a_bundle_that_cannot_be_loaded_is_a_deny() -> None:
    def opening() -> PolicyEngine:
        raise PolicyError("the bundle is not signed, and a signed one is required", next_step="sign it")

    decision = decide(opening, "access.release", {})
    assert (decision.allow, decision.changes, decision.bundle_digest) == (False, ("sign it",), "unknown")
    assert "is not signed" in (decision.error or "")


def test_an_engine_that_breaks_in_any_way_is_a_deny() -> None:
    def opening() -> PolicyEngine:
        raise ZeroDivisionError("inside")

    assert "ZeroDivisionError" in (decide(opening, "access.release", {}).error or "")


def test_an_engine_that_is_not_installed_is_a_deny_that_names_the_extra() -> None:
    def opening() -> PolicyEngine:
        raise ModuleNotFoundError("No module named 'regorus'", name="regorus")

    decision = decide(opening, "access.release", {})
    assert (decision.allow, decision.changes) == (False, ("pip install 'maestro-conductor[evidence]'",))
    assert decision.error == "asking a policy needs the extra 'evidence', which is not installed: there is no 'regorus'"


def test_after_a_failure_the_next_question_is_answered(engine_for: Callable[..., PolicyEngine]) -> None:
    engine = engine_for()
    assert decide(engine, "t.failing", {"zero": 0}).error
    assert decide(engine, "t.ok", {}).allow


def test_one_input_is_not_remembered_for_the_next(engine_for: Callable[..., PolicyEngine]) -> None:
    engine = engine_for(
        result('{"allow": allow, "deny": deny}')
        + "default allow := false\nallow if input.ok\ndeny contains "
        + REASON
        + " if not input.ok\n"
    )
    assert [decide(engine, "t.release", {"ok": one}).allow for one in (True, False, True, False)] == [True, False] * 2


def test_a_decision_is_read_as_it_was_written(engine_for: Callable[..., PolicyEngine]) -> None:
    decision = decide(engine_for(), "t.refused", {})
    assert Decision.from_json(decision.to_json()) == decision


def test_a_decision_that_was_changed_is_not_read(engine_for: Callable[..., PolicyEngine]) -> None:
    document = {**decide(engine_for(), "t.refused", {}).to_json(), "allow": True}
    with pytest.raises(PolicyError, match="was changed since it was made"):
        Decision.from_json(document)


def test_what_is_no_decision_is_not_read() -> None:
    with pytest.raises(PolicyError, match="this is no decision"):
        Decision.from_json({"id": "x"})

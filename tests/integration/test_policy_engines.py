"""Engines that fail: an OPA server that does not answer as it should, and a child that crashes. Each is a deny."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import psutil
import pytest

from maestro.errors import InputError
from maestro.policy import Bundle, Decision, decide, load_bundle, open_engine
from maestro.policy.confined import ConfinedEngine
from tests.integration.policy_servers import answering

BUNDLE = load_bundle()
ALLOW = {"allow": True, "deny": [], "warn": [], "waived": []}
LOADED = {"bundles": {"policies.tar.gz": {"revision": BUNDLE.revision}}}


def asked(url: str, timeout: float = 10) -> Decision:
    engine = open_engine(BUNDLE, opa_url=url, timeout=timeout)
    try:
        return decide(engine, "access.release", {})
    finally:
        engine.close()


def test_an_answer_of_a_server_with_this_bundle_counts() -> None:
    with answering(200, json.dumps({"result": ALLOW, "provenance": LOADED}).encode()) as url:
        decision = asked(url)
    assert decision.allow
    assert decision.engine == f"opa {url}"


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (500, {"code": "internal_error", "message": "evaluation failed"}, "it answered 500: evaluation failed"),
        (500, {"errors": [{"message": "divide by zero"}]}, "it answered 500: divide by zero"),
        (404, {}, "it answered 404"),
        (302, {"result": ALLOW, "provenance": LOADED}, "it answered 302"),
        (200, {"provenance": LOADED}, "'access.release' is undefined"),
        (200, {"result": {}, "provenance": LOADED}, "'allow' is missing, not a boolean"),
        (200, {"result": True, "provenance": LOADED}, "it is a boolean, not an object"),
        (200, [], "it answered with no JSON object"),
        (200, {"result": ALLOW}, "has no bundle, not revision 1.0.0+"),
        (200, {"result": ALLOW, "provenance": {"revision": "0.9"}}, "has 0.9, not revision 1.0.0+"),
        (200, {"result": ALLOW, "provenance": {"bundles": {"x": {"revision": "2"}}}}, "has 2, not revision"),
    ],
)
def test_any_other_answer_is_a_deny_with_that_reason(status: int, answer: object, error: str) -> None:
    with answering(status, json.dumps(answer).encode()) as url:
        decision = asked(url)
    assert not decision.allow
    assert error in (decision.error or "")
    assert decision.changes


def test_an_answer_that_is_no_json_is_a_deny() -> None:
    with answering(200, b"<html>login</html>") as url:
        decision = asked(url)
    assert (decision.allow, "it answered with no JSON object" in (decision.error or "")) == (False, True)


def test_a_server_that_is_not_there_is_a_deny() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        decision = asked(url)
    assert not decision.allow
    assert f"the OPA server {url} cannot be reached: ConnectError" in (decision.error or "")


def test_a_server_that_does_not_answer_in_time_is_a_deny() -> None:
    with answering(200, b"{}", held=threading.Event()) as url:
        decision = asked(url, timeout=0.2)
    assert (decision.allow, decision.error) == (False, "there was no answer within 0.2 s")


def test_credentials_in_the_address_are_shown_nowhere() -> None:
    with answering(500, b"{}") as url:
        decision = asked(url.replace("http://", "http://user:hunter2@"))
    assert "hunter2" not in json.dumps(decision.to_json())


@pytest.mark.parametrize("url", ["opa", "ftp://127.0.0.1", "http://", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no address of an OPA server"):
        open_engine(BUNDLE, opa_url=url)


def bundle_of(folder: Path, text: str) -> Bundle:
    (folder / "t.rego").write_text(f"package maestro.t\n\n{text}\n")
    return load_bundle(folder)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_a_child_that_was_killed_is_a_deny_and_the_next_question_has_a_new_one(tmp_path: Path) -> None:
    before = children()
    engine = ConfinedEngine(bundle_of(tmp_path, 'release := {"allow": true, "deny": []}'))
    assert decide(engine, "t.release", {}).allow
    (child,) = children() - before
    psutil.Process(child).kill()
    denied = decide(engine, "t.release", {})
    assert (denied.allow, "the engine has ended (signal 9)" in (denied.error or "")) == (False, True)
    assert decide(engine, "t.release", {}).allow
    engine.close()
    assert children() <= before


def test_a_policy_that_needs_too_much_memory_is_a_deny(tmp_path: Path) -> None:
    greedy = 'release := {"allow": count(numbers.range(1, 1000000000)) > 0, "deny": []}'
    engine = ConfinedEngine(bundle_of(tmp_path, greedy), timeout=60, memory=512 * 1024**2)
    decision = decide(engine, "t.release", {})
    engine.close()
    assert not decision.allow
    assert "needed too much memory" in (decision.error or "")


def test_a_policy_that_would_never_end_is_stopped(tmp_path: Path) -> None:
    before = children()
    numbers = "; ".join(f"some n{i} in r" for i in range(6))
    endless = (
        f'release := {{"allow": n > 0, "deny": []}} if {{ r := numbers.range(1, 1000); n := count([1 | {numbers}]) }}'
    )
    engine = ConfinedEngine(bundle_of(tmp_path, endless), timeout=0.3)
    decision = decide(engine, "t.release", {})
    assert (decision.allow, decision.error) == (False, "there was no answer within 0.3 s")
    assert children() <= before


def test_a_childs_environment_holds_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAESTRO_TOKEN", "hunter2")
    before = children()
    engine = ConfinedEngine(bundle_of(tmp_path, 'release := {"allow": true, "deny": []}'))
    assert decide(engine, "t.release", {}).allow
    (child,) = children() - before
    assert "hunter2" not in str(psutil.Process(child).environ())
    engine.close()

"""The same policies by the real OPA: each test, each sample and each function gives what it gives in process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import policies
from maestro.policy import Decision, PolicyEngine, decide, load_bundle, open_engine
from maestro.policy.bundle_building import bundle_bytes
from maestro.policy.testing import run_tests
from tests.integration.policy_servers import opa_server, opa_test

pytestmark = pytest.mark.interop

FOLDER = Path(policies.__file__).parent
SAMPLES = sorted(FOLDER.glob("*/samples/*.json"))
FUNCTIONS: dict[str, str] = json.loads((Path(__file__).parents[1] / "unit" / "policy_builtins.json").read_text())


@pytest.fixture(scope="module")
def opa() -> str:
    found = shutil.which("opa")
    assert found, "opa is not on PATH; run ./scripts/interop"
    return found


@pytest.fixture(scope="module")
def server(opa: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyEngine]:
    folder = tmp_path_factory.mktemp("opa")
    bundle = load_bundle()
    (folder / "policies.tar.gz").write_bytes(bundle_bytes(bundle))
    with opa_server(opa, folder / "policies.tar.gz", folder / "log") as url:
        engine = open_engine(bundle, opa_url=url, timeout=10)
        yield engine
        engine.close()


def said(decision: Decision) -> dict[str, object]:
    return {name: value for name, value in decision.to_json().items() if name not in ("engine", "id")}


def test_every_test_gives_the_same_result(opa: str) -> None:
    ours = {one.name: one.state == "passed" for one in run_tests(FOLDER).results}
    assert opa_test(opa, FOLDER) == ours
    assert all(ours.values())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_sample_gives_the_same_decision(sample: Path, server: PolicyEngine) -> None:
    policy, document = f"{sample.parts[-3]}.release", json.loads(sample.read_text())
    ours, theirs = decide(open_engine(load_bundle()), policy, document), decide(server, policy, document)
    at = {"at": ours.at}
    assert said(theirs) | at == said(ours) | at
    assert ours.error is None


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_missing_or_strange_field_gives_the_same_verdict(sample: Path, server: PolicyEngine) -> None:
    policy, document = f"{sample.parts[-3]}.release", json.loads(sample.read_text())
    engine = open_engine(load_bundle())
    for field in document:
        for value in (None, 7, [], {}, ""):
            changed = {**document, field: value}
            ours, theirs = decide(engine, policy, changed), decide(server, policy, changed)
            assert (ours.allow, ours.error is None) == (theirs.allow, theirs.error is None), (field, value, ours.error)


def test_every_function_policies_may_call_gives_the_same_value(opa: str, tmp_path: Path) -> None:
    values = "\n".join(f"values[{json.dumps(name)}] := {text}" for name, text in sorted(FUNCTIONS.items()))
    text = f'package maestro.functions\n\n{values}\n\nrelease := {{"allow": true, "deny": [], "values": values}}\n'
    (tmp_path / "functions.rego").write_text(text)
    bundle = load_bundle(tmp_path)
    (tmp_path / "b.tar.gz").write_bytes(bundle_bytes(bundle))
    ours = open_engine(bundle, confined=False).evaluate("functions.release", "{}")
    with opa_server(opa, tmp_path / "b.tar.gz", tmp_path / "log") as url:
        theirs = open_engine(bundle, opa_url=url, timeout=10).evaluate("functions.release", "{}")
    assert theirs == ours
    assert set(ours["values"]) == set(FUNCTIONS)


def test_a_function_that_fails_is_a_deny_in_both(opa: str, tmp_path: Path) -> None:
    text = 'package maestro.t\n\nrelease := {"allow": count(deny) == 0, "deny": deny}\n\ndeny contains "x" if 1 / input.n > 5\n'
    (tmp_path / "t.rego").write_text(text)
    bundle = load_bundle(tmp_path)
    (tmp_path / "b.tar.gz").write_bytes(bundle_bytes(bundle))
    with opa_server(opa, tmp_path / "b.tar.gz", tmp_path / "log") as url:
        theirs = decide(open_engine(bundle, opa_url=url, timeout=10), "t.release", {"n": 0})
    ours = decide(open_engine(bundle, confined=False), "t.release", {"n": 0})
    assert (ours.allow, theirs.allow) == (False, False)
    assert "divide by zero" in (ours.error or "")
    assert "divide by zero" in (theirs.error or "")

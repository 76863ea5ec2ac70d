"""The policy about models is evaluated as the profile says: its bundle, its OPA server; what cannot be asked denies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from maestro.execution.model_policy import engine_of
from maestro.execution.planner import make_plan
from maestro.llm.model import ModelRequest
from maestro.llm.policy_gate import PolicyGate
from maestro.llm.state import PolicyVerdict
from maestro.policy import load_bundle
from maestro.profile import load_profile
from maestro.server.home import HOME_VARIABLE
from tests.integration.delivery import Delivery
from tests.integration.policy_servers import answering
from tests.unit.llm_world import SMALL, WHO
from tests.unit.money_project import MoneyProject, money_project

HOUSE = """\
package maestro.models

release := {"allow": false, "deny": [reason], "warn": [], "waived": []}

reason := {"rule": "house", "message": "this house asks no models", "object": "m", "actual": "a", "allowed": "none",
\t"fix": "ask a person"}
"""
SAID = "this house asks no models"


def profile(folder: Path, **policy: Any) -> Path:
    """A profile of its own, with these settings of policy."""
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text((load_profile("default", {}).folder / "dagster.yaml").read_text())
    (folder / "settings.yaml").write_text(json.dumps({"policy": policy}))
    return folder


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A profile whose bundle allows nothing."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "models.rego").write_text(HOUSE)
    (bundle / ".manifest").write_text('{"revision": "1", "roots": ["maestro"], "rego_version": 1}')
    return profile(tmp_path / "house", bundle=str(bundle))


def verdict(tmp_path: Path, environ: dict[str, str], named: Path | None = None) -> PolicyVerdict:
    gate = PolicyGate(engine_of(tmp_path, environ, None if named is None else str(named)))
    return gate.verdict(SMALL, ModelRequest(()), WHO, 1_000)


def test_without_a_profile_of_one_s_own_the_policies_maestro_ships_are_asked(tmp_path: Path) -> None:
    assert verdict(tmp_path, {}).allow


def test_the_bundle_of_the_profile_is_asked(tmp_path: Path, house: Path) -> None:
    assert verdict(tmp_path, {}, house).reasons == (SAID,)
    assert verdict(tmp_path, {"MAESTRO_PROFILE": str(house)}).reasons == (SAID,)


def test_on_a_server_its_own_profile_counts_whatever_somebody_names(tmp_path: Path, house: Path) -> None:
    home = tmp_path / "server"
    home.mkdir()
    (home / "server.yaml").write_text(json.dumps({"profile": str(house)}))
    assert verdict(home, {HOME_VARIABLE: str(home), "MAESTRO_PROFILE": "default"}).reasons == (SAID,)


def test_the_opa_server_of_the_profile_is_asked(tmp_path: Path) -> None:
    reason = {"rule": "r", "message": "not today", "object": "o", "actual": "a", "allowed": "b", "fix": "f"}
    result = {"allow": False, "deny": [reason], "warn": [], "waived": []}
    loaded = {"bundles": {"policies.tar.gz": {"revision": load_bundle().revision}}}
    with answering(200, json.dumps({"result": result, "provenance": loaded}).encode()) as url:
        found = verdict(tmp_path, {}, profile(tmp_path / "opa", opa=url))
    assert not found.allow
    assert found.reasons == ("not today",)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"bundle": "/nowhere/bundle.tar.gz"}, "nowhere"),
        ({"opa": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"bundle": "{bundle}", "require_signed": True}, "signed bundle is required"),
    ],
)
def test_what_cannot_be_asked_denies_and_says_why(
    tmp_path: Path, house: Path, policy: dict[str, Any], why: str
) -> None:
    if policy.get("bundle") == "{bundle}":
        policy = {**policy, "bundle": str(house.parent / "bundle")}
    found = verdict(tmp_path, {}, profile(tmp_path / "broken", **policy))
    assert not found.allow
    (reason,) = found.reasons
    assert reason.startswith("the policy could not be asked: ")
    assert why in reason


def test_a_bundle_without_a_policy_about_models_denies(tmp_path: Path, house: Path) -> None:
    (house.parent / "bundle" / "models.rego").write_text("package maestro.other\nrelease := 1\n")
    assert "is undefined" in verdict(tmp_path, {}, house).reasons[0]


def test_a_profile_that_is_not_there_denies(tmp_path: Path) -> None:
    assert "there is no profile" in verdict(tmp_path, {}, tmp_path / "none").reasons[0]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    made = money_project(tmp_path / "shop")
    file = made.root / "models.yaml"
    file.write_text(json.dumps({**json.loads(file.read_text()), "policy": {}}))
    return made


def test_the_command_line_asks_the_profile_it_is_given(shop: MoneyProject, house: Path) -> None:
    assert shop.run("llm", "ask", "hello there", "--model", "plain").code == 0
    said = shop.run("--profile", str(house), "llm", "ask", "hello there", "--model", "plain")
    assert (said.code, SAID in said.err) == (2, True), said.err
    override = ("llm", "override", "add", "local-only", "plain", "--expires", "1d", "--reason", "a try")
    refused = shop.run("--profile", str(house), *override)
    assert (refused.code, SAID in refused.err) == (2, True), refused.err
    assert shop.run(*override).code == 0


def test_a_step_asks_the_policy_of_the_run_s_profile(tmp_path: Path, house: Path) -> None:
    root = tmp_path / "delivery"
    root.mkdir()
    shop = Delivery(root)
    shop.git("init", "-q", "-b", "main")
    shop.write({"models.yaml": json.dumps({"policy": {}}), "a.py": "one = 1\n"})
    shop.workflow(asking("offline"))
    refused = replace(shop, profile=load_profile(str(house))).run()
    assert not refused.passed
    assert SAID in refused.failures() + "".join(refused.logs.values())
    assert shop.run().passed


GREETING = """\
name: greeting
version: 1.2.0
description: Greets.
messages: [{role: user, content: Greet the whole wide world in one friendly sentence.}]
policy: {purpose: marketing}
"""
PURPOSES = """\
package maestro.models

release := {"allow": count(deny) == 0, "deny": deny, "warn": [], "waived": []}

deny contains reason if {
\tinput.prompt.policy.purpose == "marketing"
\tinput.model == "plain"
\treason := {
\t\t"rule": "purpose", "message": sprintf("prompt %s %s is for marketing", [input.prompt.name, input.prompt.version]),
\t\t"object": "m", "actual": "a", "allowed": "none", "fix": "ask another model",
\t}
}
"""
FOR_MARKETING = "prompt greeting 1.2.0 is for marketing"
TWO_MODELS = {
    "models": {name: {"provider": "offline", "price": "free", "capabilities": ["chat"]} for name in ("plain", "spare")},
    "routes": {"both": {"candidates": ["plain", "spare"], "objective": "pinned"}},
    "policy": {},
}


@pytest.fixture
def purposes(house: Path) -> Path:
    """A profile whose policy denies the model ``plain`` what is for marketing."""
    (house.parent / "bundle" / "models.rego").write_text(PURPOSES)
    return house


def test_a_policy_denies_a_candidate_by_what_the_prompt_says_of_itself_and_why_shows_it(
    shop: MoneyProject, purposes: Path
) -> None:
    (shop.root / "prompts").mkdir()
    (shop.root / "prompts" / "greeting.yaml").write_text(GREETING)
    (shop.root / "models.yaml").write_text(json.dumps(TWO_MODELS))

    def asked(*words: str) -> tuple[str, str]:
        said = shop.run("--profile", str(purposes), "llm", "ask", *words, "--route", "both", "--json")
        assert said.code == 0, said.err
        return said.json["model"], shop.run("llm", "why", said.json["decision"]).out

    model, why = asked("--prompt", "greeting")
    assert model == "spare"
    assert FOR_MARKETING in " ".join(why.split())
    model, why = asked("hello there")
    assert (model, "marketing" in why) == ("plain", False)


def test_the_policy_is_told_the_prompt_of_a_step(tmp_path: Path, purposes: Path) -> None:
    root = tmp_path / "delivery"
    root.mkdir()
    shop = Delivery(root, load_profile(str(purposes)))
    shop.git("init", "-q", "-b", "main")
    shop.write({"models.yaml": json.dumps(TWO_MODELS), "prompts/greeting.yaml": GREETING})
    step = "{ id: ask, run: llm.generate, with: { route: both, prompt: greeting } }"
    shop.workflow(f"name: flow\nproject: shop\nstages:\n  - name: all\n    steps:\n      - {step}\n")
    done = shop.run()
    assert done.passed, done.failures()
    record = done.records["all/ask"]
    assert record.values["model"] == "spare"
    because = {one["model"]: one["because"] for one in record.metadata["candidates"]}
    assert FOR_MARKETING in because["plain"]


def test_the_plan_asks_the_policy_of_the_profile_it_is_given(shop: MoneyProject, house: Path) -> None:
    (shop.root / "maestro.yaml").write_text(asking("plain"))
    allowed = shop.run("plan", "--json")
    assert allowed.code == 0, allowed.err
    assert allowed.json["steps"][0]["forecast"]["by"].startswith("plain: ")
    refused = shop.run("--profile", str(house), "plan", "--json")
    assert refused.code == 0, refused.err
    forecast = refused.json["steps"][0]["forecast"]
    assert (forecast["at_most_usd"], forecast["by"].startswith("no model: ")) == (None, True)
    assert SAID in forecast["by"]


def test_a_plan_leaves_no_policy_engine_running(tmp_path: Path, house: Path) -> None:
    before = engines()
    shop = Delivery(tmp_path)
    shop.git("init", "-q", "-b", "main")
    shop.write({"models.yaml": json.dumps({"policy": {}}), ".gitignore": "house/\nbundle/\n"})
    shop.workflow(asking("offline"))
    with shop.session(profile=str(house)) as session:
        make_plan(session)
        (started,) = [one for one in engines() if one not in before]
    assert not started.is_running()


def engines() -> list[psutil.Process]:
    """The policy engines this process has started and not ended."""
    return [one for one in psutil.Process().children() if "confined_child" in " ".join(one.cmdline())]


def asking(model: str) -> str:
    """A workflow whose only step asks this model."""
    step = f"{{ id: ask, run: llm.generate, with: {{ model: {model}, text: hello there }} }}"
    return f"name: flow\nproject: shop\nstages:\n  - name: all\n    steps:\n      - {step}\n"

"""What ``maestro plan`` says of steps that ask models: what they may cost, who refuses them, and every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maestro.ledger.model import NANO, Attribution, Unit
from tests.unit.money_project import MoneyProject, money_project

KEY = "sk-0123456789abcdef"
MODELS = {
    "providers": {"mine": {"kind": "openai", "api_base": "http://127.0.0.1:9/v1", "key": "env:MINE_KEY"}},
    "models": {"mid": {"provider": "mine", "capabilities": ["chat"], "price": {"input": 1, "output": 100}}},
    "routes": {"only-mid": {"candidates": ["mid"]}},
}
PLAIN = """\
name: plain
version: 1.0.0
description: asks
variables:
  type: object
  properties: {x: {type: string}}
  required: [x]
messages: [{role: user, content: 'Say {{ x }}'}]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("MINE_KEY", KEY)
    made = money_project(tmp_path / "shop")
    (made.root / "models.yaml").write_text(json.dumps(MODELS), encoding="utf-8")
    (made.root / "prompts").mkdir()
    (made.root / "prompts" / "plain.yaml").write_text(PLAIN, encoding="utf-8")
    return made


def steps(shop: MoneyProject, *given: str, together: str = "steps") -> None:
    """A workflow of one stage with these steps, a line each, from line 6 on."""
    lines = "".join(f"      - {one}\n" for one in given)
    text = f"name: w\nproject: shop\nstages:\n  - name: all\n    {together}:\n{lines}"
    (shop.root / "maestro.yaml").write_text(text, encoding="utf-8")


def asking(id: str, **with_: Any) -> str:
    return json.dumps({"id": id, "run": "llm.generate", "with": with_})


def dear(id: str, **more: Any) -> str:
    """Of ten thousand tokens of answer at $100 a million: a dollar, and a little for the question."""
    return asking(id, text="hello", model="mid", max_output_tokens=10_000, **more)


def spent(shop: MoneyProject, model: str, nano: int, id: str, step: str = "all/a") -> None:
    with shop.ledger() as ledger:
        ledger.reserve(id, Attribution("local", "shop", None, f"run-{id}", step, "ann"), {Unit.USD: nano})
        ledger.sent(id)
        ledger.settle(id, {Unit.USD: nano}, model=model, provider="mine", decision="dec_1")


def test_a_step_no_budget_holds_is_told_as_refused_and_not_as_an_unknown_price(shop: MoneyProject) -> None:
    steps(shop, dear("a"), dear("b"))
    shop.run("budget", "set", "project", "usd=1", "--reason", "x")
    said = shop.run("plan")
    assert said.code == 0, said.err
    assert "unknown price" not in said.out
    assert said.out.count("at most $1.0002, refused; no model: mid cannot be used: it needs up to $1.0002") == 2
    assert "of the $1.00 of project:local/shop" in said.out
    assert "whoever may run `maestro budget set project:local/shop usd=… --reason …`" in said.out
    assert "money: at most $2.0003 for 2 model steps, 2 of them refused" in said.out
    assert "A run cannot pass as things are: nothing would answer all/a, all/b; see why above." in said.out


def test_json_tells_refused_steps_apart_from_unknown_prices(shop: MoneyProject) -> None:
    steps(shop, dear("a"), asking("b", text="hello", route="only-mid", max_output_tokens=10))
    shop.run("budget", "set", "project", "usd=1", "--reason", "x")
    plan = shop.run("plan", "--json").json
    refused, fine = (one["forecast"] for one in plan["steps"])
    assert refused["at_most_usd"] == "1.00015"
    assert "project:local/shop" in refused["refused"]
    assert fine["refused"] is None
    total = plan["forecast"]
    assert (total["steps"], total["unknown"], total["refused"]) == (2, 0, 1)
    assert float(total["at_most_usd"]) == pytest.approx(1.00015 + float(fine["at_most_usd"]))


def test_the_steps_own_limit_is_named_and_no_budget_that_has_nothing_to_do_with_it(shop: MoneyProject) -> None:
    steps(shop, dear("a", max_usd=0.5))
    shop.run("budget", "set", "project", "usd=100", "--reason", "x")
    said = shop.run("plan").out
    assert "at most $1.0002, refused" in said
    assert "the request allows $0.50 a request" in said
    assert "budget set" not in said


@pytest.mark.parametrize(("kind", "file"), [("step", "budget.step"), ("run", "budget.run"), ("month", "budget.month")])
def test_of_the_workflows_own_budget_only_the_workflow_is_named(shop: MoneyProject, kind: str, file: str) -> None:
    steps(shop, dear("a"))
    workflow = shop.root / "maestro.yaml"
    workflow.write_text(f"budget: {{{kind}: 0.0001}}\n{workflow.read_text()}", encoding="utf-8")
    said = shop.run("plan").out
    assert f"raise `{file}` in maestro.yaml" in said
    # The lower limit counts, so a higher one elsewhere is no help.
    assert "budget set" not in said


def test_where_a_refused_step_may_fail_the_run_goes_on(shop: MoneyProject) -> None:
    steps(shop, json.dumps({**json.loads(dear("a")), "continue_on_error": True}))
    shop.run("budget", "set", "project", "usd=1", "--reason", "x")
    said = shop.run("plan").out
    assert "A run would go on without an answer for all/a" in said
    assert "cannot pass" not in said


def test_what_is_likely_is_of_the_model_that_would_be_asked(shop: MoneyProject) -> None:
    steps(shop, dear("a"))
    for number in range(3):
        spent(shop, "gone", 9 * NANO, f"gone{number}")
        spent(shop, "mid", NANO // 2, f"mid{number}")
    assert "at most $1.0002, likely $0.50; mid:" in shop.run("plan").out


def test_what_is_likely_is_never_more_than_the_most(shop: MoneyProject) -> None:
    steps(shop, asking("a", text="hello", model="mid", max_output_tokens=100))
    for number in range(3):
        spent(shop, "mid", NANO, f"mid{number}")
    found = shop.run("plan", "--json").json["forecast"]
    assert found["likely_usd"] == found["at_most_usd"]


def test_what_an_absent_model_has_cost_is_not_likely_of_the_offline_provider(
    shop: MoneyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps(shop, dear("a"))
    spent(shop, "mid", NANO, "mid")
    monkeypatch.delenv("MINE_KEY")
    said = shop.run("plan").out
    assert "    at most $0.00; offline:" in said
    assert "likely" not in said


@pytest.mark.parametrize("together", ["steps", "parallel"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_every_mistake_is_told_at_once(shop: MoneyProject, together: str, command: str) -> None:
    steps(
        shop,
        asking("a", text="hello", route="nope"),
        asking("b", prompt="plane", variables={"x": "1"}),
        asking("c", prompt="plain", variables={"y": "1", "x": "1"}),
        asking("d", text="hello", model="mud"),
        asking("e", text="hello", model="mid"),
        together=together,
    )
    said = shop.run(command)
    assert said.code == 2
    assert "maestro.yaml:6:" in said.err and "'nope' is no model, no route and no capability" in said.err
    assert "maestro.yaml:7:" in said.err and "there is no prompt 'plane'; did you mean 'plain'?" in said.err
    assert "there is no variable 'y'; variables: x" in said.err
    assert "maestro.yaml:9:" in said.err and "'mud' is no model" in said.err


def test_one_mistake_of_a_step_that_waits_is_told_before_anything_runs(shop: MoneyProject) -> None:
    steps(shop, '{id: first, run: shell, with: {command: "true"}}', asking("second", text="hello", model="mud"))
    said = shop.run("plan")
    assert said.code == 2
    assert "maestro.yaml:7:" in said.err and "'mud' is no model" in said.err


def test_the_same_mistake_in_a_shared_file_is_told_once(shop: MoneyProject) -> None:
    (shop.root / "models.yaml").write_text("models: {mid: {provider: nobody}}\n", encoding="utf-8")
    steps(shop, dear("a"), dear("b"), together="parallel")
    said = shop.run("plan")
    assert said.code == 2
    assert said.err.count("models.yaml:1:") == 1, said.err


def test_a_missing_variable_names_the_step_its_line_and_the_place_in_the_prompt(shop: MoneyProject) -> None:
    steps(shop, asking("a", text="hello", model="mid"), asking("b", prompt="plain"))
    said = shop.run("plan")
    assert said.code == 2
    assert (
        f"{shop.root}/maestro.yaml:7:9: step 'all/b': {shop.root}/prompts/plain.yaml:4:1: the prompt 'plain'"
        in said.err
    )
    assert "the variable 'x' is missing" in said.err


def test_so_it_is_of_a_step_that_is_never_cached(shop: MoneyProject) -> None:
    steps(shop, json.dumps({**json.loads(asking("b", prompt="plain")), "cache": False}))
    said = shop.run("plan")
    assert said.code == 2
    assert "maestro.yaml:6:9: step 'all/b': " in said.err

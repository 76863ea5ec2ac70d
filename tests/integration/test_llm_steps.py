"""Steps that ask a model: what is asked, what it costs and whom, and what is shown of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maestro.ledger.model import NANO, Unit
from maestro.ledger.store import Ledger
from maestro.steps import Registry
from tests.integration.delivery import Delivery, Finished
from tests.integration.llm_gateways import KEY, catalogue_file
from tests.integration.model_server import ModelServer, model_server
from tests.unit.money_project import MoneyProject
from tests.unit.workflow_kinds import ANALYSE

THREE = """\
name: flow
stages:
  - name: models
    steps:
      - run: litellm.generate
        with: { prompt_template: code_review, model: gpt-4o-mini }          # a model, a route, or a capability
      - run: llm.generate
        with: { prompt: release_notes, route: cheap-then-good, variables: { since: v1.2.0 }, max_usd: 0.40 }
      - run: ollama.generate
        with: { model: 'qwen3:8b', fallback: [ 'qwen3:1.7b', 'gpt-4o-mini' ] }
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("TEST_KEY", KEY)
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    made.write({"a.py": "one = 1\n"})
    return made


def asking(shop: Delivery, provider: ModelServer, step: str, *, before: str = "", model: str = "echo") -> None:
    """A workflow of one step that asks, and models at ``provider``."""
    catalogue_file(shop.root, provider.url, {model: {"capabilities": ["chat", "code"]}})
    shop.workflow(f"name: flow\nproject: shop\n{before}stages:\n  - name: all\n    steps:\n      - {step}\n")


def charged(shop: Delivery) -> dict[str, int]:
    with Ledger.open(f"sqlite:///{shop.project.home / 'ledger.db'}") as ledger:
        assert ledger.check() == []
        assert ledger.reservations() == []
        found: dict[str, int] = {}
        for one in ledger.charges(unit="usd"):
            found[one.model] = found.get(one.model, 0) + one.amount
        return found


def test_the_example_runs_as_it_stands_without_any_key(shop: Delivery) -> None:
    scripts = {"name": "intelgraph", "version": "1.0.0", "scripts": {"test": "true", "typecheck": "true"}}
    shop.write({"package.json": json.dumps(scripts)}, commit=False)
    shop.workflow(ANALYSE)
    done = shop.run()
    assert done.passed, done.failures()
    review = done.records["analyze/litellm_generate"]
    assert review.values["offline"] is True
    assert review.values["answer"].startswith("[offline]")
    assert "a.py" in review.values["answer"] or "package.json" in review.values["answer"]
    assert "offline provider" in review.metadata["why"]


def test_the_three_steps_of_the_promise_plan_and_run_without_any_model(shop: Delivery) -> None:
    shop.workflow(THREE)
    shop.git("tag", "v1.2.0")
    shop.write({"a.py": "import os\none = 2\n"})
    assert {step.node.name for step in shop.plan().steps} == {
        f"models/{kind}_generate" for kind in ("litellm", "llm", "ollama")
    }
    done = shop.run()
    assert done.passed, done.failures()
    answers = {name.removeprefix("models/"): record for name, record in done.records.items()}
    assert {name: record.values["offline"] for name, record in answers.items()} == {
        "litellm_generate": True,
        "llm_generate": True,
        "ollama_generate": True,
    }
    assert answers["llm_generate"].metadata["prompt"].startswith("release_notes ")
    # What is not said is what the first step says: the change is reviewed.
    assert answers["ollama_generate"].metadata["prompt"] == answers["litellm_generate"].metadata["prompt"]
    assert answers["ollama_generate"].values["answer"] == answers["litellm_generate"].values["answer"]
    assert charged(shop) == {"offline": 0}


@pytest.mark.parametrize("kind", ["llm.generate", "litellm.generate", "ollama.generate"])
def test_every_kind_reviews_the_change_when_it_is_given_neither_prompt_nor_text(kind: str) -> None:
    params = Registry().get(kind).params.model_validate({"model": "qwen3:8b"})
    assert (params.named_prompt, params.asked_prompt) == (None, "code_review")
    assert params.model_copy(update={"text": "hello"}).asked_prompt is None


@pytest.mark.parametrize("kind", ["llm.generate", "litellm.generate", "ollama.generate"])
def test_a_prompt_and_a_text_are_one_too_many(kind: str) -> None:
    with pytest.raises(ValidationError, match="give a prompt or 'text', not both"):
        Registry().get(kind).params.model_validate({"model": "m", "prompt": "triage", "text": "hello"})


def test_the_step_says_who_answered_what_it_cost_and_why(shop: Delivery, provider: ModelServer) -> None:
    asking(shop, provider, "{ id: ask, run: llm.generate, with: { model: echo, text: hello there } }")
    done = shop.run()
    assert done.passed, done.failures()
    record = done.records["all/ask"]
    assert record.values["answer"] == "hello there"
    assert record.metadata["model"] == "echo"
    assert record.cost_usd > 0
    assert record.metadata["dollars"] == pytest.approx(record.cost_usd)
    assert {row["model"] for row in record.metadata["candidates"]} == {"echo"}
    assert record.metadata["decision"].startswith("dec_")
    assert "why this model: maestro llm why dec_" in "".join(done.logs.values())
    assert charged(shop) == {"echo": round(record.cost_usd * NANO)}


def test_the_log_shows_an_answer_without_codes_for_terminals_and_its_file_keeps_them(
    shop: Delivery, provider: ModelServer
) -> None:
    said = '{ id: ask, run: llm.generate, with: { model: echo, text: "\\e]0;owned\\a\\e[31mred\\e[0m and \\b" } }'
    asking(shop, provider, said)
    done = shop.run()
    assert done.passed, done.failures()
    log = "".join(done.logs.values())
    assert "\x1b]0;" not in log and "\x07" not in log and "\b" not in log
    assert "red and" in log
    (kept,) = done.records["all/ask"].outputs
    assert shop.store().get_bytes(kept.sha256) == b"\x1b]0;owned\x07\x1b[31mred\x1b[0m and \b\n"


def test_nothing_changed_so_nothing_is_asked_again(shop: Delivery, provider: ModelServer) -> None:
    asking(shop, provider, "{ id: ask, run: llm.generate, with: { model: echo, text: only once } }")
    shop.run()
    before, spent = len(provider.calls), charged(shop)
    assert shop.run().records["all/ask"].cache == "hit"
    assert len(provider.calls) == before
    assert charged(shop) == spent


def test_an_answer_that_is_used_again_cost_nothing_and_says_so_with_its_decision(
    shop: Delivery, provider: ModelServer
) -> None:
    asking(shop, provider, "{ id: ask, run: llm.generate, with: { model: echo, text: paid once } }")
    first = shop.run()
    asked = first.records["all/ask"]
    assert (asked.metadata["reused"], told_of(first)["reused"]) == (False, False)
    again = shop.run()
    record, told = again.records["all/ask"], told_of(again)
    assert (record.cache, record.cost_usd, record.metadata["dollars"]) == ("hit", 0.0, 0.0)
    assert (told["dollars"], told["reused"], told["cache"]) == (0.0, True, "hit")
    assert told["dollars when asked"] == asked.metadata["dollars"] > 0
    assert told["decision"] == asked.metadata["decision"]
    assert told["made by"] == first.run_id
    assert told["summary"] == f"reused, $0.00 this time; when it was asked: {asked.summary}"
    assert told_of(shop.run()) == told


def test_the_plan_sees_what_a_used_answer_cost_as_the_run_does(shop: Delivery, provider: ModelServer) -> None:
    ask = "{ id: ask, run: llm.generate, with: { model: echo, text: what it cost } }"
    tell = "{ id: tell, run: shell, with: { command: 'echo {{ steps.ask.metadata.dollars }}' } }"
    asking(shop, provider, f"{ask}\n      - {tell}")
    shop.run()
    log = shop.run().records["all/tell"].log
    assert log is not None
    assert shop.store().get_bytes(log.sha256) == b"0.0\n"
    assert [one.action for one in shop.plan().steps] == ["cached", "cached"]
    assert shop.run().records["all/tell"].cache == "hit"


def told_of(run: Finished) -> dict[str, Any]:
    """What Dagster was told of the only step's asset."""
    (made,) = [one for one in run.events if one.event_type_value == "ASSET_MATERIALIZATION"]
    found = made.step_materialization_data.materialization.metadata
    changing = ("seconds",)
    return {name: value.value for name, value in found.items() if name not in changing}


def test_a_changed_prompt_is_asked_again_even_if_inputs_leave_it_out(shop: Delivery, provider: ModelServer) -> None:
    prompt = "name: hail\nversion: 1.0.{n}\ndescription: Hails.\nvariables: {{type: object, properties: {{}}}}\n"
    prompt += "messages: [{{role: user, content: 'hail {n}'}}]\n"
    shop.write({"prompts/hail.yaml": prompt.format(n=1)}, commit=False)
    step = "{ id: ask, run: llm.generate, inputs: [a.py], with: { model: echo, prompt: hail } }"
    asking(shop, provider, step)
    assert shop.run().records["all/ask"].values["answer"] == "hail 1"
    shop.write({"prompts/hail.yaml": prompt.format(n=2)})
    again = shop.run().records["all/ask"]
    assert (again.cache, again.values["answer"]) == ("miss", "hail 2")
    assert again.key_parts["prompt"].startswith("hail 1.0.2 sha256:")


def test_the_plan_says_what_it_may_cost(shop: Delivery, provider: ModelServer) -> None:
    asking(shop, provider, "{ id: ask, run: llm.generate, with: { model: echo, text: hello, max_output_tokens: 100 } }")
    before = len(provider.calls)
    (step,) = shop.plan().steps
    assert step.forecast is not None
    # 100 tokens at 2 dollars a million, and what the question has at most.
    assert 200_000 < (step.forecast.at_most or 0) < 400_000
    assert len(provider.calls) == before
    assert step.forecast.likely is None
    spent = round(shop.run().records["all/ask"].cost_usd * NANO)
    shop.write({"a.py": "one = 2\n"})
    (again,) = shop.plan().steps
    assert again.forecast is not None
    assert again.forecast.likely == spent


def test_a_step_s_budget_is_not_overrun(shop: Delivery, provider: ModelServer) -> None:
    step = "{ id: ask, run: llm.generate, with: { model: echo, text: hello } }"
    asking(shop, provider, step, before="budget: { step: 0.0001 }\n")
    before = len(provider.calls)
    done = shop.run()
    assert not done.passed
    assert "budget" in done.failures()
    assert "maestro.yaml" in done.failures()
    assert len(provider.calls) == before
    assert charged(shop) == {}


def offline_steps(shop: Delivery, budget: str, *steps: str) -> None:
    """A workflow of steps that ask the offline provider for 100 tokens each, one after another."""
    lines = "".join(
        f"      - {{ id: {one}, run: llm.generate, cache: false, "
        f"with: {{ model: offline, text: hello there, max_output_tokens: 100 }} }}\n"
        for one in steps
    )
    shop.workflow(f"name: flow\nproject: shop\nbudget: {budget}\nstages:\n  - name: all\n    steps:\n{lines}")


@pytest.mark.parametrize("scope", ["step", "run", "month"])
def test_a_budget_of_tokens_that_holds_no_call_refuses_it_before_it_is_made(shop: Delivery, scope: str) -> None:
    offline_steps(shop, f"{{ {scope}: {{ tokens: 50 }} }}", "ask")
    done = shop.run()
    assert not done.passed
    assert "is 50 tokens: 0 tokens are spent and 0 tokens reserved, and this needs up to 256 tokens" in done.failures()
    assert f"raise `budget.{scope}` in maestro.yaml" in done.failures()
    assert charged(shop) == {}


def test_tokens_of_a_run_are_shared_by_its_steps_and_what_comes_beyond_is_refused(shop: Delivery) -> None:
    offline_steps(shop, "{ run: { tokens: 100000 } }", "first")
    assert shop.run().passed
    with Ledger.open(f"sqlite:///{shop.project.home / 'ledger.db'}") as ledger:
        used = sum(one.amount for one in ledger.charges(unit=Unit.TOKENS.value))
        most = sum(
            ledger.reservations([one.reservation])[0].amounts[Unit.TOKENS] for one in ledger.charges(unit="tokens")
        )
    assert 0 < used < most

    # The worst case of one call fits beside what the first has used; of the second call nothing more does.
    offline_steps(shop, f"{{ run: {{ tokens: {most + used - 1} }}, step: {{ tokens: {most} }} }}", "first", "second")
    done = shop.run()
    assert not done.passed
    assert "all/first" in done.records
    assert "all/second" not in done.records
    assert f"{used} tokens are spent and 0 tokens reserved, and this needs up to {most} tokens" in done.failures()


def test_a_plan_says_which_step_a_budget_of_tokens_refuses(shop: Delivery) -> None:
    offline_steps(shop, "{ step: { tokens: 50 } }", "ask")
    (step,) = shop.plan().steps
    assert step.forecast is not None
    assert step.forecast.refused is not None
    assert "50 tokens" in step.forecast.refused


def test_no_more_than_was_allowed_for_the_answer(shop: Delivery, provider: ModelServer) -> None:
    asking(shop, provider, "{ id: ask, run: llm.generate, with: { model: echo, text: hello, max_usd: 0.0001 } }")
    done = shop.run()
    assert not done.passed
    assert "0.0001" in done.failures()


def test_a_step_that_does_not_want_to_be_answered_offline_says_what_is_missing(shop: Delivery) -> None:
    shop.workflow(
        "name: flow\nstages:\n  - name: all\n    steps:\n"
        "      - { id: ask, run: llm.generate, with: { model: gpt-4o-mini, text: hello, offline: false } }\n"
    )
    with pytest.raises(Exception, match="no model is set up for this step"):
        shop.run()


def test_a_typo_in_the_model_is_answered_with_the_nearest_name(shop: Delivery) -> None:
    shop.workflow(
        "name: flow\nstages:\n  - name: all\n    steps:\n"
        "      - { id: ask, run: litellm.generate, with: { model: gpt-4o-mni, text: hello } }\n"
    )
    with pytest.raises(Exception, match="gpt-4o-mini") as caught:
        shop.run()
    assert "maestro.yaml:" in str(caught.value)


def test_a_secret_of_the_run_does_not_leave(
    shop: Delivery, provider: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "tell-nobody-of-this")
    catalogue_file(shop.root, provider.url, {"echo": {"capabilities": ["chat", "code"]}})
    shop.write({"note.txt": "the token is tell-nobody-of-this\n"}, commit=False)
    shop.workflow(
        "name: flow\nsecrets: [TOKEN]\nstages:\n  - name: all\n    steps:\n"
        "      - { id: use, run: shell, secrets: [TOKEN], with: { command: 'true' } }\n"
        "      - { id: ask, run: llm.generate, with: { model: echo, prompt: code_review } }\n"
    )
    done = shop.run()
    assert done.passed, done.failures()
    assert "note.txt" in json.dumps(provider.calls[-1])
    assert "tell-nobody-of-this" not in json.dumps(provider.calls[-1])


def test_the_ollama_step_falls_back_when_ollama_is_not_there(shop: Delivery, provider: ModelServer) -> None:
    asking(
        shop, provider, "{ id: ask, run: ollama.generate, with: { model: 'qwen3:8b', fallback: [echo], text: hello } }"
    )
    done = shop.run()
    assert done.passed, done.failures()
    assert done.records["all/ask"].metadata["model"] == "echo"
    verdicts = {row["model"]: row["verdict"] for row in done.records["all/ask"].metadata["candidates"]}
    assert verdicts["qwen3:8b"] == "not running"


def test_after_a_fallback_step_and_command_line_say_who_answered_and_why(
    shop: Delivery, provider: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAESTRO_SERVER_HOME", raising=False)
    catalogue_file(
        shop.root,
        provider.url,
        {"status/503": {}, "echo": {}},
        routes={"fallb": {"candidates": ["status/503", "echo"], "objective": "pinned"}},
    )
    shop.workflow(
        "name: flow\nproject: shop\nstages:\n  - name: all\n    steps:\n"
        "      - { id: ask, run: llm.generate, with: { route: fallb, text: hello there } }\n"
    )
    done = shop.run()
    assert done.passed, done.failures()
    found = done.records["all/ask"].metadata
    assert found["why"].startswith("echo answered, because status/503 failed (")
    assert {row["model"]: row["verdict"] for row in found["candidates"]}["echo"] == "answered"
    project = MoneyProject(shop.root)
    asked = project.run("llm", "ask", "hello there", "--route", "fallb")
    assert ": echo answered, because status/503 failed (" in asked.err
    told = " ".join(project.run("llm", "why", "last").out.split())
    assert "answered echo answered, because status/503 failed (" in told


def test_runs_of_a_month_can_be_used_up(shop: Delivery) -> None:
    shop.workflow(
        "name: flow\nbudget: { month: { runs: 1 } }\nstages:\n  - name: all\n    steps:\n"
        "      - { id: one, run: shell, with: { command: 'true' }, cache: false }\n"
    )
    assert shop.run().passed
    refused = shop.run()
    assert not refused.passed
    assert "is 1 run: 1 run is spent and 0 runs reserved" in refused.failures()


def test_minutes_are_counted_and_the_next_step_is_refused(shop: Delivery) -> None:
    shop.workflow(
        "name: flow\nproject: shop\nbudget: { run: { minutes: 0.02 } }\nstages:\n  - name: all\n    steps:\n"
        "      - { id: slow, run: shell, with: { command: 'sleep 1.6' } }\n"
        "      - { id: next, run: shell, with: { command: 'true' } }\n"
    )
    done = shop.run()
    assert not done.passed
    assert "all/slow" in done.records
    assert "all/next" not in done.records
    with Ledger.open(f"sqlite:///{shop.project.home / 'ledger.db'}") as ledger:
        assert sum(one.amount for one in ledger.charges(unit=Unit.MINUTES.value)) >= 2

"""What is delivered after a model was asked: its provenance says with which prompt, whom, and why."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from maestro.llm.model import PromptRef
from maestro.prompts import load_prompt
from tests.integration.delivery import Delivery
from tests.unit.money_project import MoneyProject

REVIEW = "{ id: review, run: llm.generate, with: { prompt: code_review } }"
QUESTION = "{ id: review, run: llm.generate, with: { text: Is one plus one two in any case? }, inputs: [a.py] }"
KEEP = "{ id: keep, run: artifact.put, with: { path: a.py, deliver: true }%s }"
PROVE = "{ id: prove, run: attest.provenance, depends_on: [keep%s] }"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    made.write({"a.py": "one = 1\n"})
    return made


def flow(shop: Delivery, *steps: str) -> None:
    listed = "".join(f"      - {one}\n" for one in steps)
    shop.workflow(f"name: flow\nproject: shop\nstages:\n  - name: all\n    steps:\n{listed}")


def exported(shop: Delivery, folder: Path) -> list[Mapping[str, Any]]:
    """The statements of ``maestro evidence export``, decoded."""
    pack = folder / "pack.tar.zst"
    said = MoneyProject(shop.root).run("evidence", "export", "-o", str(pack))
    assert said.code == 0, said.err
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(pack.read_bytes())).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as files:
        bundles = [
            json.load(content)
            for one in files.getmembers()
            if one.name.endswith(".sigstore.json") and (content := files.extractfile(one))
        ]
    return [json.loads(base64.b64decode(one["dsseEnvelope"]["payload"])) for one in bundles]


def asked(shop: Delivery, folder: Path) -> dict[str, tuple[str, str]]:
    """Dependencies of the one provenance that have to do with models: URI -> name, sha256."""
    (found,) = [one for one in exported(shop, folder) if one["predicateType"] == "https://slsa.dev/provenance/v1"]
    return {
        one["uri"]: (one["name"], one["digest"]["sha256"])
        for one in found["predicate"]["buildDefinition"]["resolvedDependencies"]
        if one["uri"].startswith(("maestro:prompt/", "maestro:model/", "maestro:decision/"))
    }


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((REVIEW, KEEP % ", depends_on: [review]", PROVE % ""), id="before what is delivered"),
        pytest.param((REVIEW, KEEP % "", PROVE % ", review"), id="before the proof alone"),
    ],
)
def test_provenance_names_prompt_model_and_decision_by_digest(
    shop: Delivery, tmp_path: Path, steps: tuple[str, ...]
) -> None:
    flow(shop, *steps)
    run = shop.run()
    assert run.passed, run.failures()
    prompt, decision = load_prompt("code_review"), run.records["all/review"].values["decision"]
    (kept,) = [json.loads(one) for one in MoneyProject(shop.root).run("llm", "export").out.splitlines()]
    del kept["outcome"]
    assert PromptRef(**kept["prompt"]) == PromptRef("code_review", prompt.version, prompt.digest, prompt.policy)
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    assert asked(shop, tmp_path) == {
        f"maestro:prompt/code_review@{prompt.version}": (
            f"all/review: prompt code_review {prompt.version}",
            prompt.digest.removeprefix("sha256:"),
        ),
        "maestro:model/offline/offline": ("all/review: model offline", kept["catalogue"].removeprefix("sha256:")),
        f"maestro:decision/{decision}": (
            f"all/review: decision {decision}",
            hashlib.sha256(text.encode()).hexdigest(),
        ),
    }


def test_an_answer_from_the_step_cache_keeps_the_decision_of_then(shop: Delivery, tmp_path: Path) -> None:
    flow(shop, QUESTION, KEEP % ", depends_on: [review]", PROVE % "")
    first = shop.run().records["all/review"]
    shop.write({"b.py": "two = 2\n"})
    again = shop.run()
    assert again.passed, again.failures()
    assert again.records["all/review"].cache == "hit"
    assert f"maestro:decision/{first.values['decision']}" in asked(shop, tmp_path)


def test_of_a_text_without_a_prompt_it_names_model_and_decision(shop: Delivery, tmp_path: Path) -> None:
    flow(shop, QUESTION, KEEP % ", depends_on: [review]", PROVE % "")
    run = shop.run()
    assert run.passed, run.failures()
    decision = run.records["all/review"].values["decision"]
    assert set(asked(shop, tmp_path)) == {"maestro:model/offline/offline", f"maestro:decision/{decision}"}

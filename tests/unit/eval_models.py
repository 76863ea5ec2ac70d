"""Models that answer cases by a script: no server, no key, no chance."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from maestro.errors import MaestroError
from maestro.evals.cases import Case, Dataset, load_dataset
from maestro.ledger.model import Attribution
from maestro.llm.model import Answer, Decision, ModelRequest, Usage
from tests.unit.llm_world import catalogue, model

WHO = Attribution(tenant="acme", project="app", run="run-1", step="evals")
Script = Callable[[Case], str | MaestroError]


def right(case: Case) -> str:
    """The answer of a model that finds everything and nothing else."""
    return json.dumps([{"file": one.file, "line": one.line, "message": one.why} for one in case.defects])


def wrong(case: Case) -> str:
    """The answer of one that finds something in every case, never what is there."""
    return json.dumps([{"file": "nowhere.py", "line": 1, "message": "bad"}])


@functools.cache
def builtin() -> Dataset:
    return load_dataset("code_review")


class ScriptedModels:
    """Models that say what a script says; their catalogue has `m`, `n` and a route `either` to them.

    Args:
        script: what is answered to a case; an error is raised.
        answers_as: the model that answers, when it is another than was asked for.
    """

    def __init__(self, script: Script = right, *, cost: int = 1_000_000, answers_as: str | None = None) -> None:
        self.script = script
        self.cost = cost
        self.answers_as = answers_as
        self.asked: list[ModelRequest] = []
        self.cases = {case.diff: case for case in builtin().cases}
        self.catalogue = catalogue(model("m"), model("n"), routes={"either": {"candidates": ("m", "n")}})
        self._lock = threading.Lock()

    def ask(self, request: ModelRequest) -> Answer:
        with self._lock:
            self.asked.append(request)
        text = request.messages[-1].content
        case = next(case for diff, case in self.cases.items() if diff in text)
        said = self.script(case)
        if isinstance(said, MaestroError):
            raise said
        return Answer(
            text=said,
            model=self.answers_as or request.target,
            provider="scripted",
            usage=Usage(100, 20),
            cost_nano=self.cost,
            seconds=0.5,
            first_token=0.5,
            decision=f"dec_{case.id}",
        )

    def decide(self, request: ModelRequest) -> Decision:
        return Decision(
            id="dec_dry",
            at=datetime(2026, 11, 16, tzinfo=UTC),
            attribution=WHO,
            target=request.target,
            route="",
            objective="pinned",
            candidates=(),
            chosen=request.target,
            why="It was asked for by name.",
        )

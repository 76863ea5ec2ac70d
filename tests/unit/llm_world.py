"""A small catalogue, and short ways to ask for decisions about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maestro.ledger.model import NANO, Attribution, Balance, Scope, Unit
from maestro.llm.catalogue import Catalogue, Model, Route
from maestro.llm.decide import decide
from maestro.llm.model import Answer, Decision, ModelRequest, Usage
from maestro.llm.prices import FREE, Price, Rate
from maestro.llm.state import State
from maestro.llm.tokens import TokenCount

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WHO = Attribution("acme", "app", 7, "run1", "review", "ada")
TOKENS = TokenCount(likely=1_000, at_most=4_000)


def price(input_usd: float, output_usd: float) -> Price:
    """Dollars per million tokens."""
    return Price((Rate(int(input_usd * NANO), int(output_usd * NANO), int(input_usd * NANO)),), "test")


def model(name: str, **changes: Any) -> Model:
    """One with a key that is there, unless something else is said."""
    made = Model(
        name=name,
        provider="openai",
        kind="openai",
        wire_model=name,
        capabilities=frozenset({"chat", "code"}),
        context=100_000,
        max_output=10_000,
        region="us",
        quality=0.5,
        price=price(1, 4),
        key="env:KEY",
    )
    return dataclasses.replace(made, **changes)


BIG = model("big", quality=0.9, price=price(5, 25))
MIDDLE = model("middle", quality=0.7, price=price(1, 4))
SMALL = model("small", quality=0.4, price=price(0.1, 0.4), region="eu")
HOME = model("home", kind="ollama", provider="ollama", region="local", quality=0.3, price=FREE, key=None)
OFFLINE = model("offline", kind="offline", provider="offline", region="local", quality=0.0, price=FREE, key=None)
ALL = ("big", "middle", "small")


def catalogue(*models: Model, routes: Mapping[str, Mapping[str, Any]] | None = None, **settings: Any) -> Catalogue:
    """These models (else five usual ones), with a route ``all`` over big, middle and small."""
    known = models or (BIG, MIDDLE, SMALL, HOME, OFFLINE)
    given = {"all": {"candidates": tuple(one.name for one in known if one.name in ALL)}, **(routes or {})}
    return Catalogue(
        models={one.name: one for one in known},
        routes={name: Route(**{"name": name, **route}) for name, route in given.items()},
        providers={},
        **{
            "default_route": "all",
            "last_resort": "offline" if "offline" in {one.name for one in known} else None,
            **settings,
        },
    )


def state(**facts: Any) -> State:
    """Everything is well and the key is there, unless something else is said."""
    return State(**{"at": NOW, "keys": frozenset({"env:KEY"}), **facts})


def ask(target: str = "", known: Catalogue | None = None, *, facts: State | None = None, **request: Any) -> Decision:
    """The decision about one request."""
    asked = ModelRequest((), target, **{"max_output_tokens": 1_000, **request})
    return decide(asked, WHO, facts or state(), known or catalogue(), tokens=TOKENS, id="dec_1")


def reasons(decision: Decision, name: str) -> list[str]:
    """Codes that speak against one candidate."""
    return [code for code, _ in verdict(decision, name).skipped]


def sentence(decision: Decision, name: str) -> str:
    """What the verdict of one candidate says."""
    return "; ".join(text for _, text in verdict(decision, name).skipped)


def verdict(decision: Decision, name: str) -> Any:
    """The verdict of one candidate."""
    [found] = [one for one in decision.candidates if one.model == name]
    return found


def balance(limit: float | None, spent: float, *, scope: Scope | None = None, unit: Unit = Unit.USD) -> Balance:
    """Of the project, in dollars, unless something else is said."""
    factor = NANO if unit is Unit.USD else 1
    return Balance(
        scope or Scope("project", "acme/app"),
        unit,
        None if limit is None else int(limit * factor),
        int(spent * factor),
        0,
    )


def answer(decision: Decision, **changes: Any) -> Answer:
    """An answer of the chosen model."""
    made = Answer(
        text="x",
        model=decision.chosen or "",
        provider="openai",
        usage=Usage(1_000, 500),
        cost_nano=3_000_000,
        seconds=1.5,
        first_token=0.2,
        decision=decision.id,
    )
    return dataclasses.replace(made, **changes)


def written(folder: Path, text: str, name: str = "models.yaml") -> Path:
    """A file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path

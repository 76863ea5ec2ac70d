"""A model of the catalogue is the same for evaluations as long as its answers would be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maestro.evals.entry import entry_digest
from maestro.llm.catalogue import Catalogue, Model
from tests.unit.llm_world import SMALL, catalogue


def digest(model: Model) -> str:
    made: Catalogue = catalogue(model)
    return entry_digest(made, model.name)


@pytest.mark.parametrize(
    "change",
    [
        {"wire_model": "another"},
        {"api_base": "http://elsewhere/v1"},
        {"provider": "another"},
        {"region": "us"},
        {"max_output": 17},
    ],
)
def test_what_answers_depend_on_makes_another_entry(change: dict[str, Any]) -> None:
    assert digest(replace(SMALL, **change)) != digest(SMALL)


@pytest.mark.parametrize(
    "change", [{"weight": 0.3}, {"quality": 0.1}, {"price": None}, {"key": "env:OTHER"}, {"concurrency": 1}]
)
def test_what_is_paid_and_chosen_leaves_it_the_same(change: dict[str, Any]) -> None:
    assert digest(replace(SMALL, **change)) == digest(SMALL)


def test_a_model_that_is_not_there_has_none() -> None:
    assert entry_digest(catalogue(SMALL), "nobody") == ""

"""Watching models: what drifted is found in what was kept, by project, and each alert is told once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.ledger.store import Ledger
from maestro.llm.decisions import DecisionStore
from maestro.llm.drift import DriftAlert
from maestro.llm.watching import ToldAlerts, drift_by_project, drift_of, fairness_of
from tests.unit.kept_calls import A_DAY, keep_calls
from tests.unit.llm_world import NOW

WHOSE = ("acme", "app")
DEARER = DriftAlert("cost", "big", 0.002, 0.001, 0.0008, 0.0012, 24)
CHEAPER = DriftAlert("cost", "big", 0.0005, 0.001, 0.0008, 0.0012, 24)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def test_a_last_day_that_is_dearer_than_the_weeks_before_is_found_in_what_was_kept(ledger: Ledger) -> None:
    keep_calls(ledger, NOW, last_cost=2.0)
    found = drift_of(DecisionStore(ledger.engine), now=NOW)
    assert [(one.metric, one.subject, one.above) for one in found.alerts] == [("cost", "big", True)]
    assert (found.calls, found.days, found.begin) == (A_DAY, 28, NOW - timedelta(days=1))


def test_each_project_is_compared_with_itself_alone(ledger: Ledger) -> None:
    keep_calls(ledger, NOW, whose=("acme", "app"), last_cost=2.0)
    keep_calls(ledger, NOW, whose=("acme", "web"))
    store = DecisionStore(ledger.engine)
    found = drift_by_project(store, now=NOW)
    assert {whose: len(one.alerts) for whose, one in found.items()} == {("acme", "app"): 1, ("acme", "web"): 0}
    assert drift_of(store, now=NOW, tenant="acme", project="app") == found["acme", "app"]


@pytest.mark.parametrize("window", [timedelta(0), timedelta(minutes=59), timedelta(days=93)])
def test_a_window_that_cannot_be_compared_is_refused(ledger: Ledger, window: timedelta) -> None:
    with pytest.raises(InputError, match="can be compared") as error:
        drift_of(DecisionStore(ledger.engine), now=NOW, window=window)
    assert "from 1 hour to 92 days" in str(error.value)


def test_fairness_looks_at_all_tenants_in_the_time(ledger: Ledger) -> None:
    keep_calls(ledger, NOW, whose=("poor", "app"), days=5, failed=12)
    keep_calls(ledger, NOW, whose=("rich", "app"), days=5)
    shares = fairness_of(DecisionStore(ledger.engine), since=NOW - timedelta(days=3, hours=1), until=NOW)
    assert [(one.tenant, one.calls, one.failed, one.worse) for one in shares] == [
        ("poor", 3 * A_DAY, 36, True),
        ("rich", 3 * A_DAY, 0, False),
    ]


def test_an_alert_is_fresh_until_it_was_told_and_stays_told_while_it_lasts(ledger: Ledger) -> None:
    told = ToldAlerts(ledger.engine)
    assert told.fresh(WHOSE, [DEARER], NOW) == [DEARER]
    assert told.fresh(WHOSE, [DEARER], NOW) == [DEARER], "nobody was told"
    told.told(WHOSE, DEARER, NOW)
    for hours in range(1, 72):
        assert told.fresh(WHOSE, [DEARER], NOW + timedelta(hours=hours)) == []


def test_an_alert_that_was_gone_for_more_than_a_day_is_told_anew(ledger: Ledger) -> None:
    told = ToldAlerts(ledger.engine)
    told.told(WHOSE, DEARER, NOW)
    assert told.fresh(WHOSE, [], NOW + timedelta(hours=12)) == []
    assert told.fresh(WHOSE, [DEARER], NOW + timedelta(hours=25)) == [DEARER]


def test_the_other_direction_and_another_project_are_alerts_of_their_own(ledger: Ledger) -> None:
    told = ToldAlerts(ledger.engine)
    told.told(WHOSE, DEARER, NOW)
    assert told.fresh(WHOSE, [DEARER, CHEAPER], NOW) == [CHEAPER]
    assert told.fresh(("acme", "web"), [DEARER], NOW) == [DEARER]


def test_what_was_told_is_known_to_the_next_process(ledger: Ledger) -> None:
    ToldAlerts(ledger.engine).told(WHOSE, DEARER, NOW)
    assert ToldAlerts(ledger.engine).fresh(WHOSE, [DEARER], NOW + timedelta(hours=1)) == []

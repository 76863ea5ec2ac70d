"""The last good week is the newest that was complete, compared, and no regression itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from maestro.artifacts import ArtifactStore, keys
from maestro.errors import InputError, MaestroError
from maestro.evals.history import History, checked_week, week_of
from maestro.evals.weekly import close_week
from tests.unit.eval_runs import FIRST_WEEK, WEEK, WEEK_BEFORE, run_of


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(str(tmp_path / "store"))


@pytest.fixture
def history(store: ArtifactStore) -> History:
    return History(store, "app")


def _close(history: History, week: str) -> None:
    close_week(history, "code_review", week, ["m"], {})


def test_a_week_is_kept_and_found_again(history: History) -> None:
    history.put(run_of())
    kept = history.get("code_review", "m", WEEK)
    assert kept is not None
    assert (kept.run, kept.comparison) == (run_of().model_copy(update=_moments(kept.run)), None)


def _moments(run: object) -> dict[str, object]:
    return {name: getattr(run, name) for name in ("started", "seconds")}


def test_a_model_of_any_name_has_weeks_of_its_own(history: History) -> None:
    for model in ("a/b", "a", "../m", "qwen3:8b"):
        history.put(run_of(model))
    assert all(history.weeks("code_review", model) == [WEEK] for model in ("a/b", "a", "../m", "qwen3:8b"))


def test_a_partial_run_does_not_replace_a_complete_one(history: History) -> None:
    history.put(run_of())
    kept = history.put(run_of().model_copy(update={"state": "partial"}))
    assert kept.run.state == "complete"


def test_the_week_before_is_the_baseline(history: History) -> None:
    history.put(run_of(week=WEEK_BEFORE))
    _close(history, WEEK_BEFORE)
    good, notes = history.last_good("code_review", "m", WEEK)
    assert good is not None
    assert (good.run.week, notes) == (WEEK_BEFORE, ())


def test_a_week_that_regressed_is_passed_over(history: History) -> None:
    history.put(run_of(week=FIRST_WEEK))
    _close(history, FIRST_WEEK)
    history.put(run_of(week=WEEK_BEFORE, fails=lambda number: number < 20))
    _close(history, WEEK_BEFORE)
    good, notes = history.last_good("code_review", "m", WEEK)
    assert good is not None
    assert good.run.week == FIRST_WEEK
    assert notes == (f"the week {WEEK_BEFORE} was passed over: it was a regression itself",)


def test_a_regression_that_stays_is_one_every_week(history: History) -> None:
    history.put(run_of(week=FIRST_WEEK))
    _close(history, FIRST_WEEK)
    for week in (WEEK_BEFORE, WEEK):
        history.put(run_of(week=week, fails=lambda number: number < 20))
        report, _missing = close_week(history, "code_review", week, ["m"], {})
        assert report.state == "regression"


@pytest.mark.parametrize("closed", [True, False])
def test_a_week_that_is_partial_or_was_never_compared_is_passed_over(history: History, closed: bool) -> None:
    run = run_of(week=WEEK_BEFORE)
    history.put(run.model_copy(update={"state": "partial"}) if closed else run)
    if closed:
        _close(history, WEEK_BEFORE)
    good, notes = history.last_good("code_review", "m", WEEK)
    assert good is None
    assert notes == (
        f"the week {WEEK_BEFORE} was passed over: {'it was not complete' if closed else 'it was never compared'}",
    )


def test_later_weeks_are_no_baseline(history: History) -> None:
    history.put(run_of(week=WEEK))
    _close(history, WEEK)
    assert history.last_good("code_review", "m", WEEK_BEFORE) == (None, ())


def test_a_damaged_week_is_told_and_is_no_baseline(history: History, store: ArtifactStore) -> None:
    store.objects.replace(keys.eval_week("app", "code_review", "m", WEEK_BEFORE), b'{"format": 1, "run"')
    with pytest.raises(MaestroError, match="cannot be read"):
        history.get("code_review", "m", WEEK_BEFORE)
    assert history.last_good("code_review", "m", WEEK) == (
        None,
        (f"the week {WEEK_BEFORE} is damaged and was passed over",),
    )


def test_a_model_that_was_not_run_is_named(history: History) -> None:
    history.put(run_of())
    report, missing = close_week(history, "code_review", WEEK, ["m", "other"], {})
    assert [one.run.model for one in report.models] == ["m"]
    assert missing == ("other",)


def test_weeks_begin_on_mondays() -> None:
    assert week_of(date(2026, 11, 22)) == "2026-11-16"
    assert checked_week("2026-11-16") == "2026-11-16"


@pytest.mark.parametrize(("text", "said"), [("2026-11-17", "2026-11-17 is no Monday"), ("now", "'now' is no date")])
def test_what_is_no_week_is_told(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        checked_week(text)

"""A report says what is known and what is not, and nothing a model wrote becomes part of the page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from maestro.evals.comparing import compare
from maestro.evals.render_html import to_html
from maestro.evals.report import WeekReport, rows, week_report
from maestro.evals.results import ModelRun
from maestro.evals.running import OWN_RUNNER, begin, run_cases
from maestro.evals.weights import propose
from tests.unit.eval_models import ScriptedModels, right
from tests.unit.eval_runs import WEEK, WEEK_BEFORE, evaluation, run_of

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 7 }} \u202e"


def _report(run: ModelRun, before: ModelRun | None = None) -> WeekReport:
    compared = compare({run.model: (run, before)})
    weights = propose([run], compared, {})
    return week_report("code_review", WEEK, [run], compared, {run.model: before}, weights)


def _evil_run() -> ModelRun:
    models = ScriptedModels(lambda case: EVIL if case.id.startswith("py-") else right(case))
    return run_cases(begin(evaluation(), models, runner=OWN_RUNNER))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Page()
    parser.feed(page)
    return parser.tags


def test_answers_of_models_are_text_and_nothing_else() -> None:
    page = to_html(_report(_evil_run(), run_of(week=WEEK_BEFORE)))
    names = {tag for tag, _attributes in _tags(page)}
    assert not names & {"script", "img", "iframe", "object", "link", "form", "base"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page


def test_names_of_models_are_escaped() -> None:
    page = to_html(_report(run_of("<b>m</b>")))
    assert "&lt;b&gt;m&lt;/b&gt;" in page
    assert "<b>" not in page


def test_the_page_needs_nothing_else_and_may_fetch_nothing() -> None:
    page = to_html(_report(run_of()))
    assert not re.search(r"https?://|url\(|@import|src=", page)
    policy = next(attributes["content"] for tag, attributes in _tags(page) if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'none'")


def test_the_page_has_a_language_a_title_and_headed_tables() -> None:
    tags = _tags(to_html(_report(run_of(), run_of(week=WEEK_BEFORE))))
    assert ("html", {"lang": "en"}) in tags
    assert any(tag == "title" for tag, _attributes in tags)
    heads = [attributes for tag, attributes in tags if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)


def test_a_state_is_said_in_words_and_not_in_colour_alone() -> None:
    page = to_html(_report(run_of(fails=lambda number: number < 10), run_of(week=WEEK_BEFORE)))
    assert '<span class="state regression">worse</span>' in page
    assert "It became worse: 70 of 80 cases pass" in page


def test_a_partial_run_is_labelled_wherever_it_is_named() -> None:
    partial = run_of().model_copy(update={"state": "partial", "problem": "the budget is used up"})
    report = _report(partial, run_of(week=WEEK_BEFORE))
    page = to_html(report)
    assert "m (partial)" in page
    assert "Partial: the budget is used up." in page
    assert report.headline == "partial, not compared: m"
    assert rows(report)[0]["state"] == "partial, not compared"


def test_the_report_says_how_small_a_drop_it_can_see() -> None:
    page = to_html(_report(run_of(), run_of(week=WEEK_BEFORE)))
    assert re.search(r"The smallest drop that is noticed four times in five is \d+ percentage points", page)


def test_an_offline_run_is_labelled() -> None:
    page = to_html(_report(run_of().model_copy(update={"offline": True})))
    assert "m (offline: no model)" in page


def test_the_json_has_both_answers_of_a_case_that_changed() -> None:
    said = json.loads(_report(_evil_run(), run_of(week=WEEK_BEFORE)).encoded())
    changed = said["models"][0]["changed"]
    assert said["state"] == "regression"
    assert len(changed) == 29
    assert changed[0]["now"]["answer"] == EVIL
    assert changed[0]["then"]["passed"] is True


def test_the_same_runs_give_the_same_report() -> None:
    run, before = run_of(), run_of(week=WEEK_BEFORE)
    assert _report(run, before).encoded() == _report(run, before).encoded()
    assert to_html(_report(run, before)) == to_html(_report(run, before))


def test_the_gravest_state_is_the_weeks() -> None:
    worse, new = run_of("a", fails=lambda number: number < 20), run_of("b")
    before = run_of("a", WEEK_BEFORE)
    compared = compare({"a": (worse, before), "b": (new, None)})
    report = week_report("code_review", WEEK, [new, worse], compared, {"a": before})
    assert report.state == "regression"
    assert report.headline == "worse: a; nothing to compare with: b"


def test_a_week_without_models_has_a_report_too() -> None:
    report = week_report("code_review", WEEK, [], {}, {})
    assert report.state is None
    assert "No model was evaluated." in to_html(report)

"""Answers are read leniently in their form and strictly in what they say; scores follow from that alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.evals.cases import Case
from maestro.evals.findings import read_findings
from maestro.evals.scoring import score
from tests.unit.eval_models import builtin, right


def _case(name: str) -> Case:
    return next(case for case in builtin().cases if case.id == name)


@pytest.mark.parametrize(
    "text",
    [
        '[{"file": "app/x.py", "line": 12, "message": "bad"}]',
        '```json\n[{"path": "b/app/x.py", "line_number": "12"}]\n```',
        'Here it is [1]:\n{"findings": [{"filename": "./app/x.py", "start_line": 12}]}',
        '{"file": "app/x.py:12", "message": "bad"}',
        '[{"file": "app/x.py", "line": "12-14"}]',
        "- `app/x.py:12`: bad",
        "**app/x.py**, line 12: bad",
        "In app/x.py (line 12) something is bad.",
        "see app/x.py#L12",
        "app/x.py: line 12 is bad",
    ],
)
def test_a_finding_is_read_in_many_forms(text: str) -> None:
    found = read_findings(text).found
    assert [(one.file, one.line) for one in found] == [("app/x.py", 12)]


@pytest.mark.parametrize("text", ["[]", "```json\n[]\n```", '{"findings": []}'])
def test_an_empty_list_says_that_there_is_nothing(text: str) -> None:
    assert read_findings(text).form == "json"
    assert read_findings(text).found == ()


@pytest.mark.parametrize(
    "text", ["No issues found.", "LGTM", "I did not find any problem.", "None.", "Looks good to me"]
)
def test_words_may_say_that_there_is_nothing(text: str) -> None:
    assert read_findings(text).form == "none_said"


@pytest.mark.parametrize("text", ["", "Sure, here is the review:", "at 12:30 it broke", "[1, 2]", '[{"file": ', "3:4"])
def test_what_names_nothing_and_does_not_say_so_is_no_answer(text: str) -> None:
    assert read_findings(text).form == "unreadable"


@given(st.text(max_size=300) | st.text(alphabet='[]{}":,1a/.\n ', max_size=300))
def test_no_text_makes_reading_fail(text: str) -> None:
    read_findings(text)


def test_deep_and_long_answers_are_read_without_harm() -> None:
    assert read_findings("[" * 100_000).form == "unreadable"
    assert len(read_findings("\n".join(f"a.py:{number}" for number in range(1, 5000))).found) <= 200


def test_every_right_answer_passes() -> None:
    assert all(score(case, right(case)).passed for case in builtin().cases)


@pytest.mark.parametrize(("away", "found"), [(-3, False), (-2, True), (2, True), (3, False)])
def test_a_defect_is_found_within_two_lines(away: int, found: bool) -> None:
    case = _case("py-page-window")
    line = case.defects[0].line + away
    assert score(case, json.dumps([{"file": "shop/listing.py", "line": line}])).found is found


@pytest.mark.parametrize(
    ("file", "found"), [("listing.py", True), ("web/shop/listing.py", True), ("sting.py", False), ("other.py", False)]
)
def test_the_file_must_be_the_right_one(file: str, found: bool) -> None:
    case = _case("py-page-window")
    assert score(case, json.dumps([{"file": file, "line": case.defects[0].line}])).found is found


def test_naming_every_line_does_not_find_the_defect() -> None:
    case = _case("py-dict-changes")
    said = score(case, json.dumps([{"file": "cache/memory.py", "line": number} for number in range(1, 60)]))
    assert not said.passed
    assert said.false_alarms > 50


def test_a_finding_without_a_line_finds_nothing() -> None:
    case = _case("py-page-window")
    assert not score(case, '[{"file": "shop/listing.py"}]').passed


def test_a_clean_case_passes_only_when_it_is_left_in_peace() -> None:
    case = _case("clean-py-page")
    assert score(case, "[]").passed
    assert not score(case, '[{"file": "shop/reviews.py", "line": 36}]').passed


def test_silence_and_babble_do_not_pass_a_clean_case() -> None:
    case = _case("clean-py-page")
    assert not score(case, "").passed
    assert not score(case, "The change adds paging.").passed

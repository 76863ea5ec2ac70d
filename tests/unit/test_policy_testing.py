"""Running the tests of policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.policy import PolicyError
from maestro.policy.testing import run_tests

RULES = "package maestro.a\n\nok if input.x == 1\n\nother if input.y == 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.rego").write_text(RULES)
    return tmp_path


def write_tests(folder: Path, text: str) -> None:
    (folder / "a_test.rego").write_text(f"package maestro.a_test\n\n{text}\n")


def test_a_test_passes_when_it_is_true_and_only_then(folder: Path) -> None:
    write_tests(
        folder,
        'test_true if data.maestro.a.ok with input as {"x": 1}\n'
        'test_undefined if data.maestro.a.ok with input as {"x": 2}\n'
        "test_false := false\n"
        "test_seven := 7\n"
        'test_failing if to_number("x") == 1\n'
        "todo_test_later if false\n",
    )
    states = {one.name.rpartition(".")[2]: one.state for one in run_tests(folder).results}
    assert states == {
        "test_true": "passed",
        "test_undefined": "failed",
        "test_false": "failed",
        "test_seven": "failed",
        "test_failing": "error",
        "todo_test_later": "todo",
    }
    assert not run_tests(folder).passed


def test_lines_that_no_test_has_reached_are_named(folder: Path) -> None:
    write_tests(folder, 'test_true if data.maestro.a.ok with input as {"x": 1}')
    report = run_tests(folder)
    assert report.passed
    assert [(one.file, one.covered, one.not_covered) for one in report.coverage] == [("a.rego", (3,), (5,))]
    assert report.covered_percent == 50


def test_one_test_says_nothing_of_another(folder: Path) -> None:
    write_tests(
        folder,
        'test_one if data.maestro.a.ok with input as {"x": 1}\ntest_two if not data.maestro.a.ok with input as {"x": 2}',
    )
    assert run_tests(folder).passed


def test_tests_can_be_chosen_by_name(folder: Path) -> None:
    write_tests(folder, "test_one if true\ntest_two if true")
    assert [one.name for one in run_tests(folder, only="two$").results] == ["maestro.a_test.test_two"]


def test_a_folder_without_a_test_has_not_passed(folder: Path) -> None:
    assert not run_tests(folder).passed


def test_a_test_that_cannot_be_used_is_told_with_its_place(folder: Path) -> None:
    write_tests(folder, "test_clock if time.now_ns() > 0")
    with pytest.raises(PolicyError, match=r"'time\.now_ns' is not a function"):
        run_tests(folder)


def test_what_is_no_regular_expression_is_refused(folder: Path) -> None:
    with pytest.raises(PolicyError, match="is no regular expression"):
        run_tests(folder, only="(")


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="there is no policy in"):
        run_tests(tmp_path)

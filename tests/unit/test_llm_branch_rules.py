"""Rules of routes about branches: where they hold, and what is left of them where nobody knows the branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maestro.llm.catalogue import Catalogue, Rule, load_catalogue
from maestro.llm.catalogue_problems import CatalogueErrors
from maestro.llm.judging import on_branch
from tests.unit.llm_world import ask, catalogue, reasons, sentence, written


def ruled(*rules: Rule, **route: Any) -> Catalogue:
    return catalogue(routes={"mine": {"candidates": ("big", "middle", "small"), "rules": rules, **route}})


@pytest.mark.parametrize(
    ("branch", "patterns", "holds"),
    [
        ("main", ("main",), True),
        ("maintenance", ("main",), False),
        ("Main", ("main",), False),
        ("release/1.2", ("main", "release/*"), True),
        ("topic", ("main", "release/*"), False),
        ("release/old/1", ("release/*", "!release/old/*"), False),
        ("release/old/1", ("!release/old/*", "release/*"), True),
        ("main", ("!main",), False),
        ("topic", ("!main",), True),
    ],
)
def test_of_several_patterns_the_last_that_matches_counts(branch: str, patterns: tuple[str, ...], holds: bool) -> None:
    assert on_branch(branch, patterns) is holds


def test_a_rule_holds_on_its_branches_and_on_no_other() -> None:
    known = ruled(Rule(branches=("release/*",), prefer=("small",), because="releases are dull"))
    assert ask("mine", known, branch="release/2").chosen == "small"
    assert ask("mine", known, branch="main").chosen == "big"


def test_where_the_branch_is_not_known_what_a_rule_denies_stays_denied() -> None:
    known = ruled(Rule(branches=("main",), deny=frozenset({"big"}), because="not for what is released"))
    assert ask("mine", known, branch="topic").chosen == "big"
    unknown = ask("mine", known)
    assert unknown.order == ("middle", "small")
    assert sentence(unknown, "big") == "not for what is released (the branch of the request is not known)"


def test_and_so_do_the_only_ones_and_the_regions_it_leaves() -> None:
    only = Rule(branches=("main",), only=frozenset({"small"}))
    assert ask("mine", ruled(only)).order == ("small",)
    regions = Rule(branches=("main",), regions=frozenset({"eu"}))
    assert reasons(ask("mine", ruled(regions)), "big") == ["region"]


def test_rules_that_leave_nothing_in_common_leave_nothing() -> None:
    one = Rule(branches=("main",), only=frozenset({"big"}))
    other = Rule(branches=("!main",), only=frozenset({"small"}))
    assert ask("mine", ruled(one, other), branch="main").order == ("big",)
    assert ask("mine", ruled(one, other), branch="topic").order == ("small",)
    assert ask("mine", ruled(one, other)).chosen is None


def test_where_the_branch_is_not_known_nothing_is_preferred_and_no_floor_is_lowered() -> None:
    known = ruled(Rule(branches=("topic/*",), prefer=("small",), min_quality=0.1), min_quality=0.6)
    assert ask("mine", known, branch="topic/1").order == ("small", "big", "middle")
    unknown = ask("mine", known)
    assert unknown.order == ("big", "middle")
    assert reasons(unknown, "small") == ["quality_floor"]


def test_but_a_floor_is_raised() -> None:
    known = ruled(Rule(branches=("main",), min_quality=0.8), min_quality=0.3)
    assert ask("mine", known, branch="topic").order == ("big", "middle", "small")
    assert ask("mine", known).order == ("big",)


def test_what_else_a_rule_asks_for_must_hold_all_the_same() -> None:
    known = ruled(Rule(branches=("main",), pull_request=False, deny=frozenset({"big"})))
    assert ask("mine", known).chosen == "big"


def test_a_file_names_them_under_when(tmp_path: Path) -> None:
    text = "routes: {r: {candidates: [offline], rules: [{when: {branches: [main, '!x/*']}, deny: [gpt-4o]}]}}"
    [rule] = load_catalogue([written(tmp_path, text)]).routes["r"].rules
    assert rule.branches == ("main", "!x/*")


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("branch: main", "unknown key 'branch' in route r ('rules', entry 1, 'when'); did you mean 'branches'?"),
        ("branches: main", "'branches' must be a list, not 'main'"),
        ("branches: []", "'branches' must have at least 1 entries"),
        ("branches: ['']", "'branches' must be names of branches, which may have * in them and one ! before them"),
        ("branches: ['!']", "'branches' must be names of branches, which may have * in them and one ! before them"),
    ],
)
def test_a_condition_that_would_never_hold_is_refused(tmp_path: Path, when: str, said: str) -> None:
    text = f"routes: {{r: {{candidates: [offline], rules: [{{when: {{{when}}}, deny: [gpt-4o]}}]}}}}"
    with pytest.raises(CatalogueErrors) as raised:
        load_catalogue([written(tmp_path, text)])
    assert said in str(raised.value)

"""Patterns over branches, tags and files: GitHub's own examples, and a plain reference to compare with."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.workflow.patterns import Pattern, check_name, check_path, selected

GITHUBS = [
    ("feature/*", ["feature/my-branch", "feature/your-branch"], ["feature/beta-a/my-branch", "feature"]),
    ("feature/**", ["feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"], ["features/a"]),
    ("main", ["main"], ["Main", "main2", "a/main"]),
    ("*", ["main", "releases"], ["all/the/branches"]),
    ("**", ["all/the/branches", "every/tag", "a"], []),
    ("*feature", ["mona-feature", "feature", "ver-10-feature"], ["feature-1", "a/feature"]),
    ("v2*", ["v2", "v2.0", "v2.9"], ["v3", "v2/a"]),
    ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"], ["v3.0.0", "v1..1", "v1.10"]),
    ("*.jsx?", ["page.js", "page.jsx"], ["page.jsxx", "a/page.js"]),
    ("*.js", ["app.js", "index.js"], ["js/index.js"]),
    ("**.js", ["index.js", "js/index.js", "src/js/app.js"], ["index.jsx"]),
    ("docs/*", ["docs/README.md", "docs/file.txt"], ["docs/a/b.md"]),
    ("docs/**", ["docs/README.md", "docs/mona/octocat.txt"], ["src/docs/a"]),
    ("docs/**/*.md", ["docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"], ["docs/a.txt"]),
    ("**/docs/**", ["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"], ["adocs/hello.md"]),
    ("**/README.md", ["README.md", "js/README.md"], ["NOREADME.md"]),
    ("**/*src/**", ["a/src/app.js", "my-src/code/js/app.js"], ["src.js"]),
    ("**/*-post.md", ["my-post.md", "path/their-post.md"], ["post.md"]),
    ("**/migrate-*.sql", ["migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"], ["migrate-a/b.sql"]),
    ("[CB]at", ["Cat", "Bat"], ["cat", "CBat"]),
    ("[1-2]00", ["100", "200"], ["300", "00"]),
    ("Octo*", ["Octocat", "Octo"], ["octo"]),
    (r"\*\[x\]\!", ["*[x]!"], ["a[x]!"]),
    ("a.b", ["a.b"], ["axb"]),
    ("größe/*", ["größe/µ"], ["grösse/m"]),
]


@pytest.mark.parametrize(("pattern", "matching", "others"), GITHUBS)
def test_patterns_match_what_github_says_they_match(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [name for name in matching if not selected([pattern], name)] == []
    assert [name for name in others if selected([pattern], name)] == []


@pytest.mark.parametrize(
    ("patterns", "selection", "others"),
    [
        (["*.md", "!README.md"], ["hello.md"], ["README.md", "docs/hello.md"]),
        (["*.md", "!README.md", "README*"], ["hello.md", "README.md", "README.doc"], ["docs/hello.md"]),
        (["releases/**", "!releases/**-alpha"], ["releases/10", "releases/beta/mona"], ["releases/10-alpha", "main"]),
        (["!main", "main"], ["main"], ["x"]),
        ([r"\!main"], ["!main"], ["main"]),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: list[str], selection: list[str], others: list[str]) -> None:
    assert [name for name in selection if not selected(patterns, name)] == []
    assert [name for name in others if selected(patterns, name)] == []


def as_regular_expression(pattern: str) -> str:
    """The same pattern for Python's own machine; fine for short ones."""
    return re.sub(r"(?:(?<=/)|^)\*\*/|\*\*|\*|[^*]", _translated, pattern)


def _translated(part: re.Match[str]) -> str:
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+", "[": "[", "]": "]", "-": "-"}
    return words.get(part.group()) or re.escape(part.group())


PIECES = st.sampled_from(["a", "b", ".", "/", "*", "**", "**/", "/**/", "a?", "b+", "[ab]", "[ab]?", "[a-b]+"])
PATTERNS = st.lists(PIECES, max_size=6).map("".join).filter(lambda text: "***" not in text)


@given(PATTERNS, st.lists(st.text("ab./", max_size=8), min_size=1, max_size=8))
def test_patterns_agree_with_a_regular_expression(pattern: str, names: list[str]) -> None:
    expression = re.compile(as_regular_expression(pattern))
    automaton = Pattern(pattern)
    for name in names:
        assert automaton.matches(name) == bool(expression.fullmatch(name)), name


@given(st.lists(st.tuples(st.booleans(), PATTERNS.filter(bool)), min_size=1, max_size=5), st.text("ab./", max_size=6))
def test_negation_is_taken_in_order(patterns: list[tuple[bool, str]], name: str) -> None:
    expected = False
    for negative, text in patterns:
        if Pattern(text).matches(name):
            expected = not negative
    assert selected([f"{'!' * negative}{text}" for negative, text in patterns], name) == expected


def test_a_pattern_that_a_regular_expression_would_never_finish_is_answered() -> None:
    assert not selected(["a?" * 100 + "a" * 50 + "b"], "a" * 4000)
    assert not selected(["**a" * 80 + "b"], "a" * 4000)


def test_a_million_different_characters_do_not_fill_the_memory() -> None:
    pattern = Pattern("**x")
    assert not pattern.matches("".join(map(chr, range(0x100, 0xD000))))
    assert len(pattern._moves) <= 20_000


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("a[b", "'[' has no ']' after it"),
        ("[]", "'[]' names no character"),
        ("[!a]", "a set cannot be turned round with '!'"),
        ("[^a]", "a set cannot be turned round with '^'"),
        ("[z-a]", "'z-a' is no range; a range goes from a to z, A to Z or 0 to 9"),
        ("[a-Z]", "'a-Z' is no range"),
        ("[a/b]", "'/' cannot stand in a set"),
        ("?a", "'?' repeats the character before it, and there is none"),
        ("*+", "'+' repeats the character before it, and there is none"),
        ("a?+", "'+' repeats the character before it, and there is none"),
        ("a\\", "'\\' has no character after it"),
        ("src/{a,b}", "'{' has no meaning here; write one pattern for each alternative"),
        ("!", "'!' has no pattern after it"),
        ("a" * 256, "it has more than 255 characters"),
    ],
)
def test_a_bad_pattern_says_what_is_wrong_with_it(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match="the pattern '") as caught:
        check_name(pattern)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("/src/**", "paths start at the repository's root, without '/' or './'"),
        ("!./src", "paths start at the repository's root"),
        ("docs/", "it would match no file; write 'docs/**' for everything under it"),
    ],
)
def test_a_path_that_can_match_nothing_is_refused(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match="is wrong") as caught:
        check_path(pattern)
    assert problem in str(caught.value)


@pytest.mark.parametrize("prefix", ["refs/heads/", "refs/tags/"])
def test_a_full_ref_in_place_of_a_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=f"write the bare name, without '{prefix}'"):
        check_name(f"{prefix}main")


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_has_a_reason(text: str) -> None:
    for check in (check_name, check_path):
        try:
            selected([check(text)], "main")
        except ValueError as error:
            assert str(error).startswith("the pattern '")

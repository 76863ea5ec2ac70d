"""Foreign text in a report does nothing but be read; what is too long is shortened between its parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from maestro.reporting.markdown import Part, block, cell, code, duration, fitted, head, printable, row

ATTACKS = (
    "@octocat and @acme/admins",
    "[click](https://evil.example) ![](https://evil.example/x.png)",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</code></td></table></details>",
    "` ends it @octocat",
    "``` ends it @octocat",
    "`` ` ``",
    "`",
    "```",
    "\\",
    "a \\` b",
    "one | two \\| three",
    "line one\n\n# heading\n\n- item",
    "line\r\n---\r\n",
    "<!-- maestro:0000 -->",
    "&lt;b&gt; &#64;octocat",
    "#12 acme/shop#12 https://evil.example www.evil.example",
    "\u202eturned around\u2066",
    "\x1b[31mred\x00",
    "$x$ ~~y~~ **z** __w__",
)


def inline(markdown: str) -> list[Token]:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    return [child for token in tokens if token.type == "inline" for child in token.children or ()]


@pytest.mark.parametrize("text", ATTACKS)
def test_foreign_text_is_one_code_span_wherever_it_stands(text: str) -> None:
    for markdown in (f"why: {code(text)}.", f"- {code(text)}"):
        kinds = [token.type for token in inline(markdown) if token.type != "text"]
        assert kinds == ["code_inline"]


@pytest.mark.parametrize("text", ATTACKS)
def test_foreign_text_is_one_cell_of_a_table(text: str) -> None:
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse("\n".join([*head(("Step", "Why")), row((cell(text), "own"))]))
    )
    cells = [one for number, one in enumerate(tokens) if tokens[number - 1].type == "td_open"]
    assert [[child.type for child in one.children or ()] for one in cells] == [["code_inline"], ["text"]]


@given(st.text(max_size=80))
def test_no_text_at_all_leaves_its_code_span(text: str) -> None:
    expected = ["code_inline"] if printable(text) else []
    assert [token.type for token in inline(f"x {code(text)}") if token.type != "text"] == expected
    if expected:
        (span,) = [token for token in inline(f"x {code(text)}") if token.type == "code_inline"]
        assert span.content == printable(text)


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=40), max_size=6))
def test_no_text_at_all_leaves_its_block(lines: list[str]) -> None:
    made = "\n".join([*block("\n".join(lines)), "after"])
    kinds = [token.type for token in MarkdownIt("commonmark").parse(made)]
    assert kinds == ["fence", "paragraph_open", "inline", "paragraph_close"]


def test_long_text_is_cut_to_what_is_allowed() -> None:
    assert printable("x" * 500, 140) == "x" * 139 + "…"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0.04, "0.0 s"), (59.9, "59.9 s"), (59.96, "1 min 0 s"), (185.2, "3 min 5 s"), (7500, "2 h 5 min")],
)
def test_a_duration_is_in_units_people_use(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_rows_that_do_not_fit_are_counted() -> None:
    rows = tuple(f"- {number} {'x' * 100}" for number in range(2_000))
    text = fitted([Part(("head", ""), rows, folded="many"), Part(("last",))], 5_000)
    assert len(text) <= 5_000
    shown = text.count("\n- ")
    assert f"… and {2_000 - shown:,} more." in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_a_part_without_room_is_left_out_whole() -> None:
    text = fitted([Part(("first",)), Part(("```", "y" * 100, "```")), Part(("third",))], 60)
    assert text == "first\n\nthird\n"


@given(st.integers(0, 400), st.lists(st.integers(0, 80), max_size=12), st.booleans())
def test_the_limit_is_never_passed(limit: int, sizes: list[int], folded: bool) -> None:
    parts = [Part(("head",), tuple("z" * size for size in sizes), ("end",), "f" if folded else None)] * 3
    assert len(fitted(parts, limit)) <= max(limit, 1)

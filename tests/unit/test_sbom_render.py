"""A comparison as people see it; names in it may be hostile."""

from __future__ import annotations

import html.parser
import io
import json
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from maestro.sbom.comparison import Comparison, Described, compare_revisions, headline
from maestro.sbom.model import Component, Sbom
from maestro.sbom.render_html import to_html
from maestro.sbom.render_json import to_json
from maestro.sbom.render_markdown import to_markdown
from maestro.sbom.render_terminal import to_terminal

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "`code` | cell | more",
    "`` ` ``` end`",
    "[link](https://evil.example) ![image](x)",
    "@everyone #1 GH-2 https://evil.example www.evil.example",
    "line\nbreak\r\n\n</details># Heading",
    "\\| escape \\` \\",
    "{{ 7*7 }} {% raw %} [bold]x[/bold]",
    "\x1b[31mred\x1b[0m\x07 ‮over",
    "&lt;b&gt; &amp;",
]


def part(name: str, version: str = "1.0", licenses: str | None = "MIT") -> Component:
    return Component(None, name, version, licenses)


def compared(old: list[Component], new: list[Component], **reports: Any) -> Comparison:
    def side(name: str, components: list[Component]) -> tuple[str, list[Described]]:
        return name, [Described("app", Sbom("CycloneDX", "1.6", None, tuple(components)), reports.get(name))]

    return compare_revisions(side("before", old), side("after", new))


def hostile() -> Comparison:
    return compared([], [part(name, name, name) for name in HOSTILE])


def terminal(comparison: Comparison) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=False)
    for one in to_terminal(comparison):
        console.print(one)
    return out.getvalue()


class Tags(html.parser.HTMLParser):
    """Collects the tags, attributes and texts a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.declared = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "td":
            self.cells.append("")
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.declared = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_the_headline_counts_everything() -> None:
    comparison = compared(
        [part("gone"), part("up"), part("down", "2.0"), part("lic")],
        [part("new"), part("up", "1.1"), part("down"), part("lic", "1.0", "ISC")],
        before={"state": "clean", "findings": []},
        after={"state": "findings", "findings": [{"id": "CVE-1", "package": "up", "severity": "critical"}]},
    )
    assert headline(comparison.subjects[0]) == (
        "1 added, 1 removed, 2 changed (1 up, 1 down); 1 under another licence; "
        "vulnerabilities: 1 new (1 critical), 0 gone, 0 still there"
    )


def test_a_side_without_a_report_is_said_and_not_taken_for_clean() -> None:
    comparison = compared([part("a")], [part("a")], after={"state": "clean", "findings": []})
    for shown in (to_markdown(comparison), to_html(comparison), terminal(comparison)):
        assert "vulnerabilities not known (before: there is no report)" in shown


def test_every_form_shows_every_change() -> None:
    comparison = compared([part("goes"), part("grows")], [part("comes"), part("grows", "7.7", "ISC")])
    for shown in (to_markdown(comparison), to_html(comparison), terminal(comparison), json.dumps(to_json(comparison))):
        for word in ("goes", "comes", "grows", "7.7", "ISC"):
            assert word in shown


def test_the_page_shows_hostile_names_as_text_and_runs_nothing() -> None:
    seen = Tags()
    page = to_html(hostile())
    seen.feed(page)
    assert seen.tags <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "code", "section",
        "details", "summary", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert not {name for name in seen.attributes if name.startswith("on")} | (seen.attributes & {"href", "src"})
    shown = {re.sub(r"\s+", " ", cell).strip() for cell in seen.cells}
    assert {re.sub(r"\s+", " ", name).strip() for name in HOSTILE} <= shown


def test_the_page_forbids_scripts_and_everything_from_outside() -> None:
    seen = Tags()
    seen.feed(to_html(hostile()))
    policy = {one.split()[0]: one.split()[1] for one in seen.declared.split("; ")}
    assert policy["default-src"] == policy["script-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["style-src"].startswith("'sha256-")


def test_markdown_shows_hostile_names_as_code_and_nothing_else() -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(to_markdown(hostile()))
    rows = sum(token.type == "tr_open" for token in tokens)
    # Two tables with a head each: eleven components, eleven licences.
    assert rows == 2 + 2 * len(HOSTILE)
    cells = [token for token in tokens if token.type == "inline" and token.level >= 4]
    for cell in cells:
        assert {child.type for child in cell.children or ()} <= {"code_inline", "text"}
    shown = {child.content for cell in cells for child in cell.children or () if child.type == "code_inline"}
    # A bar and a backslash would work in a table even within code, so they are shown as what looks like them.
    spaced = (re.sub(r"[^\S ]|[\x00-\x1f\u202e]", " ", name).strip() for name in HOSTILE)
    assert {name.replace("|", "¦").replace("\\", "/") for name in spaced} <= shown
    blocks = {token.content.strip().split(">")[0] for token in tokens if token.type == "html_block"}
    assert blocks <= {"<details", "</details"}
    assert sum(token.type == "heading_open" for token in tokens) == 1


def test_markdown_fits_into_a_comment_and_says_what_it_leaves_out() -> None:
    many = [part(f"part-{number}-{'x' * 50}") for number in range(5000)]
    shown = to_markdown(compared([], many))
    assert 50_000 < len(shown) <= 60_000
    hidden = re.search(r"… and ([\d,]+) more", shown)
    assert hidden is not None
    assert shown.count("| `part-") + int(hidden[1].replace(",", "")) == 5000
    assert shown.count("<details>") == shown.count("</details>")
    assert len(to_markdown(compared([], many), limit=2000)) <= 2000


def test_the_terminal_shows_no_control_characters_and_no_markup_of_names() -> None:
    shown = terminal(hostile())
    assert not [one for one in shown if not one.isprintable() and one != "\n"]
    assert "[bold]x[/bold]" in shown


def test_the_terminal_shows_two_hundred_rows_of_a_table_and_counts_the_rest() -> None:
    assert "and 50 more; --format json shows all" in terminal(compared([], [part(f"p{n}") for n in range(250)]))


def test_subjects_are_matched_by_name_and_a_single_one_whatever_its_name() -> None:
    def described(*names: str) -> list[Described]:
        return [Described(name, Sbom("CycloneDX", "1.6", None, (part("a"),))) for name in names]

    single = compare_revisions(("x", described("old")), ("y", described("new")))
    assert [(one.name, one.only, one.components.is_empty) for one in single.subjects] == [("new", None, True)]
    several = compare_revisions(("x", described("image", "old")), ("y", described("wheel", "image")))
    assert [(one.name, one.only) for one in several.subjects] == [
        ("image", None),
        ("old", "before"),
        ("wheel", "after"),
    ]


@pytest.mark.parametrize("form", [to_markdown, to_html, terminal])
def test_nothing_to_compare_is_said(form: Any) -> None:
    assert "either has a bill of materials" in form(Comparison("a", "b", ()))

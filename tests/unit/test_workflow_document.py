"""What the YAML of a workflow file may be, and what a person sees when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.errors import InputError, Location
from maestro.workflow.load import load_workflow
from maestro.workflow.problems import WorkflowErrors
from maestro.workflow.yaml_reader import parse
from tests.unit.workflow_kinds import REGISTRY, first_lines, problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("~", None),
        ("", None),
        ("12", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("0644", 644),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1.0.0", "1.0.0"),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("2026-01-01", "2026-01-01"),
        ("'12'", "12"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = parse(f"key: {text}\n".encode(), file="f").root.data()["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_always_text() -> None:
    assert parse(b"on: 1\n1: 2\ntrue: 3\n", file="f").root.data() == {"on": 1, "1": 2, "true": 3}


def test_every_value_and_key_knows_its_place_in_characters() -> None:
    document = parse("a:\n  - ünï: {b: 1}\n".encode(), file="f")
    assert document.location(("a", 0, "ünï", "b")) == Location("f", 2, 14)
    assert document.location(("a", 0, "ünï"), key=True) == Location("f", 2, 5)
    assert document.location(("a", 0, "missing")) == Location("f", 2, 5)


def test_a_byte_order_mark_and_windows_line_ends_do_not_move_places() -> None:
    document = parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", file="f")
    assert document.root.data() == {"a": 1, "b": 2}
    assert document.location(("b",)) == Location("f", 2, 4)


def test_merge_keys_give_what_is_not_given_itself() -> None:
    text = b"a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {<<: *b}\n"
    data = parse(text, file="f").root.data()
    assert data["c"] == {"x": 3, "y": 1, "z": 2}
    assert data["d"] == {"y": 2, "z": 2}


def test_two_uses_of_an_alias_are_separate_data() -> None:
    data = parse(b"a: &a {x: 1}\nb: *a\n", file="f").root.data()
    data["a"]["x"] = 2
    assert data["b"] == {"x": 1}


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
DEEP_ALIASES = "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*a" + "]" * 30 + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n", "1:1: the file holds a list; a workflow is a mapping"),
        (b"just text\n", "1:1: the file holds the text 'just text'; a workflow is a mapping"),
        (b"a: 1\nb: \xff\n", "2:4: the file is not UTF-8: byte 0xff"),
        ("a: ä\nüü: ".encode() + b"\xc3(", "2:5: the file is not UTF-8: byte 0xc3"),
        ("a: 1\n".encode("utf-16"), "1:1: the file is not UTF-8: byte 0xff"),
        (b"a: 1\nb: x\x00y\n", "2:5: the control character U+0000 is not allowed in a workflow file"),
        (b"a:\n\tb: 1\n", "2:1: a tab is used as indentation; YAML takes only spaces"),
        (b"a: !!python/object:os.system {}\n", "1:4: the tag '!!python/object:os.system' is not allowed"),
        (b"a: !!python/object/apply:os.system ['id']\n", "1:4: the tag '!!python/object/apply:os.system' is not"),
        (b"a: !secret x\n", "1:4: the tag '!secret' is not allowed"),
        (b"a: !!int 3\n", "1:4: the tag '!!int' is not allowed"),
        (b"a: 1\nb: 2\na: 3\n", "3:1: the key 'a' is given twice; first at line 1, column 1"),
        (b"a: 1\n---\nb: 2\n", "2:1: the file has a second document ('---')"),
        (b"a: .nan\n", "1:4: '.nan' is not a finite number"),
        (b"a: -.inf\n", "1:4: '-.inf' is not a finite number"),
        (b"a: 1e999\n", "1:4: '1e999' is too large a number"),
        (b"a: " + b"9" * 5000 + b"\n", "1:4: '9999999999999999999999999999999999999999' is too large a number"),
        (b"a: *b\n", "1:4: the alias '*b' has no anchor before it"),
        (b"a: &a [*a]\n", "1:8: the alias '*a' stands inside its own anchor"),
        (b"a: {<<: 3}\n", "1:9: '<<' merges mappings, found the number 3"),
        (b"? [a]\n: 1\n", "1:3: a key must be text"),
        (b"a: {{ git.sha }}\n", "1:4: an expression must stand in quotes"),
        (b"a: 'x\n", "not YAML: found unexpected end of stream while scanning a quoted scalar"),
        (b"a: [1\nb: 2\n", "not YAML: did not find expected ',' or ']' while parsing a flow sequence"),
        (BOMB.encode(), "the aliases of this file stand for more than 20,000 values"),
        (b"a: " + b"[" * 60, "1:53: nested deeper than 50 levels"),
        (b"[" * 100_000, "1:51: nested deeper than 50 levels"),
        (DEEP_ALIASES.encode(), "nested deeper than 50 levels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: bytes, message: str) -> None:
    assert any(message in found for found in first_lines(text)), first_lines(text)


def test_a_problem_shows_the_line_a_caret_and_what_is_allowed() -> None:
    assert problems(b"a: 1\nb: !!python/none x\n")[0].splitlines() == [
        "maestro.yaml:2:4: the tag '!!python/none' is not allowed; a workflow file holds plain values only",
        "  | b: !!python/none x",
        "  |    ^",
    ]
    assert problems(b"a:\n\tb: 1\n")[0].splitlines()[1:] == ["  |  b: 1", "  | ^", "  allowed: spaces"]


def test_a_very_long_line_is_shown_around_the_caret() -> None:
    shown = problems(b"a: [" + b"x, " * 1000 + b"!no y]\n")[0].splitlines()
    assert len(shown[1]) < 200
    assert shown[1][shown[2].index("^")] == "!"


def test_a_file_of_50_mb_is_refused_by_its_size_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "maestro.yaml"
    with path.open("wb") as stream:
        stream.truncate(50 * 1024 * 1024)
    with pytest.raises(WorkflowErrors) as caught:
        load_workflow(path, registry=REGISTRY)
    assert str(caught.value) == f"{path}: the file has 50.0 MiB; a workflow file may have at most 1 MiB"


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(WorkflowErrors, match="at most 1 MiB"):
        load_workflow(Path("/dev/zero"), registry=REGISTRY)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_workflow(tmp_path / "maestro.yaml", registry=REGISTRY)
    assert "there is no workflow file here" in str(caught.value)
    assert "next: write one with 'maestro init'" in str(caught.value)


def test_a_folder_is_no_workflow_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is a folder, not a workflow file"):
        load_workflow(tmp_path, registry=REGISTRY)

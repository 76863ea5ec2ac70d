"""Tests of prompts: snapshots beside them, recorded answers, and what makes a test fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maestro.prompts import load_file, prompt_files
from maestro.prompts.comparison import compare
from maestro.prompts.load import BUILTIN, load_text
from maestro.prompts.schema import text as schema_text
from maestro.prompts.testing import Result, run_tests
from tests.unit.prompt_files import loaded, prompt_of, prompt_text

ROOT = Path(__file__).parents[2]
VARIABLES = "name: {type: string}"


def results(folder: Path, tests: str, template: str = "Hello {{ name }}", *, update: bool = False) -> list[Result]:
    return run_tests(prompt_of(template, VARIABLES, f"tests:\n{tests}\n", folder), update=update)


def fault(folder: Path, test: str) -> str:
    results(folder, test, update=True)
    (found,) = results(folder, test)
    assert found.state == "failed"
    return "\n".join(found.faults)


def test_snapshots_behind_a_link_are_neither_read_nor_written_nor_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "diary.txt").write_text("dear diary")
    folder = tmp_path / "prompts"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "snapshots" / "greet").symlink_to(elsewhere)
    for update in (False, True):
        found = results(folder, "- {name: a, variables: {name: Ada}}", update=update)
        assert [one.state for one in found] == ["failed", "failed"]
        assert all("leads out of the prompt's folder" in one.faults[0] for one in found)
    assert [(file.name, file.read_text()) for file in elsewhere.iterdir()] == [("diary.txt", "dear diary")]


def test_a_test_without_a_snapshot_fails_until_one_is_written(tmp_path: Path) -> None:
    test = "- {name: 'It greets, politely', variables: {name: Ada}}"
    (missing,) = results(tmp_path, test)
    assert "it has no snapshot (it-greets-politely.txt)" in missing.faults[0]
    assert [one.state for one in results(tmp_path, test, update=True)] == ["updated"]
    assert (tmp_path / "snapshots/greet/it-greets-politely.txt").read_text() == "--- user\nHello Ada\n"
    assert [one.state for one in results(tmp_path, test)] == ["passed"]


def test_a_message_that_changed_fails_with_the_difference(tmp_path: Path) -> None:
    test = "- {name: a, variables: {name: Ada}}"
    results(tmp_path, test, update=True)
    (found,) = results(tmp_path, test, "Good day {{ name }}")
    assert found.state == "failed"
    assert "-Hello Ada\n+Good day Ada" in found.faults[0]
    assert str(found.where) == "prompts/greet.yaml:13:10"


def test_a_snapshot_no_test_has_fails_and_is_removed_when_asked(tmp_path: Path) -> None:
    results(tmp_path, "- {name: a, variables: {name: x}}\n- {name: b, variables: {name: x}}", update=True)
    left = results(tmp_path, "- {name: a, variables: {name: x}}")
    assert [(one.test, one.state) for one in left] == [("a", "passed"), ("b.txt", "failed")]
    results(tmp_path, "- {name: a, variables: {name: x}}", update=True)
    assert [file.name for file in (tmp_path / "snapshots/greet").iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("variables: {name: x}, expect: {contains: [Bye]}", "the messages: it does not contain 'Bye'"),
        ("variables: {name: x}, expect: {not_contains: [Hello]}", "the messages: it contains 'Hello'"),
        ("variables: {name: x}, expect: {regex: ['^Hi']}", "'^Hi' is not found in it"),
        ("variables: {nmae: x}", "there is no variable 'nmae'"),
        ("variables: {name: x}, refused: missing", "it was to be refused with 'missing' and was rendered"),
        ("variables: {nmae: x}, refused: too large", "it was refused, but not with 'too large'"),
        ("files: {name: sample.txt}", "there is no file 'sample.txt' beside the prompt"),
        ("files: {name: ../sample.txt}", "the file '../sample.txt' leads out of the prompt's folder"),
        (
            "variables: {name: x}, answers: [{text: fine, expect: {json_schema: {type: object}}}]",
            "answer 1: it is not JSON: Expecting value at line 1, column 1",
        ),
        (
            "variables: {name: x}, answers: [{text: '{\"a\": 1}', expect: {json_schema: {required: [b]}}}]",
            'answer 1: it: "b" is a required property',
        ),
        (
            "variables: {name: x}, answers: [{text: fine, refused: true, expect: {contains: [fine]}}]",
            "answer 1 is a bad one, and everything expected holds of it",
        ),
    ],
)
def test_a_test_fails_in_words(rest: str, words: str, tmp_path: Path) -> None:
    assert words in fault(tmp_path, f"- {{name: a, {rest}}}")


def test_samples_and_answers_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "name.txt").write_text("Ada")
    (tmp_path / "answer.json").write_text('{"mood": "good"}')
    schema = "{json_schema: {properties: {mood: {enum: [good]}}}}"
    test = f"- {{name: a, files: {{name: name.txt}}, answers: [{{file: answer.json, expect: {schema}}}]}}"
    results(tmp_path, test, update=True)
    assert [one.state for one in results(tmp_path, test)] == ["passed"]


def test_a_sample_behind_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "secret").write_text("s3cr3t")
    (tmp_path / "prompts/link").symlink_to(tmp_path / "secret")
    assert "leads out of the prompt's folder" in fault(tmp_path / "prompts", "- {name: a, files: {name: link}}")


@pytest.mark.parametrize("name", prompt_files())
def test_the_tests_of_maestros_own_prompts_pass(name: str) -> None:
    prompt = load_file(BUILTIN / f"{name}.yaml")
    assert [(one.test, one.faults) for one in run_tests(prompt) if one.state != "passed"] == []


def test_a_change_without_a_new_version_is_noticed() -> None:
    old = prompt_text("Hello {{ name }}", VARIABLES)
    new = old.replace("Hello", "Good day")
    found = compare(loaded(old), loaded(new))
    assert found.verdict == "not_renumbered"
    assert [one.part for one in found.changes] == ["messages"]
    assert found.changes[0].lines[-2:] == ("-Hello {{ name }}", "+Good day {{ name }}")
    assert compare(loaded(old), loaded(new.replace("1.0.0", "1.1.0"))).verdict == "changed"
    assert compare(loaded(old), loaded(old.replace("1.0.0", "1.1.0"))).verdict == "renumbered"


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        ("variables", "type: string", "type: integer"),
        ("limits", "messages:", "limits: {temperature: 1}\nmessages:"),
        ("requires", "messages:", "requires: [code]\nmessages:"),
        ("policy", "messages:", "policy: {purpose: x}\nmessages:"),
        ("messages", "role: user", "role: system"),
    ],
)
def test_each_part_that_is_asked_counts(part: str, before: str, after: str) -> None:
    old = prompt_text("Hello", VARIABLES)
    found = compare(loaded(old), loaded(old.replace(before, after)))
    assert (found.verdict, [one.part for one in found.changes]) == ("not_renumbered", [part])
    assert found.old.digest != found.new.digest


def test_description_and_tests_may_change_under_one_version() -> None:
    old = prompt_text("Hello", VARIABLES)
    found = compare(loaded(old), loaded(old.replace("Says", "Writes") + "tests: [{name: a}]\n"))
    assert (found.verdict, [one.part for one in found.changes]) == ("same", ["description", "tests"])
    assert found.old.digest == found.new.digest


def test_the_editors_schema_is_fresh() -> None:
    stale = "run: python -m maestro.prompts.schema > editors/prompts.schema.json"
    assert (ROOT / "editors/prompts.schema.json").read_text() == schema_text(), stale


def test_the_editors_schema_takes_maestros_own_prompts_and_refuses_slips() -> None:
    import json

    import yaml
    from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # its stubs are no dependency of ours

    Draft7Validator.check_schema(json.loads(schema_text()))
    validator = Draft7Validator(json.loads(schema_text()))
    for name in prompt_files():
        assert list(validator.iter_errors(yaml.safe_load((BUILTIN / f"{name}.yaml").read_text()))) == []
    wrong = {
        "name": "Greet",
        "version": "one",
        "description": "x",
        "messages": [{"role": "admin", "content": "x"}],
        "a": 1,
    }
    assert {error.validator for error in validator.iter_errors(wrong)} == {"pattern", "enum", "additionalProperties"}


def test_the_prompt_in_the_documentation_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```yaml\n(name: .*?)^```$", (ROOT / "docs/prompts.md").read_text(), re.DOTALL | re.MULTILINE
    )
    prompt = load_text(example.encode(), file="prompts/greeting.yaml", folder=tmp_path, stem="greeting")
    run_tests(prompt, update=True)
    assert [one.state for one in run_tests(prompt)] == ["passed"]
    assert prompt.digest.startswith("sha256:043ab6ec776a")

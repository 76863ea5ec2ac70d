"""A prompt's file: what is wrong with it is said at its place, all at once, with the nearest name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.errors import InputError
from maestro.prompts import PromptErrors, load_file, load_prompt, prompt_files
from maestro.prompts.load import BUILTIN
from tests.unit.prompt_files import HEAD, loaded, prompt_of, prompt_text


def refused(text: str) -> str:
    with pytest.raises(PromptErrors) as caught:
        loaded(text)
    return str(caught.value)


def test_a_prompt_says_what_it_is_and_what_it_takes() -> None:
    prompt = prompt_of("Hello {{ name }}", "name: {type: string}", "requires: [code]\nlimits: {max_output_tokens: 9}")
    assert (prompt.name, prompt.version, prompt.variable_names) == ("greet", "1.0.0", ("name",))
    assert (prompt.requires, prompt.max_output_tokens, prompt.temperature) == ({"code"}, 9, None)


def test_a_version_like_a_number_is_text() -> None:
    assert loaded(prompt_text("x").replace("1.0.0", "1.10")).version == "1.10"


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    words = refused(
        "name: greeting\nversion: one\nmesages: []\nlimits: {temperature: 3}\nmessages: [{role: admin, content: x}]\n"
    )
    assert "prompts/greet.yaml:2:10: 'version' must be a version like 1, 1.2 or 1.2.3" in words
    assert "prompts/greet.yaml:3:1: unknown key 'mesages'" in words
    assert "'temperature' must be at most 2" in words
    assert "'role' must be 'system', 'user' or 'assistant'" in words
    assert "the key 'description' is missing" in words


def test_the_name_is_that_of_the_file() -> None:
    assert "the prompt is called 'other' and its file 'greet'" in refused(prompt_text("x").replace("greet", "other", 1))


def test_a_name_no_variable_has_is_told_with_the_line_of_the_template() -> None:
    words = refused(prompt_text("Hello\n  and {{ nmae }}", "name: {type: string}"))
    assert "prompts/greet.yaml:12:14: there is no variable 'nmae'" in words
    assert 'did you mean "name"?' in words


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ x | upcase }}", "there is no filter 'upcase'"),
        ("{{ 'a' is odder }}", "there is no test 'odder'"),
        ("{% if %}", "syntax error"),
        ("{% macro m() %}{% endmacro %}", "a prompt cannot use 'macro'"),
        ("{% include 'x' %}", "a prompt cannot use 'include'"),
        ("{% set x %}a{% endset %}", "a prompt cannot use '{% set %} … {% endset %}'"),
        ("{{ range(9) }}", "'range' cannot be called"),
        ("{{ x.format(1) }}", "'format' cannot be called"),
        ("{% for y in [x, x] %}{% endfor %}", "a list or mapping in a template holds plain values only"),
        ("{% set x = 1 %}", "'x' is a variable; a template cannot change it"),
        ("{% for y in x recursive %}{% endfor %}", "a loop cannot be recursive"),
        ("{{ self }}", "there is no variable 'self'"),
    ],
)
def test_what_a_template_cannot_use_is_refused_before_anything_runs(template: str, words: str) -> None:
    assert words in refused(prompt_text(template, "x: {type: string}"))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("variables: {properties: {a: {}}}", "it needs 'type: object'"),
        ("variables: {type: object, properties: {a: {type: strin}}}", "'type' is not JSON Schema"),
        ("variables: {type: object, properties: {a: 3}}", "'a' must be a JSON Schema, a mapping; found the number 3"),
        ("variables: {type: object, properties: {loop: {}}}", "'loop' cannot be the name of a variable"),
        ("variables: {type: object, properties: {A: {}}}", "'A' cannot be the name of a variable"),
        ("variables: {type: object, required: [nam], properties: {name: {}}}", 'did you mean "name"?'),
        ("variables: {type: object, properties: {a: {type: integer, default: x}}}", "the default is not what"),
        ("variables: {type: object, properties: {a: {pattern: '(?=a)b'}}}", "'pattern' is not JSON Schema"),
        ("variables: {type: object, properties: {a: {$ref: 'file:///etc/passwd'}}}", "is outside of this file"),
        ("variables: {type: object, properties: {a: {$ref: '#/$defs/none'}}}", "is not JSON Schema"),
        ("variables: {type: object, properties: {a: {$ref: '#/properties/a'}}}", "'a' refers to itself"),
        (
            "variables: {type: object, $defs: {b: {$ref: '#/$defs/b'}}, properties: {a: {$ref: '#/$defs/b'}}}",
            "'b' refers to itself",
        ),
        (
            "variables: {type: object, properties: {a: {type: string}, b: {$ref: '#/properties/a'}}}",
            "'#/properties/a' is a variable, which cannot be referred to; write what they share under '$defs'",
        ),
        ("variables: {type: object, properties: {a: {not: {x-personal: true}}}}", "'x-personal' has no effect here"),
        ("variables: {type: object, properties: {a: {x-personal: 'yes'}}}", "'x-personal' must be true or false"),
    ],
)
def test_variables_are_a_json_schema_that_can_be_used(schema: str, words: str) -> None:
    assert words in refused(f"{HEAD}{schema}\nmessages: [{{role: user, content: x}}]\n")


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("- {name: a, expect: {}}", "'expect' expects nothing"),
        ("- {name: a, expect: {regex: ['(a']}}", "'(a' is no regular expression of linear time"),
        ("- {name: a}\n- {name: 'A!'}", "the name of the test is too like 'a'"),
        ("- {name: a, answers: [{expect: {contains: [x]}}]}", "an answer has either 'text' or 'file'"),
        ("- {name: a, variables: {x: 1}, files: {x: y}}", "'x' is given twice"),
    ],
)
def test_tests_that_could_not_be_run_are_refused(tests: str, words: str) -> None:
    assert words in refused(prompt_text("x", more=f"tests:\n{tests}\n"))


def test_the_digest_is_of_what_is_asked_and_of_nothing_else() -> None:
    text = prompt_text("Hello {{ name }}", "name: {type: string}", "requires: [code, vision]")
    digest = loaded(text).digest
    assert digest.startswith("sha256:")
    same = [
        f"# a comment\n{text}",
        text.replace("Says hello.", "Greets."),
        text.replace("[code, vision]", "[vision, code]"),
        f"{text}\ntests: [{{name: a, variables: {{name: b}}}}]\n",
        text.replace("\n", "\r\n"),
    ]
    assert {loaded(one).digest for one in same} == {digest}
    other = [
        text.replace("Hello", "Hallo"),
        text.replace("1.0.0", "1.0.1"),
        text.replace("role: user", "role: system"),
        text.replace("{type: string}", "{type: string, x-personal: true}"),
        f"{text}\nlimits: {{temperature: 0}}\n",
        f"{text}\npolicy: {{purpose: fun}}\n",
    ]
    assert len({loaded(one).digest for one in other} | {digest}) == len(other) + 1


def test_an_unknown_prompt_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="there is no prompt 'code_reviw'; did you mean 'code_review'"):
        load_prompt("code_reviw")


@pytest.mark.parametrize("name", ["../greet", "/etc/passwd", "", "greet.yaml"])
def test_a_name_leads_to_no_file_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(prompt_text("x"))
    (tmp_path / "prompts").mkdir()
    with pytest.raises(InputError, match="there is no prompt"):
        load_prompt(name, [tmp_path / "prompts"])


def test_a_projects_prompt_stands_in_for_one_of_maestro(tmp_path: Path) -> None:
    (tmp_path / "triage.yaml").write_text(prompt_text("mine").replace("greet", "triage"))
    assert load_prompt("triage", [tmp_path]).messages[0].source == "mine\n"
    assert load_prompt("triage").folder == BUILTIN


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load_file(tmp_path)
    (tmp_path / "greet.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="the file is not UTF-8"):
        load_file(tmp_path / "greet.yaml")


@pytest.mark.parametrize("name", prompt_files())
def test_each_of_maestros_prompts_is_tested_and_bounded(name: str) -> None:
    prompt = load_prompt(name)
    assert prompt.tests
    assert prompt.max_output_tokens
    assert {"diff", "log"} & set(prompt.variable_names)


_JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(max_size=200) | _JSON.map(str))
def test_whatever_stands_in_a_file_is_loaded_or_refused_in_words(text: str) -> None:
    for content in (text, f"{HEAD}variables: {text}\nmessages: [{{role: user, content: x}}]", prompt_text(text)):
        try:
            loaded(content.encode("utf-8", "replace").decode())
        except PromptErrors as error:
            assert "prompts/greet.yaml" in str(error)

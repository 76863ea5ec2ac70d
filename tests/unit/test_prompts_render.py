"""Rendering: variables are checked, a template is bounded in every way, and what is personal is known afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.prompts import RenderError, render
from tests.unit.prompt_files import loaded, prompt_of, prompt_text

NAMES = "name: {type: string}\nitems: {type: array, default: []}\ncount: {type: integer, default: 3}\nany: {}"


def text(template: str, variables: str = NAMES, /, **values: Any) -> str:
    return render(prompt_of(template, variables), values).messages[0]["content"]


def refusal(template: str, variables: str = NAMES, /, **values: Any) -> RenderError:
    with pytest.raises(RenderError) as caught:
        text(template, variables, **values)
    return caught.value


def test_variables_defaults_loops_and_conditions_are_filled_in() -> None:
    template = "{% for item in items %}\n- {{ loop.index }} {{ item | upper }}\n{% endfor %}\n{{ count }} {{ name }}"
    assert text(template, name="x", items=["a", "b"]) == "- 1 A\n- 2 B\n3 x"


def test_what_a_value_holds_is_never_a_template() -> None:
    assert text("{{ name }}", name="{{ 7 * 7 }}{% raw %}") == "{{ 7 * 7 }}{% raw %}"


def test_every_wrong_variable_is_told_at_once_with_the_nearest_name() -> None:
    prompt = prompt_of("{{ name }}", "name: {type: string}\ncount: {type: integer}", "")
    with pytest.raises(RenderError) as caught:
        render(prompt, {"nmae": "x", "count": "many"})
    assert caught.value.problems == (
        "there is no variable 'nmae'; did you mean \"name\"?",
        "'count' is not of type \"integer\"",
    )


def test_a_missing_variable_is_told() -> None:
    text = prompt_text("x", "name: {type: string}")
    with pytest.raises(RenderError, match="the variable 'name' is missing"):
        render(loaded(text.replace("  properties:", "  required: [name]\n  properties:")), {})


def test_no_error_repeats_a_value() -> None:
    error = refusal("x", "key: {type: string, pattern: '^[a-z]+$'}", key="s3cr3t-VALUE")
    assert "s3cr3t" not in str(error)
    assert "'key' does not match" in str(error)


def test_a_name_without_a_value_is_told_with_its_line() -> None:
    error = refusal("Hello\n\n{{ name }}")
    assert "'name' has no value" in error.what
    assert str(error.where).startswith("prompts/greet.yaml:16:")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ items }}", "a list cannot be written as text"),
        ("{{ any }}", "nothing (null) cannot be written as text"),
        ("{% for letter in name %}{% endfor %}", "a loop is over a list or a mapping; found text"),
        ("{{ name | list }}", "'list' is for lists; found text"),
        ("{{ items | upper }}", "'upper' is for text; found a list"),
        ("{{ 1 // 0 }}", "division"),
        ("{{ name.__class__ }}", "text has no '__class__'"),
        ("{{ any | attr_none }}", "there is no filter"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(template: str, words: str) -> None:
    if "attr_none" in template:
        with pytest.raises(Exception, match=words):
            prompt_of(template, NAMES)
        return
    assert words in refusal(template, name="x", any=None).what


@pytest.mark.parametrize(
    ("bomb", "words"),
    [
        ("{% set x = 'a' %}" + "{% set x = x ~ x %}" * 60 + "{{ x | length }}", "larger than 1 MiB"),
        ("{% set x = 'a' %}" + "{% set x = x + x %}" * 60 + "{{ x | length }}", "larger than 1 MiB"),
        ("{% set x = items %}" + "{% set x = x + x %}" * 60 + "{{ x | length }}", "more than 1,000,000 steps"),
        ("{{ 'ab' * 99999999 }}", "'*' is for numbers only"),
        ("{{ 9 ** 9 ** 9 }}", "'**' takes a base up to"),
        ("{{ '%0999999999d' % 1 }}", "'%' is for numbers only"),
        ("{{ name | replace('', 'x' * 9) }}", "'*' is for numbers only"),
        ("{{ name | indent(999999999) }}", "indent takes a width from 0 to 40"),
        ("{% for a in items %}" * 3 + "{% endfor %}" * 3, "more than 1,000,000 steps"),
        ("{% for a in items %}{% for b in items %}{{ name }}{% endfor %}{% endfor %}", "larger than 8 MiB"),
        ("{% for a in items %}{{ items | join('-' ~ name) }}{% endfor %}", "the message would be larger than 8 MiB"),
    ],
)
def test_a_template_bomb_goes_off_within_its_limits(bomb: str, words: str) -> None:
    assert words in refusal(bomb, name="n" * 500, items=list(range(1000))).what


def test_a_rendering_that_takes_too_long_is_stopped() -> None:
    prompt = prompt_of("{% for a in items %}{% endfor %}", NAMES)
    with pytest.raises(RenderError, match="rendering takes too long"):
        render(prompt, {"items": list(range(1000))}, seconds=0)


def test_the_search_for_what_is_personal_is_part_of_the_time() -> None:
    schema = "text: {type: string}\nnames: {type: array, items: {type: string, x-personal: true}}"
    prompt = prompt_of("{{ text }}", schema)
    values = {"text": "zq" * 1000, "names": [f"Person {number}" for number in range(1000)]}
    assert render(prompt, values).personal == ()
    with pytest.raises(RenderError, match="rendering takes too long"):
        render(prompt, values, seconds=0)


def test_variables_too_large_or_too_deep_are_refused() -> None:
    assert "at most 8 MiB" in refusal("x", name="x" * 9_000_000).what
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    assert "nested deeper than 30 levels" in refusal("x", any=deep).what


def test_a_pattern_that_would_take_for_ever_does_not() -> None:
    assert "does not match" in refusal("x", "a: {type: string, pattern: '^(a+)+$'}", a="a" * 50_000 + "!").what


def test_messages_over_the_prompts_limit_are_refused() -> None:
    prompt = prompt_of("{{ name }}", NAMES, "limits: {max_input_tokens: 100}")
    assert render(prompt, {"name": "x" * 100}).messages
    with pytest.raises(RenderError, match="about 1,002 tokens; at most 100 are allowed"):
        render(prompt, {"name": "x" * 4000})


PERSONAL = (
    "author: {type: object, properties: {name: {type: string, x-personal: true}, team: {type: string}}}\n"
    "phones: {type: array, items: {type: integer, x-personal: true}, default: []}"
)
ALICE = {"name": "Alice O'Neil", "team": "Core"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ author.name }} of {{ author.team }}", {"Alice O'Neil"}),
        ("{{ author.team }}", set()),
        ("{{ author.name | upper }}", {"ALICE O'NEIL"}),
        ("{{ author.name.lower() }}", {"alice o'neil"}),
        ("{{ author.name.split(' ') | first }}", {"Alice"}),
        ("{{ author.name[:5] }}", {"Alice"}),
        ("{{ author.name | replace('Alice', 'Al') }}", {"Al O'Neil"}),
        ("by {{ author.name ~ '!' }}", {"Alice O'Neil"}),
        ("{{ author | tojson }}", {"Alice O'Neil"}),
        ("{{ author | tojson | upper }}", {'{"NAME": "ALICE O\'NEIL", "TEAM": "CORE"}'}),
        ("{{ [1] | map('string') | first }}{{ (author.name ~ '.') | upper }}", {"ALICE O'NEIL."}),
        ("{{ phones | join(', ') }}", {"4912345", "4998765"}),
        ("{% for one in phones %}{{ one }};{% endfor %}", {"4912345", "4998765"}),
    ],
)
def test_personal_data_is_known_however_it_is_written(template: str, expected: set[str]) -> None:
    found = render(prompt_of(template, PERSONAL), {"author": ALICE, "phones": [4912345, 4998765]})
    assert set(found.personal) == expected


def test_personal_data_is_found_through_references_and_in_json() -> None:
    text = prompt_text("{{ who | tojson }}", "who: {$ref: '#/$defs/person'}")
    definitions = "  $defs: {person: {type: string, x-personal: true}}\n  properties:"
    found = render(loaded(text.replace("  properties:", definitions)), {"who": 'Anna "Ann" Ek'})
    assert found.messages[0]["content"] == '"Anna \\"Ann\\" Ek"'
    assert 'Anna \\"Ann\\" Ek' in found.personal


@given(name=st.text("abcdefgh ", min_size=4, max_size=20).filter(lambda one: len(one.strip()) > 3), data=st.data())
def test_no_personal_text_is_left_when_what_is_named_is_taken_out(name: str, data: st.DataObject) -> None:
    step = st.sampled_from(["upper", "title", "trim", "capitalize", "replace('a', 'z')", "truncate(3)", "reverse_none"])
    filters = [one for one in data.draw(st.lists(step, max_size=3)) if one != "reverse_none"]
    template = "<{{ " + " | ".join(["author.name", *filters]) + " }}>"
    found = render(prompt_of(template, PERSONAL), {"author": {"name": name}})
    content = found.messages[0]["content"]
    for one in found.personal:
        content = content.replace(one, "")
    assert len(content.strip("<> …")) <= 1

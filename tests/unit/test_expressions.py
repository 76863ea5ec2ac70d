"""What expressions give, what they refer to, and what a person sees when one is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from maestro.workflow.expressions import ExpressionError, Expressions, References, has_expression

SCOPE: dict[str, Any] = {
    "params": {"level": 3, "items": ["a", "b"], "name": "web", "none": None, "on": True, "ratio": 0.5},
    "git": {"sha": "abc123", "branch": "release/1"},
    "files": {"package.json": {"hash": "ff00"}, "go.sum": {"hash": "ee11"}},
    "matrix": {"node-version": 20},
    "steps": {"build": {"outputs": {"count": 2}, "metadata": {}, "passed": True}},
    "project": "product",
    "changed": lambda *globs: "src/**" in globs,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no expression", "no expression"),
        ("{{ params.level }}", 3),
        ("  {{ params.level }}\n", 3),
        ("{{ params.items }}", ["a", "b"]),
        ("{{ params.on }}", True),
        ("{{ params.none }}", None),
        ("{{ params.level > 2 }}", True),
        ("{{ params }}", SCOPE["params"]),
        ("level {{ params.level }}", "level 3"),
        ("{{ params.level }}{{ params.level }}", "33"),
        ("on={{ params.on }} ratio={{ params.ratio }} none={{ params.none }}.", "on=true ratio=0.5 none=."),
        ("items={{ params.items }}", 'items=["a", "b"]'),
        ("{{ git.sha }}-{{ package.json.hash }}", "abc123-ff00"),
        ("{{ files['go.sum'].hash }}", "ee11"),
        ("{{ matrix['node-version'] }}", 20),
        ("{{ steps.build.outputs.count + 1 }}", 3),
        ("{{ project }}", "product"),
        ("{{ changed('src/**', 'web/**') }}", True),
        ("{{ git.branch.startswith('release/') }}", True),
        ("{{ git.branch.removeprefix('release/') | int }}", 1),
        ("{{ params.items | join(',') | upper }}", "A,B"),
        ("{{ params.items | map('upper') | list }}", ["A", "B"]),
        ("{{ params.missing | default('x') }}", "x"),
        ("{{ 'big' if params.level > 2 else 'small' }}", "big"),
        (
            "{{ params | tojson }}",
            '{"items": ["a", "b"], "level": 3, "name": "web", "none": null, "on": true, "ratio": 0.5}',
        ),
        ("{{ 'it''s' | quote }}", "its"),
        ('{{ "a b" | quote }}', "'a b'"),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ '}}' }}", "}}"),
        ("{{ '{{ x }}' }}", "{{ x }}"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("a {{- params.level -}} b", "a3b"),
        ("${#array} {%s} {#no#}", "${#array} {%s} {#no#}"),
        ("{{ params.name[0] }}", "w"),
        ("{{ params.items[-1] }}", "b"),
    ],
)
def test_a_single_expression_keeps_its_type_and_others_become_text(text: str, value: object) -> None:
    found = Expressions().render(text, SCOPE)
    assert found == value
    assert type(found) is type(value)


def test_rendering_goes_through_mappings_and_lists_and_leaves_keys() -> None:
    value = {"{{ a }}": ["{{ params.level }}", {"x": "{{ git.sha }}", "y": 3}], "z": None}
    assert Expressions().render(value, SCOPE) == {"{{ a }}": [3, {"x": "abc123", "y": 3}], "z": None}


def test_a_member_called_like_a_method_is_the_member() -> None:
    scope = {"params": {"items": 1, "keys": 2, "get": 3}}
    assert Expressions().render("{{ [params.items, params.keys, params.get] }}", scope) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (True, True),
        (False, False),
        ("params.level > 2", True),
        ("{{ params.level > 5 }}", False),
        ("not changed('src/**')", False),
        ("git.branch == 'main' or params.on", True),
        ("params.none", False),
        ("true", True),
    ],
)
def test_a_condition_is_one_expression_with_or_without_braces(text: str | bool, value: bool) -> None:
    assert Expressions().condition(text, SCOPE) is value


@pytest.mark.parametrize("text", ["x {{ params.on }}", "{{ params.on }}{{ params.on }}", "", "   "])
def test_a_condition_is_not_text(text: str) -> None:
    with pytest.raises(ExpressionError, match="condition"):
        Expressions().condition(text, SCOPE)


def test_references_are_found_deep_inside_a_value() -> None:
    value = {
        "a": ["{{ params.level + steps.build.outputs.count }}", {"b": "{{ git['sha'] }} {{ package.json.hash }}"}],
        "c": "{{ env.HOME if matrix['node-version'] else files['a b'].hash }} {{ run.id }}",
        "d": "{{ changed('src/**', 'x') and params[git.branch] }} {{ nothing.x }} {{ secrets.TOKEN }}",
    }
    assert Expressions().references(value) == References(
        steps=frozenset({"build"}),
        params=frozenset({"level"}),
        matrix=frozenset({"node-version"}),
        env=frozenset({"HOME"}),
        files=frozenset({"package.json", "a b"}),
        git=frozenset({"sha", "branch"}),
        run=frozenset({"id"}),
        changed=frozenset({"src/**", "x"}),
        dynamic=frozenset({"params"}),
        undefined=frozenset({"nothing", "secrets"}),
    )


def test_names_inside_texts_are_no_references() -> None:
    assert Expressions().references("steps.build {{ 'params.level' }}") == References()


def test_a_condition_has_references_too() -> None:
    found = Expressions().references("steps.build.passed and params.on", condition=True)
    assert (found.steps, found.params, found.at_run_time) == (frozenset({"build"}), frozenset({"on"}), True)


def test_has_expression_looks_deep() -> None:
    assert has_expression({"a": ["x", {"b": "{{ y }}"}]})
    assert not has_expression({"a": ["x", {"{{ b }}": "y"}]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nothing }}", "'nothing' is not defined in '{{ nothing }}'"),
        ("{{ nothing.x }}", "'nothing' is not defined"),
        ("{{ params.levl }}", "there is no 'levl' here; did you mean 'level'?"),
        ("{{ [params.zzz] }}", "there is no 'zzz' here; there is: level, items, name, none, on, ratio"),
        ("{{ params.level.x }}", "a int has no 'x'"),
        ("{{ params.name.x }}", "text has no 'x'"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ params.name.upper }}", "the value is a function; it needs '(…)'"),
        ("{{ params.name + 1 }}", "can only concatenate str"),
        ("{{ 1 + }}", "the expression has a syntax error: something is missing at its end"),
        ("{{ 1 2 }}", "the expression has a syntax error: unexpected '2'"),
        ("{{ a $ b }}", "the expression has a syntax error: unexpected char '$'"),
        ("{{ 'a }}", "an expression is opened with '{{' and not closed"),
        ("{{ (1 }}", "an expression is opened with '{{' and not closed"),
    ],
)
def test_a_wrong_expression_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expressions().render(text, SCOPE)
    assert message in caught.value.what
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "offset"),
    [("ab {{ 1 2 }}", 8), ("{{ a $ b }}", 5), ("x {{ y | uper }}", 9), ("{{ 1 + }}", 6), ("{{ 1 }} {{ or }}", 11)],
)
def test_an_error_knows_the_character(text: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expressions().references(text)
    assert caught.value.offset == offset


def test_every_expression_of_a_text_is_inspected() -> None:
    uses, errors = Expressions().inspect("{{ 1 + }} {{ git.sha }} {{ x y }}")
    assert [use.root for use in uses] == ["git"]
    assert len(errors) == 2

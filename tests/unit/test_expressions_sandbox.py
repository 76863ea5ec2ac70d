"""An expression cannot reach Python's objects, run code, or make a run out of memory."""

from __future__ import annotations

import pytest

from maestro.workflow.expressions import MAX_OUTPUT, ExpressionError, Expressions

PARAMS = {"name": "web", "big": "x" * 600_000, "list": [1, 2, 3], "f": print}
SCOPE = {"params": PARAMS, "changed": lambda *_: True}


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ params.__class__ }}",
        "{{ params['__class__'] }}",
        "{{ changed.__globals__ }}",
        "{{ changed.__globals__['os'].system('id') }}",
        "{{ ''['__class__'] }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ config }}",
        "{{ params | attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ [''] | selectattr('__class__') | list }}",
        "{{ [''] | sort(attribute='__class__.x') }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler }}",
        "{{ namespace() }}",
        "{{ dict(a=1) }}",
        "{{ joiner() }}",
        "{{ params.f('x') }}",
        "{{ params.list.append(4) }}",
        "{{ params.update(a=1) }}",
        "{{ params.name.format(1) }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ params.name.encode() }}",
        "{{ (1).bit_length() }}",
        "{{ changed }}",
        "{{ params.name.upper }}",
        "{% set x = 1 %}",
        "{% for x in [1] %}{{ x }}{% endfor %}",
        "{%- include '/etc/passwd' -%}",
        "{{ 'a' | pprint }}",
        "{{ 'a' | xmlattr }}",
    ],
)
def test_python_is_out_of_reach(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expressions().render(text, SCOPE)
    assert PARAMS["list"] == [1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ [1] * 1000000000 }}",
        "{{ [1] * params.list[0] }}",
        "{{ 9 ** 999999999 }}",
        "{{ 9 ** 64 ** 64 }}",
        "{{ " + " * ".join(["999999 ** 60"] * 50) + " }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a' | indent(1000000000) }}",
        "{{ 'a' | format(1) }}",
        "{{ [1] | batch(1000000000, 0) | list }}",
        "{{ [1] | slice(1000000000) | list }}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ 1.5 | round(1000000000) }}",
        "{{ range(1000000000) }}",
        "{{ params.big ~ params.big }}",
        "{{ [params.big, params.big] }}",
        "{{ [params.big, params.big] | join }}",
        "{{ params.big | replace('x', 'yyyyyyyyyy') }}",
        "{{ params.big | replace('', params.name) }}",
        "{{ params.big | list | map('replace', 'x', params.big) | list }}",
        "{{ params.big | list | join(params.name) }}",
        "{{ params.big | tojson | tojson | list | tojson }}",
        "a {{ params.big }} b {{ params.big }}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ " + "[" * 150 + "]" * 150 + " }}",
        "{{ " + "not " * 3000 + "1 }}",
        "{{ " + "1 + " * 4000 + "1 }}",
    ],
)
def test_a_short_expression_cannot_make_much(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expressions().render(text, SCOPE)


def test_what_is_small_enough_is_given() -> None:
    assert len(Expressions().render("{{ params.big }}", SCOPE)) == 600_000
    assert MAX_OUTPUT == 1024 * 1024


def test_the_limit_is_named() -> None:
    with pytest.raises(ExpressionError, match="larger than 1 MiB"):
        Expressions().render("{{ params.big ~ params.big }}", SCOPE)
    with pytest.raises(ExpressionError, match=r"'\*' is for numbers only"):
        Expressions().render("{{ 'a' * 3 }}", SCOPE)
    with pytest.raises(ExpressionError, match="an expression has 10,003 characters; at most 10,000 are allowed"):
        Expressions().render("{{ " + "1" * 10_001 + " }}", SCOPE)


def test_a_filter_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ExpressionError) as caught:
        Expressions().references("{{ params.name | joinn(',') }}")
    assert caught.value.suggestion == "join"
    assert "tojson" in str(caught.value.allowed) or "abs" in str(caught.value.allowed)

"""Which licences are allowed, by the rules of SPDX expressions."""

from __future__ import annotations

import pytest

from maestro.errors import InputError
from maestro.licenses.allowance import Allowance, for_policy


def allows(allowed: list[str], expression: str | None, *, unknown: bool = False) -> bool:
    return Allowance.of(allowed, unknown=unknown).check(expression).allowed


@pytest.mark.parametrize(
    ("allowed", "expression", "expected"),
    [
        (["MIT"], "MIT", True),
        (["MIT"], "mit", True),
        (["MIT"], "ISC", False),
        (["MIT"], "MIT OR GPL-3.0-only", True),
        (["MIT"], "GPL-3.0-only OR ISC", False),
        (["MIT"], "MIT AND GPL-3.0-only", False),
        (["MIT", "ISC"], "MIT AND ISC", True),
        (["MIT", "ISC"], "(MIT AND ISC) OR GPL-3.0-only", True),
        (["MIT"], "MIT AND (ISC OR GPL-3.0-only)", False),
        (["MIT", "ISC"], "MIT AND (ISC OR GPL-3.0-only)", True),
        (["GPL-2.0-only"], "GPL-2.0-only WITH Classpath-exception-2.0", False),
        (["GPL-2.0-only WITH Classpath-exception-2.0"], "GPL-2.0-only WITH Classpath-exception-2.0", True),
        (["GPL-2.0-only WITH Classpath-exception-2.0"], "GPL-2.0-only", False),
        (["GPL-2.0-or-later"], "GPL-2.0+", True),
        (["GPL-2.0-only"], "GPL-2.0-or-later", False),
        (["GPL-3.0-only"], "GPL-2.0-or-later", False),
        (["LicenseRef-Ours"], "LicenseRef-Ours", True),
        (["MIT"], "LicenseRef-Ours", False),
        (["MIT OR ISC"], "ISC", True),
        (["MIT AND ISC"], "MIT AND ISC", True),
        (["MIT AND ISC"], "ISC AND MIT", True),
        (["MIT AND ISC"], "MIT", False),
        (["MIT AND ISC", "Zlib"], "MIT AND ISC AND Zlib", True),
        (["MIT AND ISC"], "(MIT OR GPL-3.0-only) AND ISC", True),
        (["MIT AND ISC", "Zlib"], "MIT AND Zlib", False),
    ],
)
def test_or_needs_one_side_and_both_sides_with_is_another_licence(
    allowed: list[str], expression: str, expected: bool
) -> None:
    assert allows(allowed, expression) is expected


@pytest.mark.parametrize("expression", [None, "", "NOASSERTION", "NONE"])
def test_what_is_not_known_is_allowed_only_when_that_is_said(expression: str | None) -> None:
    assert Allowance.of(["MIT"]).check(expression).reason == "its licence is not known"
    assert allows(["MIT"], expression, unknown=True)


@pytest.mark.parametrize(
    "expression", ["MIT AND", "Nonsense", "MIT AND Nonsense", "(((", "MIT WITH ISC", "NOASSERTION OR MIT AND"]
)
def test_what_cannot_be_read_is_not_allowed_even_when_unknown_ones_are(expression: str) -> None:
    verdict = Allowance.of(["MIT"], unknown=True).check(expression)
    assert not verdict.allowed
    assert "cannot be read as an SPDX expression" in verdict.reason


def test_the_reason_names_what_is_not_allowed() -> None:
    verdict = Allowance.of(["MIT"]).check("MIT AND GPL-3.0-only AND ISC")
    assert verdict.offending == ("GPL-3.0-only", "ISC")
    assert verdict.reason == "not allowed: GPL-3.0-only, ISC"


def test_an_expression_with_more_choices_than_can_be_looked_at_is_not_allowed() -> None:
    hostile = " AND ".join(f"(LicenseRef-a{number} OR LicenseRef-b{number})" for number in range(25))
    assert not allows(["MIT AND ISC"], hostile)
    assert not allows(["MIT"], " OR ".join(["MIT"] * 1000))


@pytest.mark.parametrize("text", ["", "Nonsense", "MIT AND", "MIT WITH ISC"])
def test_an_allow_list_with_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="among the allowed licences is no SPDX expression") as caught:
        Allowance.of(["MIT", text])
    assert "spdx.org/licenses" in (caught.value.next_step or "")


def test_policy_is_told_of_each_component_whether_it_is_allowed_and_why_not() -> None:
    components = [
        {"purl": "pkg:pypi/a@1", "name": "a", "version": "1", "licenses": "MIT"},
        {"purl": None, "name": "b", "version": None, "licenses": None},
    ]
    assert for_policy(components, Allowance.of(["MIT"])) == [
        {"purl": "pkg:pypi/a@1", "name": "a", "version": "1", "license": "MIT", "allowed": True, "reason": None},
        {
            "purl": None,
            "name": "b",
            "version": None,
            "license": None,
            "allowed": False,
            "reason": "its licence is not known",
        },
    ]

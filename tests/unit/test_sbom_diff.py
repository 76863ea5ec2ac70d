"""What differs between two bills of materials."""

from __future__ import annotations

import random
from typing import Any

import pytest

from maestro.sbom.diff import SbomDiff, compare, key_of, new_components
from maestro.sbom.errors import SbomError
from maestro.sbom.model import Component, Sbom
from maestro.sbom.versions import direction
from maestro.sbom.vulnerability_diff import compare_vulnerabilities


def part(name: str, version: str | None = "1.0", licenses: str | None = "MIT", kind: str = "pypi") -> Component:
    purl = f"pkg:{kind}/{name}" + (f"@{version}" if version else "")
    return Component(purl, name, version, licenses)


def sbom(*components: Component) -> Sbom:
    return Sbom("CycloneDX", "1.6", None, components)


def changes(diff: SbomDiff) -> list[tuple[str, str | None, str | None, str]]:
    return [(one.after.name, one.before.version, one.after.version, one.direction) for one in diff.changed]


def names(components: tuple[Component, ...]) -> list[tuple[str, str | None]]:
    return [(one.name, one.version) for one in components]


def test_added_removed_and_changed_components_are_told_apart() -> None:
    diff = compare(
        sbom(part("stays"), part("goes"), part("grows")), sbom(part("grows", "1.1"), part("comes"), part("stays"))
    )
    assert names(diff.added) == [("comes", "1.0")]
    assert names(diff.removed) == [("goes", "1.0")]
    assert changes(diff) == [("grows", "1.0", "1.1", "up")]
    assert (diff.unchanged, diff.before, diff.after) == (1, 3, 3)


def test_order_makes_no_difference() -> None:
    components = [part(f"part-{number}", f"1.{number}") for number in range(200)]
    others = [*components[:190], *(part(f"part-{number}", "9.0") for number in range(190, 205))]
    expected = compare(sbom(*components), sbom(*others))
    for seed in range(5):
        shuffled = (random.Random(seed).sample(side, len(side)) for side in (components, others))
        before, after = shuffled
        assert compare(sbom(*before), sbom(*after)) == expected
        assert compare(sbom(*components), sbom(*random.Random(seed).sample(components, 200))).is_empty


@pytest.mark.parametrize(
    ("before", "after", "changed", "added", "removed"),
    [
        (["1.0", "2.0"], ["1.0", "2.0"], [], [], []),
        (["1.0", "2.0"], ["2.0", "3.0"], [("1.0", "3.0", "up")], [], []),
        (["1.9", "1.10"], ["1.11", "1.12"], [("1.9", "1.11", "up"), ("1.10", "1.12", "up")], [], []),
        (["1.0"], ["1.0", "2.0"], [], ["2.0"], []),
        (["1.0", "2.0"], ["2.0"], [], [], ["1.0"]),
        (["1.0"], ["2.0", "3.0"], [("1.0", "2.0", "up")], ["3.0"], []),
    ],
)
def test_several_versions_of_one_name_are_paired_oldest_first(
    before: list[str], after: list[str], changed: list[Any], added: list[str], removed: list[str]
) -> None:
    diff = compare(sbom(*(part("lib", one) for one in before)), sbom(*(part("lib", one) for one in after)))
    assert [(one, other, way) for _, one, other, way in changes(diff)] == changed
    assert [one.version for one in diff.added] == added
    assert [one.version for one in diff.removed] == removed


def test_the_same_component_twice_is_one() -> None:
    assert compare(sbom(part("a")), sbom(part("a"), part("a"))).is_empty


def test_another_licence_is_shown_even_when_the_version_is_the_same() -> None:
    diff = compare(
        sbom(part("a"), part("b"), part("c", licenses=None)),
        sbom(part("a", "1.0", "GPL-3.0-only"), part("b"), part("c")),
    )
    assert [(one.component.name, one.before, one.after) for one in diff.licenses] == [
        ("a", ("MIT",), ("GPL-3.0-only",)),
        ("c", (), ("MIT",)),
    ]
    assert diff.new_licenses == {"GPL-3.0-only": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pkg:pypi/Foo_Bar.baz@1", "pkg:pypi/foo-bar-baz@2"),
        ("pkg:npm/%40babel/core@7", "pkg:npm/@babel/core@8"),
        ("pkg:npm/@babel/core", "pkg:npm/%40babel/core@8"),
        (
            "pkg:deb/debian/libc6@2.36?arch=amd64&distro=debian-12",
            "pkg:deb/debian/libc6@2.41?arch=arm64&distro=debian-13",
        ),
        ("pkg:golang/github.com/a/b@v1#sub/folder", "pkg:golang/github.com/a/b@v2"),
    ],
)
def test_components_are_matched_by_package_url_without_version_and_qualifiers(one: str, other: str) -> None:
    assert key_of(Component(one, "x")) == key_of(Component(other, "y"))


def test_equal_names_of_different_ecosystems_or_namespaces_are_different_components() -> None:
    urls = ["pkg:pypi/core@1", "pkg:npm/core@1", "pkg:npm/%40babel/core@1", "pkg:npm/@other/core@1"]
    assert len({key_of(Component(url, "core")) for url in urls}) == len(urls)


def test_a_component_without_package_url_is_matched_by_type_and_name() -> None:
    diff = compare(
        sbom(Component(None, "debian", "12", None, "operating-system")),
        sbom(Component(None, "debian", "13", None, "operating-system")),
    )
    assert changes(diff)[0][:3] == ("debian", "12", "13")


@pytest.mark.parametrize(
    ("kind", "before", "after", "way"),
    [
        ("pypi", "1.9", "1.10", "up"),
        ("pypi", "1.0", "1.0rc1", "down"),
        ("npm", "1.0.0-beta.2", "1.0.0-beta.11", "up"),
        ("npm", "1.0.0", "1.0.0-beta", "down"),
        ("deb", "1:1.0-1", "2.0-1", "down"),
        ("deb", "1.0~rc1-1", "1.0-1", "up"),
        ("rpm", "1.0-9", "1.0-10", "up"),
        ("golang", "v1.9.0", "v1.10.0", "up"),
        ("pypi", "1.0", "banana", "other"),
        ("pypi", "1.0", "1.0.0", "other"),
        ("unheard-of", "7", None, "other"),
    ],
)
def test_newer_and_older_follow_the_rules_of_the_ecosystem(kind: str, before: str, after: str | None, way: str) -> None:
    assert direction(kind, before, after) == way


def test_new_components_are_those_whose_name_was_not_there() -> None:
    found = new_components([part("a"), part("b")], [part("b", "2.0"), part("c"), part("c"), part("a")])
    assert names(found) == [("c", "1.0")]


def finding(name: str, package: str = "lib", severity: str = "high", **members: Any) -> dict[str, Any]:
    return {
        "id": name,
        "aliases": [],
        "package": package,
        "version": "1.0",
        "purl": f"pkg:pypi/{package}@1.0",
        "severity": severity,
        "fixed": ["1.1"],
        "summary": "bad",
        "vex": None,
        **members,
    }


def report(*findings: dict[str, Any], state: str = "findings", reason: str | None = None) -> dict[str, Any]:
    return {"schema": 1, "state": state, "reason": reason, "findings": list(findings)}


def test_vulnerabilities_that_came_and_went_are_listed_worst_first() -> None:
    diff = compare_vulnerabilities(
        report(finding("CVE-1"), finding("CVE-2")),
        report(finding("CVE-2"), finding("CVE-3", severity="low"), finding("CVE-4", severity="critical")),
    )
    assert [one.id for one in diff.new] == ["CVE-4", "CVE-3"]
    assert [one.id for one in diff.gone] == ["CVE-1"]
    assert diff.still == 1


def test_a_vulnerability_under_another_of_its_names_and_in_another_version_is_the_same() -> None:
    before = report(finding("GHSA-x", aliases=["CVE-1"]), finding("CVE-2"))
    after = report(finding("CVE-1", purl="pkg:pypi/lib@1.2", version="1.2"), finding("PYSEC-2", aliases=["CVE-2"]))
    diff = compare_vulnerabilities(before, after)
    assert (diff.new, diff.gone, diff.still) == ((), (), 2)


def test_the_same_vulnerability_in_another_package_is_another() -> None:
    diff = compare_vulnerabilities(report(finding("CVE-1", "a")), report(finding("CVE-1", "b")))
    assert ([one.package for one in diff.new], [one.package for one in diff.gone]) == (["b"], ["a"])


def test_what_the_maker_says_does_no_harm_is_not_counted() -> None:
    settled = finding("CVE-1", vex={"status": "not_affected", "justification": "x", "source": "y"})
    diff = compare_vulnerabilities(report(finding("CVE-1")), report(settled))
    assert [one.id for one in diff.gone] == ["CVE-1"]


def test_not_scanned_is_never_shown_as_fixed() -> None:
    diff = compare_vulnerabilities(report(finding("CVE-1")), report(state="not_scanned", reason="no database"))
    assert diff.gone == ()
    assert diff.unknown == "after: not scanned: no database"


@pytest.mark.parametrize("bad", [{}, {"state": "fine"}, {"state": "clean"}, {"state": "findings", "findings": [7]}])
def test_what_is_no_vulnerability_report_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(SbomError, match="report"):
        compare_vulnerabilities(report(), bad)

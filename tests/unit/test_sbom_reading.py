"""Bills of materials from outside: what is read out of them, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.sbom.errors import SbomError
from maestro.sbom.limits import Limits
from maestro.sbom.model import Component
from maestro.sbom.reading import iter_components, read_sbom


def cyclonedx(*components: Any, **members: Any) -> bytes:
    return json.dumps(
        {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": list(components), **members}
    ).encode()


def spdx(*packages: Any, **members: Any) -> bytes:
    return json.dumps({"spdxVersion": "SPDX-2.3", "packages": list(packages), **members}).encode()


def refusal(data: bytes | Path, limits: Limits | None = None) -> SbomError:
    with pytest.raises(SbomError) as caught:
        read_sbom(data, limits) if limits else read_sbom(data)
    assert caught.value.next_step
    return caught.value


def test_a_component_of_cyclonedx_is_read_with_everything_known_of_it() -> None:
    read = read_sbom(
        cyclonedx(
            {
                "type": "framework",
                "group": "@babel",
                "name": "core",
                "version": "7.1.0",
                "purl": "pkg:npm/%40babel/core@7.1.0",
                "licenses": [{"license": {"id": "MIT"}}],
                "hashes": [{"alg": "SHA-256", "content": "AB12"}, {"alg": "MD5", "content": "00"}],
            }
        )
    )
    assert read.components == (
        Component(
            "pkg:npm/%40babel/core@7.1.0",
            "@babel/core",
            "7.1.0",
            "MIT",
            "framework",
            (("MD5", "00"), ("SHA-256", "ab12")),
        ),
    )
    assert (read.format, read.version) == ("CycloneDX", "1.6")


def test_what_a_cyclonedx_document_describes_is_its_subject_and_no_component() -> None:
    read = read_sbom(cyclonedx({"name": "part"}, metadata={"component": {"name": "shop", "type": "container"}}))
    assert read.subject == Component(None, "shop", type="container")
    assert [one.name for one in read.components] == ["part"]


def test_components_within_components_are_read_too() -> None:
    nested = {"name": "outer", "components": [{"name": "first", "components": [{"name": "inner"}]}, {"name": "second"}]}
    assert [one.name for one in read_sbom(cyclonedx(nested)).components] == ["outer", "first", "inner", "second"]


def test_a_package_of_spdx_is_read_with_everything_known_of_it() -> None:
    read = read_sbom(
        spdx(
            {
                "SPDXID": "SPDXRef-a",
                "name": "click",
                "versionInfo": "8.1",
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "BSD-3-Clause",
                "primaryPackagePurpose": "FRAMEWORK",
                "checksums": [{"algorithm": "SHA256", "checksumValue": "AB"}],
                "externalRefs": [
                    {"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:b"},
                    {"referenceType": "purl", "referenceLocator": "pkg:pypi/click@8.1"},
                ],
            }
        )
    )
    assert read.components == (
        Component("pkg:pypi/click@8.1", "click", "8.1", "BSD-3-Clause", "framework", (("SHA-256", "ab"),)),
    )
    assert (read.format, read.version) == ("SPDX", "2.3")


@pytest.mark.parametrize("said", ["documentDescribes", "relationship"])
def test_what_an_spdx_document_describes_is_its_subject_wherever_it_says_so(said: str) -> None:
    packages = ({"SPDXID": "SPDXRef-shop", "name": "shop"}, {"SPDXID": "SPDXRef-part", "name": "part"})
    members: dict[str, Any] = {"documentDescribes": ["SPDXRef-shop"]}
    if said == "relationship":
        describes = ("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-shop")
        members = {
            "relationships": [
                dict(zip(("spdxElementId", "relationshipType", "relatedSpdxElement"), describes, strict=True))
            ]
        }
    read = read_sbom(spdx(*packages, **members))
    assert read.subject is not None
    assert read.subject.name == "shop"
    assert [one.name for one in read.components] == ["part"]


@pytest.mark.parametrize(
    ("written", "expression"),
    [
        ([], None),
        ([{"license": {"id": "Apache-2.0"}}], "Apache-2.0"),
        ([{"expression": "mit or apache-2.0"}], "MIT OR Apache-2.0"),
        ([{"license": {"name": "Apache License, Version 2.0"}}], "Apache-2.0"),
        ([{"license": {"name": "GNU General Public License v3 (GPLv3)"}}], "GPL-3.0-only"),
        ([{"license": {"name": "BSD"}}], "LicenseRef-BSD"),
        ([{"license": {"name": "Our Terms"}}], "LicenseRef-Our-Terms"),
        ([{"license": {"name": "NOASSERTION"}}], None),
        ([{"expression": "MIT OR"}], "LicenseRef-MIT-OR"),
        ([{"expression": "MIT WITH Apache-2.0"}], "LicenseRef-MIT-WITH-Apache-2.0"),
        ([{"license": {"id": "MIT"}}, {"license": {"id": "ISC"}}], "ISC AND MIT"),
        ([{"license": {"id": "MIT"}}, {"expression": "ISC OR Zlib"}], "(ISC OR Zlib) AND MIT"),
    ],
)
def test_licences_are_one_spdx_expression(written: list[Any], expression: str | None) -> None:
    assert read_sbom(cyclonedx({"name": "part", "licenses": written})).components[0].licenses == expression


def test_a_document_of_100_mb_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    large = tmp_path / "large.cdx.json"
    large.touch()
    os.truncate(large, 100_000_000)
    large.chmod(0)
    error = refusal(large)
    assert "has 100,000,000 bytes; 100,000,000 or more are refused" in error.what
    assert error.where is not None
    assert str(error.where) == str(large)


def test_deep_nesting_is_refused_wherever_it_is() -> None:
    deep = b"[" * 500_000 + b"]" * 500_000
    head = b'{"bomFormat":"CycloneDX","specVersion":"1.6",'
    for place in (b'"other":%s}', b'"metadata":{"a":%s}}', b'"components":[{"name":"a","properties":%s}]}'):
        assert "nested more than 64 deep" in refusal(head + place % deep).what
    assert "no JSON object" in refusal(deep).what


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (7, "'components[0]' is a number, where an object is expected"),
        ({"version": "1"}, "'components[0]' has no 'name'"),
        ({"name": ["a"]}, "'components[0].name' is a list, where text is expected"),
        ({"name": "a", "version": 1.5}, "'components[0].version' is a number, where text is expected"),
        ({"name": "a", "purl": {}}, "'components[0].purl' is an object, where text is expected"),
        ({"name": "a", "licenses": "MIT"}, "'components[0].licenses' is text, where a list is expected"),
        ({"name": "a", "licenses": [None]}, "'components[0].licenses[0]' is null, where an object is expected"),
        ({"name": "a", "hashes": [{"alg": "MD5"}]}, "'components[0].hashes[0]' has no 'content'"),
        (
            {"name": "a", "components": [True]},
            "'components[0].components[0]' is a boolean, where an object is expected",
        ),
    ],
)
def test_wrong_types_are_named_with_their_place(component: Any, message: str) -> None:
    assert refusal(cyclonedx(component)).what == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no complete JSON"),
        (b"{", "no complete JSON"),
        (b'{"bomFormat":"CycloneDX"} trailing', "no complete JSON"),
        (b"\xff\xfe", "no complete JSON"),
        (b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"\xff"}]}', "no complete JSON"),
        (b"[]", "no JSON object"),
        (b"7", "no JSON object"),
        (b"{}", "neither CycloneDX nor SPDX 2"),
        (b'{"bomFormat":"CycloneDX","specVersion":"2.0"}', "CycloneDX '2.0'; read are 1.2 to 1.7"),
        (b'{"spdxVersion":"SPDX-3.0"}', "SPDX 'SPDX-3.0'; read are SPDX-2.2 to SPDX-2.3"),
        (b'{"bomFormat":"CycloneDX","spdxVersion":"SPDX-2.3"}', "neither CycloneDX nor SPDX 2"),
        (b'{"spdxVersion":"SPDX-2.3","components":[{"name":"a"}]}', "its format has not"),
        (b'{"bomFormat":"CycloneDX","components":{}}', "'components' is an object, where a list is expected"),
        (b'{"bomFormat":"CycloneDX","components":[],"components":[]}', "'components' is there twice"),
        (b'{"components":[{"name":"a"}],"packages":[{"name":"b"}]}', "CycloneDX and SPDX at once"),
    ],
)
def test_what_is_no_bill_of_materials_is_refused(data: bytes, message: str) -> None:
    assert message in refusal(data).what


def test_a_missing_file_is_named() -> None:
    assert "there is no file 'nowhere.json'" in refusal(Path("nowhere.json")).what


def test_too_many_components_long_names_and_crowded_components_are_refused() -> None:
    few = Limits(components=2, text=10, parts=20)
    assert "more than 2 components" in refusal(cyclonedx(*({"name": "a"} for _ in range(3))), few).what
    assert "has 11 characters; 10 are allowed" in refusal(cyclonedx({"name": "a" * 11}), few).what
    assert "more than 20 values" in refusal(cyclonedx({"name": "a", "tags": ["x"] * 21}), few).what


def test_components_can_be_read_one_at_a_time_before_the_rest_is_looked_at() -> None:
    data = cyclonedx({"name": "good"}, {"name": 7})
    found = iter_components(data)
    assert next(found).name == "good"
    with pytest.raises(SbomError, match=r"components\[1\]\.name"):
        next(found)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "version", "purl", "licenses", "license", "id", "hashes", "alg", "components", "component"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(ANYTHING, st.sampled_from(["components", "packages", "metadata", "documentDescribes", "relationships"]))
def test_whatever_stands_in_a_document_it_is_read_or_refused(value: Any, key: str) -> None:
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6"}
    if key in ("packages", "documentDescribes", "relationships"):
        head = {"spdxVersion": "SPDX-2.3"}
    for held in (value, [value], [{"name": "a", "SPDXID": "b", "licenses": value, "externalRefs": value}]):
        try:
            read_sbom(json.dumps({**head, key: held}).encode())
        except SbomError as error:
            assert error.next_step

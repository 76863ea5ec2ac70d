"""The canonical form: equal content, equal bytes; valid CycloneDX 1.6 and SPDX 2.3."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from maestro.sbom import canonical, spdx
from maestro.sbom.errors import SbomError
from maestro.sbom.normalise import Found, Tool, cyclonedx
from maestro.sbom.reading import read_sbom
from maestro.sbom.validation import validate
from tests.unit.sbom_content import ROOT, content, part


def shuffled(found: Found, seed: int) -> Found:
    """The same with other references and in another order."""
    chance = random.Random(seed)
    text = json.dumps([found.components, found.dependencies]).replace("ref-", f"other-{seed}-")
    components, dependencies = json.loads(text)
    for one in components:
        for key in ("properties", "hashes"):
            chance.shuffle(one.get(key, []))
    for one in dependencies:
        chance.shuffle(one["dependsOn"])
    chance.shuffle(components)
    chance.shuffle(dependencies)
    return Found(components, dependencies)


def test_equal_content_has_equal_bytes_whatever_its_order_and_references() -> None:
    expected = cyclonedx(ROOT, [content()], tools=[Tool("syft", "1.18.1")])
    for seed in range(5):
        made = cyclonedx(ROOT, [shuffled(content(), seed)], tools=[Tool("syft", "1.18.1")])
        assert canonical.encoded(made) == canonical.encoded(expected)
        assert canonical.encoded(spdx.from_cyclonedx(made)) == canonical.encoded(spdx.from_cyclonedx(expected))


def test_other_content_has_another_serial_number_and_namespace() -> None:
    one = cyclonedx(ROOT, [content()])
    other = cyclonedx(ROOT, [Found(content().components[1:], ())])
    assert one["serialNumber"] != other["serialNumber"]
    assert spdx.from_cyclonedx(one)["documentNamespace"] != spdx.from_cyclonedx(other)["documentNamespace"]


def test_there_is_no_time_unless_one_is_given_and_it_does_not_change_the_serial_number() -> None:
    plain, timed = cyclonedx(ROOT, [content()]), cyclonedx(ROOT, [content()], epoch=1_700_000_000)
    assert "timestamp" not in plain["metadata"]
    assert timed["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert plain["serialNumber"] == timed["serialNumber"]
    assert spdx.from_cyclonedx(plain)["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    assert spdx.from_cyclonedx(timed)["creationInfo"]["created"] == "2023-11-14T22:13:20Z"


def test_folders_of_this_machine_are_removed_from_every_text() -> None:
    def look(folder: str) -> dict[str, Any]:
        place = {"name": "syft:location:0:path", "value": f"{folder}/lib/a"}
        return cyclonedx(ROOT, [Found([part("a", properties=[place], description=f"in {folder}")])], prefixes=[folder])

    assert look("/home/ann/checkout") == look("/builds/7")
    assert look("/builds/7")["components"][0]["properties"][0]["value"] == "/lib/a"


def test_guesses_and_layers_are_left_out_and_sorted_properties_kept() -> None:
    noise = [
        {"name": "syft:cpe23", "value": "cpe:2.3:guess"},
        {"name": "syft:location:0:layerID", "value": "sha256:1"},
        {"name": "z", "value": "1"},
        {"name": "a", "value": "2"},
    ]
    made = cyclonedx(ROOT, [Found([part("a", properties=noise)])])
    assert made["components"][0]["properties"] == [{"name": "a", "value": "2"}, {"name": "z", "value": "1"}]


def test_what_is_in_the_images_of_several_platforms_is_listed_once() -> None:
    same, arm, amd = part("a"), part("b", purl="pkg:deb/b@1?arch=arm64"), part("b", purl="pkg:deb/b@1?arch=amd64")
    made = cyclonedx(ROOT, [Found([same, arm]), Found([same, amd])])
    assert [one["purl"] for one in made["components"]] == [
        "pkg:deb/b@1?arch=amd64",
        "pkg:deb/b@1?arch=arm64",
        "pkg:pypi/a@1.0",
    ]


def test_different_components_with_one_package_url_have_references_of_their_own() -> None:
    one, other = part("a", author="x"), part("a", author="y", **{"bom-ref": "second"})
    made = cyclonedx(ROOT, [Found([one, other], [{"ref": "second", "dependsOn": ["ref-a"]}])])
    assert [component["bom-ref"] for component in made["components"]] == ["pkg:pypi/a@1.0", "pkg:pypi/a@1.0#2"]
    validate(made)


@pytest.mark.parametrize(
    ("written", "licenses"),
    [
        ([{"license": {"name": "MIT License"}}], [{"license": {"id": "MIT"}}]),
        ([{"license": {"name": "UNKNOWN"}}], None),
        ([{"license": {"name": "Own  Terms"}}], [{"license": {"name": "Own Terms"}}]),
        ([{"license": {"id": "GPL-2.0"}}], [{"license": {"id": "GPL-2.0-only"}}]),
        ([{"license": {"id": "MIT"}}, {"expression": "ISC OR Zlib"}], [{"expression": "MIT AND (ISC OR Zlib)"}]),
        ([{"expression": "LicenseRef-x"}], [{"license": {"name": "LicenseRef-x"}}]),
    ],
)
def test_licences_are_written_the_way_everybody_reads_them(written: list[Any], licenses: list[Any] | None) -> None:
    made = cyclonedx(ROOT, [Found([part("a", licenses=written)])])
    validate(made)
    assert made["components"][0].get("licenses") == licenses


def test_both_formats_conform_to_their_schemas() -> None:
    made = cyclonedx(ROOT, [content()], tools=[Tool("syft", "1.18.1")])
    validate(made)
    validate(spdx.from_cyclonedx(made))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(canonical.encoded(made).decode()) is None


def test_both_formats_are_read_back_as_the_same_components() -> None:
    made = cyclonedx(ROOT, [content()])
    one, other = read_sbom(canonical.encoded(made)), read_sbom(canonical.encoded(spdx.from_cyclonedx(made)))
    assert sorted(one.components, key=str) == sorted(other.components, key=str)
    assert one.subject == other.subject


def test_a_document_that_does_not_conform_is_refused_with_its_place() -> None:
    made = cyclonedx(ROOT, [content()])
    made["components"][2]["type"] = "nonsense"
    with pytest.raises(SbomError, match=r"components\[2\]\.type: \"nonsense\" is not one of"):
        validate(made)
    other = spdx.from_cyclonedx(cyclonedx(ROOT, [content()]))
    del other["packages"][1]["name"]
    with pytest.raises(SbomError, match=r"packages\[1\]: \"name\" is a required property"):
        validate(other)


def test_text_that_is_no_unicode_does_not_break_the_document() -> None:
    made = cyclonedx(ROOT, [Found([part("a", author="\ud800 x\ny")])])
    assert json.loads(canonical.encoded(made))["components"][0]["author"] == "? x y"


def test_odd_texts_of_a_package_do_not_break_either_format() -> None:
    odd = part(
        "a\nb",
        version="1\t2",
        purl="pkg:generic/a b@1",
        cpe="cpe:2.3:a:x:x:1:*:*:*:*:*:*:*",
        licenses=[{"license": {"name": "a licence " * 20_000}}],
    )
    made = cyclonedx(ROOT, [Found([odd])])
    validate(made)
    validate(spdx.from_cyclonedx(made))
    assert (made["components"][0]["name"], made["components"][0]["version"]) == ("a b", "1 2")

"""Waivers: which findings they let pass, and for how long."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import policies
from maestro.policy import PolicyError, decide, load_bundle, open_engine
from maestro.policy.waivers import Waiver, apply_waivers, make_waiver

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
INPUT: dict[str, Any] = {
    "subjects": [{"name": "localhost:5000/app", "digest": DIGEST}],
    "vulnerabilities": [
        {
            "subject": DIGEST,
            "findings": [
                {"id": "GHSA-1", "aliases": ["CVE-2026-1"], "purl": "pkg:pypi/libx@1.0?arch=any", "waived": False},
                {"id": "CVE-2026-2", "aliases": [], "purl": None, "waived": False, "waiver": None},
            ],
        }
    ],
    "secrets": {"findings": [{"file": "tests/key.pem", "fingerprint": "f1", "waived": False, "waiver": None}]},
}


def waiver(finding: str, days: float = 30, **more: Any) -> Waiver:
    given = {"reason": "not reachable", "approver": "ada", "expires": NOW + timedelta(days=days), "now": NOW, **more}
    return make_waiver(finding, **given)


def waived(*waivers: Waiver, now: datetime = NOW, document: dict[str, Any] = INPUT) -> list[str]:
    made, used = apply_waivers(document, waivers, now)
    marked = [one for scan in made["vulnerabilities"] for one in scan["findings"]] + made["secrets"]["findings"]
    names = [one.get("id") or one["fingerprint"] for one in marked if one["waived"]]
    assert [one["finding"] for one in used] == names
    assert [one["waiver"]["id"] for one in marked if one["waived"]] == [one["id"] for one in used]
    return names


def test_a_waiver_lets_its_finding_pass_and_no_other() -> None:
    assert waived(waiver("CVE-2026-2")) == ["CVE-2026-2"]


def test_an_alias_names_the_same_finding() -> None:
    assert waived(waiver("CVE-2026-1")) == ["GHSA-1"]


def test_what_was_used_names_reason_approver_and_end() -> None:
    _made, used = apply_waivers(INPUT, [waiver("CVE-2026-2")], NOW)
    assert {**used[0], "id": "…"} == {
        "id": "…",
        "reason": "not reachable",
        "approver": "ada",
        "expires": "2026-12-21T12:00:00Z",
        "finding": "CVE-2026-2",
        "object": "localhost:5000/app",
    }


def test_a_waiver_stops_counting_when_it_expires() -> None:
    one = waiver("CVE-2026-2", days=1)
    assert waived(one, now=NOW + timedelta(days=1, seconds=-1)) == ["CVE-2026-2"]
    assert waived(one, now=NOW + timedelta(days=1)) == []


def test_a_waiver_of_tomorrow_does_not_count_today() -> None:
    assert waived(waiver("CVE-2026-2"), now=NOW - timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("purl", "counts"),
    [
        ("pkg:pypi/libx@1.0", True),
        ("pkg:pypi/libx", True),
        ("pkg:pypi/libx@1.0?arch=any", True),
        ("pkg:pypi/libx@2.0", False),
        ("pkg:pypi/lib", False),
        ("pkg:pypi/*", False),
    ],
)
def test_a_waiver_for_a_package_counts_in_that_package(purl: str, counts: bool) -> None:
    assert waived(waiver("GHSA-1", purl=purl)) == (["GHSA-1"] if counts else [])


def test_a_waiver_for_a_package_does_not_count_where_the_package_is_not_known() -> None:
    assert waived(waiver("CVE-2026-2", purl="pkg:pypi/libx")) == []


@pytest.mark.parametrize(
    ("subject", "counts"),
    [(DIGEST, True), ("localhost:5000/*", True), ("sha256:" + "cd" * 32, False), ("localhost:5000/other", False)],
)
def test_a_waiver_for_a_subject_counts_there(subject: str, counts: bool) -> None:
    assert waived(waiver("CVE-2026-2", subject=subject)) == (["CVE-2026-2"] if counts else [])


@pytest.mark.parametrize(("file", "counts"), [("tests/*", True), (None, True), ("src/*", False)])
def test_a_waiver_for_a_secret_counts_in_its_files(file: str | None, counts: bool) -> None:
    assert waived(waiver("f1", file=file)) == (["f1"] if counts else [])


def test_a_waiver_for_a_package_is_none_for_a_secret_and_the_other_way_round() -> None:
    assert waived(waiver("f1", purl="pkg:pypi/libx"), waiver("CVE-2026-2", file="*")) == []


def test_marks_that_were_there_before_are_taken_away() -> None:
    document = copy.deepcopy(INPUT)
    document["vulnerabilities"][0]["findings"][1].update(waived=True, waiver={"id": "forged"})
    assert waived(document=document) == []


def test_the_input_that_was_given_is_not_changed() -> None:
    before = copy.deepcopy(INPUT)
    apply_waivers(INPUT, [waiver("CVE-2026-2")], NOW)
    assert before == INPUT


def test_an_input_without_findings_stays_as_it_is() -> None:
    assert apply_waivers({"secrets": None}, [waiver("CVE-2026-2")], NOW) == ({"secrets": None}, ())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"finding": "CVE-*"}, "names no finding"),
        ({"finding": ""}, "names no finding"),
        ({"reason": "  "}, "a waiver has to say its reason"),
        ({"reason": "two\nlines"}, "a waiver has to say its reason, in one line"),
        ({"approver": ""}, "a waiver has to say its approver"),
        ({"days": -1}, "which is past"),
        ({"days": 366}, "the waiver would last 366 days; at most 365 are allowed"),
        ({"purl": ""}, "the purl of the waiver cannot be used"),
    ],
)
def test_a_waiver_that_says_too_little_or_too_much_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        waiver(**{"finding": "CVE-2026-2", **changes})


def test_a_waiver_is_read_as_it_was_written() -> None:
    one = waiver("CVE-2026-2", subject=DIGEST)
    assert Waiver.from_json(one.to_json()) == one


def test_an_expiry_without_a_zone_is_refused() -> None:
    with pytest.raises(PolicyError, match="is no time with a zone"):
        Waiver.from_json({**waiver("CVE-2026-2").to_json(), "expires": "2026-12-01T00:00:00"})


def test_a_finding_is_denied_waived_and_denied_again_when_the_waiver_has_expired() -> None:

    sample = Path(policies.__file__).parent / "supply_chain" / "samples" / "allowed_with_waiver.json"
    document = json.loads(sample.read_text())
    engine = open_engine(load_bundle())
    one = waiver("CVE-2026-1234")
    states = []
    for now, waivers in ((NOW, []), (NOW, [one]), (NOW + timedelta(days=31), [one])):
        given = {**document, "now": now.isoformat().replace("+00:00", "Z")}
        made, _used = apply_waivers(given, waivers, now)
        decision = decide(engine, "supply_chain.release", made)
        states.append((decision.allow, [one["finding"] for one in decision.waivers]))
    assert states == [(False, []), (True, ["CVE-2026-1234"]), (False, [])]

"""Somebody changes what lies in the store between two runs: nothing behind the gate is done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from maestro.artifacts import Artifact, keys
from maestro.artifacts.records import encode
from tests.e2e.example import Example
from tests.e2e.product import Ended
from tests.e2e.store_intruder import Intruder, output, overwrite


@pytest.fixture
def repaired(repaired_example: Example, tmp_path: Path) -> Example:
    return repaired_example.copy(tmp_path / "app")


@pytest.fixture
def vulnerable(delivered_example: Example) -> str:
    """The revision before, whose evidence lies in the same store."""
    return delivered_example.revision


def deploy(example: Example) -> Ended:
    """Deploys alone, with what the steps before have left in the store."""
    return example.maestro("run", "--only", "deploy")


def test_what_nobody_changed_can_be_deployed_again(repaired: Example) -> None:
    ended = deploy(repaired)
    assert ended.code == 0, ended.text
    assert repaired.deployments == [repaired.revision] * 2


def _other_bytes(step: str, chosen: Callable[[Intruder, str, str], Artifact]) -> Callable[[Intruder, str, str], str]:
    def change(intruder: Intruder, new: str, old: str) -> str:
        own, other = chosen(intruder, step, new), chosen(intruder, step, old)
        overwrite(intruder.bytes_of(own), intruder.bytes_of(other).read_bytes())
        return own.sha256

    return change


def _sbom(intruder: Intruder, step: str, revision: str) -> Artifact:
    return output(intruder.record(step, revision), "sbom.cdx.json")


def _image(intruder: Intruder, step: str, revision: str) -> Artifact:
    return output(intruder.record(step, revision), "image")


def _bundle(intruder: Intruder, step: str, revision: str) -> Artifact:
    return intruder.record(step, revision).evidence[0]


def _bundle_of_another_revision(intruder: Intruder, new: str, old: str) -> str:
    other = intruder.record("package/scan", old).evidence
    intruder.change_record("package/scan", new, lambda record: replace(record, evidence=other))
    return other[0].sha256


def _image_of_another_revision(intruder: Intruder, new: str, old: str) -> str:
    other = intruder.record("package/image", old)
    intruder.change_record(
        "package/image", new, lambda record: replace(record, outputs=other.outputs, subjects=other.subjects)
    )
    return intruder.record("package/image", new).evidence[0].sha256


def _image_nobody_speaks_of(intruder: Intruder, new: str, old: str) -> str:
    other = intruder.record("package/image", old)
    intruder.change_record("package/image", new, lambda record: replace(record, outputs=other.outputs, subjects=()))
    return intruder.record("package/image", new).evidence[0].sha256


def _scan_that_found_less(intruder: Intruder, new: str, old: str) -> str:
    intruder.change_record(
        "package/scan", new, lambda record: replace(record, values={"state": "clean", "findings": -1})
    )
    return intruder.record("package/scan", new).evidence[0].sha256


def _statement_withheld(intruder: Intruder, new: str, old: str) -> str:
    bundle = intruder.record("package/scan", new).evidence[0].sha256
    next(file for file in intruder.index_files(new) if bundle in file.name).unlink()
    return bundle


TAMPERINGS = {
    "an SBOM with other bytes": (_other_bytes("package/sbom", _sbom), "its sbom statement sha256:"),
    "a bundle with other bytes": (_other_bytes("package/scan", _bundle), "its vulnerabilities statement sha256:"),
    "a bundle of another revision": (_bundle_of_another_revision, "its vulnerabilities statement sha256:"),
    "an archive of another image": (_other_bytes("package/image", _image), "those its statements are about"),
    "a record with another image": (_image_of_another_revision, "its delivery statement sha256:"),
    "a record that hides its image": (_image_nobody_speaks_of, "its delivery statement sha256:"),
    "a record that found less": (_scan_that_found_less, "its vulnerabilities statement sha256:"),
    "a statement taken away": (_statement_withheld, "its vulnerabilities statement sha256:"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_was_changed_between_two_runs_is_refused_by_the_statement_that_speaks_of_it(
    repaired: Example, vulnerable: str, tampering: str
) -> None:
    change, says = TAMPERINGS[tampering]
    digest = change(Intruder(repaired), repaired.revision, vulnerable)
    ended = deploy(repaired)
    assert ended.code == 1
    assert says in ended.out, ended.text
    assert digest in ended.out, ended.text
    assert "Traceback" not in ended.text
    assert repaired.deployments == [repaired.revision]


def test_what_was_set_aside_stays_so_until_a_person_releases_it(repaired: Example, vulnerable: str) -> None:
    intruder = Intruder(repaired)
    before = intruder.record_file("package/scan", repaired.revision).read_bytes()
    _scan_that_found_less(intruder, repaired.revision, vulnerable)
    assert deploy(repaired).code == 1
    overwrite(intruder.record_file("package/scan", repaired.revision), before)
    again = deploy(repaired)
    assert again.code == 1
    assert "is in quarantine" in again.out
    (row,) = repaired.audit("artifact.quarantined")
    assert "vulnerabilities statement" in row["data"]["reason"]
    shown = repaired.maestro("evidence", "show", repaired.revision)
    assert shown.code == 1
    assert "quarantined" in shown.out
    released = repaired.maestro("evidence", "quarantine", row["object"], "--release", "--reason", "the record is back")
    assert released.code == 0, released.text
    ended = deploy(repaired)
    assert ended.code == 0, ended.text


def test_a_gate_that_denied_lets_nothing_through_whatever_its_record_says(
    delivered_example: Example, tmp_path: Path
) -> None:
    stopped = delivered_example.copy(tmp_path / "app")
    refused = deploy(stopped)
    assert refused.code == 1
    assert "gate 'package/gate' has not let this revision through: denied by supply_chain.release" in refused.out
    Intruder(stopped).change_record("package/gate", stopped.revision, lambda record: replace(record, passed=True))
    again = deploy(stopped)
    assert again.code == 1
    assert "its decision statement sha256:" in again.out
    assert stopped.deployments == []


def test_an_earlier_decision_that_was_put_back_does_not_count(delivered_example: Example, tmp_path: Path) -> None:
    stopped = delivered_example.copy(tmp_path / "app")
    added = stopped.maestro("waivers", "add", "CVE-2019-10906", "--expires", "1d", "--reason", "tonight only", "--json")
    allowed = stopped.run("package")
    assert allowed.last["state"] == "succeeded", allowed.last
    stopped.maestro("waivers", "revoke", added.json()["id"], "--reason", "not tonight")
    denied = stopped.run("--only", "package/gate")
    assert denied.last["state"] == "failed", denied.last
    intruder = Intruder(stopped)
    earlier = intruder.folder / keys.run_step(allowed.last["run_id"], "package/gate")
    overwrite(intruder.record_file("package/gate", stopped.revision), earlier.read_bytes())
    ended = deploy(stopped)
    assert ended.code == 1
    assert "gate 'package/gate' has decided again since: its newest decision statement sha256:" in ended.out
    assert stopped.deployments == []


def test_a_revision_its_gate_was_not_asked_about_is_not_deployed(repaired: Example) -> None:
    repaired.vendor("3.1.5")
    ended = deploy(repaired)
    assert ended.code == 1
    assert "gate 'package/gate' has not been asked whether revision" in ended.out
    assert "next: ask it: maestro run package/gate" in ended.out
    assert len(repaired.deployments) == 1


def test_another_image_put_into_the_cache_is_not_used_but_made_again(repaired: Example, vulnerable: str) -> None:
    intruder = Intruder(repaired)
    old, new = (intruder.record("package/image", one) for one in (vulnerable, repaired.revision))
    assert new.cache_key is not None
    exchanged = replace(new, outputs=old.outputs, subjects=old.subjects)
    overwrite(intruder.folder / keys.cache(new.cache_key), encode(exchanged))
    again = repaired.run()
    assert again.states()["package/gate"] == "passed"
    made = intruder.record("package/image", repaired.revision)
    assert made.subjects == new.subjects
    assert made.cache == "miss"

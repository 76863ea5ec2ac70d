"""The policies Maestro ships: tested, covered, with samples of what they allow and deny."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import policies
from maestro.policy import decide, load_bundle, open_engine
from maestro.policy.bundle import _builtin
from maestro.policy.inspection import policies_of
from maestro.policy.testing import run_tests

FOLDER = Path(policies.__file__).parent
PACKAGES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path.name not in ("lib", "__pycache__"))
SAMPLES = sorted(FOLDER.glob("*/samples/*.json"))


def test_every_test_of_a_policy_passes_and_every_line_is_covered() -> None:
    report = run_tests(FOLDER)
    assert [one for one in report.results if one.state != "passed"] == []
    assert [(one.file, one.not_covered) for one in report.coverage if one.not_covered] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_tests_and_samples_of_allowed_and_denied_input(package: str) -> None:
    names = {path.name for path in (FOLDER / package / "samples").glob("*.json")}
    assert (FOLDER / package / f"{package}_test.rego").is_file()
    assert any(name.startswith("allowed_") for name in names)
    assert any(name.startswith("denied_") for name in names)


def test_what_is_shipped_passes_the_checks_it_is_not_put_through_in_each_process() -> None:
    assert load_bundle(FOLDER).digest == load_bundle().digest


def test_a_package_of_the_same_name_elsewhere_on_the_path_is_not_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.rego").write_text("package maestro.mine\n")
    monkeypatch.setattr(policies, "__file__", str(tmp_path / "__init__.py"))
    _builtin.cache_clear()
    assert "mine.rego" not in load_bundle().files


def test_every_package_can_be_named_by_a_gate() -> None:
    assert policies_of(load_bundle()) == tuple(f"{package}.release" for package in PACKAGES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_sample_is_decided_as_its_name_says(sample: Path) -> None:
    decision = decide(open_engine(load_bundle()), f"{sample.parts[-3]}.release", json.loads(sample.read_text()))
    assert decision.error is None
    assert decision.allow == sample.name.startswith("allowed_")
    assert decision.allow == (decision.reasons == ())


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [None], [7], [{}], {"a": 1}])
def test_no_field_of_an_input_of_the_wrong_type_leads_to_an_allow_that_was_none_before(
    package: str, value: object
) -> None:
    engine = open_engine(load_bundle())
    denied = next(path for path in SAMPLES if path.parts[-3] == package and path.name.startswith("denied_"))
    document = json.loads(denied.read_text())
    for field in document:
        if field in ("config", "freeze", "vulnerabilities", "environment", "user", "promotion"):
            # What denies lies in these: another value may rightly be an allow.
            continue
        decision = decide(engine, f"{package}.release", {**document, field: value})
        assert not decision.allow, field


@pytest.mark.parametrize("package", PACKAGES)
def test_an_empty_input_is_denied(package: str) -> None:
    decision = decide(open_engine(load_bundle()), f"{package}.release", {})
    assert not decision.allow
    assert decision.error is None
    assert decision.changes

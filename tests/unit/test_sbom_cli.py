"""``maestro evidence diff`` on files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maestro.cli.evidence_diff import command
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    places = []
    for name, version in (("before", "1.0"), ("after", "1.1")):
        place = tmp_path / f"{name}.cdx.json"
        component = {"name": "lib", "version": version, "purl": f"pkg:pypi/lib@{version}"}
        place.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [component]}))
        places.append(str(place))
    return places[0], places[1]


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=GlobalOptions())


def test_files_are_compared_without_a_project_around_them(files: tuple[str, str]) -> None:
    result = diff(*files)
    assert result.exit_code == 0
    assert "0 added, 0 removed, 1 changed (1 up)" in result.output


def test_json_is_one_object(files: tuple[str, str]) -> None:
    (subject,) = json.loads(diff(*files, "--json").output)["subjects"]
    assert subject["changed"][0]["direction"] == "up"


def test_each_form_can_be_written_to_a_file(files: tuple[str, str], tmp_path: Path) -> None:
    for form, begins in (("markdown", "### "), ("html", "<!doctype html>"), ("json", "{")):
        place = tmp_path / f"out.{form}"
        assert f"wrote {place}" in diff(*files, "--format", form, "-o", str(place)).output
        assert place.read_text().startswith(begins)


def test_reports_on_files_are_compared_too(files: tuple[str, str], tmp_path: Path) -> None:
    reports = []
    for name, findings in (("a", []), ("b", [{"id": "CVE-1", "package": "lib", "severity": "high"}])):
        place = tmp_path / f"{name}.json"
        place.write_text(json.dumps({"state": "findings", "findings": findings}))
        reports.append(str(place))
    assert "vulnerabilities: 1 new (1 high)" in diff(*files, "--vulnerabilities", *reports).output


def test_bad_input_is_refused_with_what_is_wrong(files: tuple[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    for arguments, message in (
        ((files[0], str(broken)), "the document is no JSON object"),
        ((*files, "--vulnerabilities", str(broken), str(broken)), "this is no vulnerability report"),
        ((*files, "--vulnerabilities", str(tmp_path / "none"), str(broken)), "this is no vulnerability report"),
    ):
        error = diff(*arguments).exception
        assert isinstance(error, InputError)
        assert message in error.what
        assert error.next_step


def test_reports_go_with_two_files_only(files: tuple[str, str]) -> None:
    result = diff(files[0], "--vulnerabilities", *files)
    assert result.exit_code == 2
    assert "--vulnerabilities goes with two files" in result.output

"""``maestro evals``: the weeks, a report, and a regression that somebody accepts."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maestro.artifacts import ArtifactStore, keys
from maestro.cli.evals import command
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError
from maestro.evals.history import History
from maestro.evals.render_html import to_html
from maestro.evals.weekly import close_week
from tests.unit.eval_runs import WEEK, WEEK_BEFORE, run_of

WORKFLOW = """name: delivery
project: app
stages:
  - name: build
    steps:
      - { id: hello, run: shell, with: { command: 'true' } }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MAESTRO_HOME", raising=False)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "maestro.yaml").write_text(WORKFLOW)
    return tmp_path


@pytest.fixture
def history(project: Path) -> History:
    """A good week and a regression after it, as the standing assets leave them."""
    store = ArtifactStore.open(str(project / ".maestro" / "artifacts"))
    history = History(store, "app")
    for week, fails in ((WEEK_BEFORE, 0), (WEEK, 20)):
        history.put(run_of(week=week, fails=lambda number, fails=fails: number < fails))
        report, _missing = close_week(history, "code_review", week, ["m"], {})
        for form, data in (("html", to_html(report).encode()), ("json", report.encoded())):
            store.objects.replace(keys.eval_report("app", "code_review", week, form), data)
    return history


def _evals(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=GlobalOptions(project=project), catch_exceptions=True)


def _refused(result: Result) -> str:
    assert isinstance(result.exception, InputError)
    return str(result.exception)


def test_a_project_without_evaluations_says_so(project: Path) -> None:
    assert _evals(project, "list").output == "no model was evaluated yet\n"


def test_the_list_has_a_line_a_week_and_says_which_are_baselines(project: Path, history: History) -> None:
    lines = _evals(project, "list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["WEEK", WEEK_BEFORE, WEEK]
    assert "80 of 80" in lines[1]
    assert "worse" in lines[2]


def test_the_list_as_json_is_one_object(project: Path, history: History) -> None:
    weeks = json.loads(_evals(project, "list", "--json").output)["weeks"]
    assert [(one["week"], one["compared"], one["good"]) for one in weeks] == [
        (WEEK_BEFORE, "first", True),
        (WEEK, "regression", False),
    ]


def test_a_report_can_be_read_and_written(project: Path, history: History, tmp_path: Path) -> None:
    assert "m: It became worse: 60 of 80 cases pass" in _evals(project, "report", WEEK).output
    place = tmp_path / "report.html"
    assert f"wrote {place}" in _evals(project, "report", WEEK, "--format", "html", "--output", str(place)).output
    assert place.read_text().startswith("<!doctype html>")


def test_an_accepted_regression_is_the_baseline_of_later_weeks(project: Path, history: History) -> None:
    assert history.last_good("code_review", "m", "2026-11-23")[0] == history.get("code_review", "m", WEEK_BEFORE)
    result = _evals(project, "accept", "m", WEEK, "--reason", "the new version is cheaper")
    assert result.output == f"later weeks of m are compared with {WEEK}\n"
    good, _notes = history.last_good("code_review", "m", "2026-11-23")
    assert good is not None
    assert good.accepted is not None
    assert (good.run.week, good.accepted.reason) == (WEEK, "the new version is cheaper")
    assert good.accepted.at.date() >= date(2026, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "2026-11-17"), "2026-11-17 is no Monday"),
        (("report", "2026-11-02"), "there is no report of the week 2026-11-02"),
        (("accept", "m", WEEK_BEFORE, "--reason", "x"), f"the week {WEEK_BEFORE} of 'm' is no regression"),
        (("accept", "n", WEEK, "--reason", "x"), f"'n' was not evaluated in the week {WEEK}"),
        (("accept", "m", WEEK, "--reason", " "), "there is no reason"),
    ],
)
def test_bad_input_is_told(project: Path, history: History, arguments: tuple[str, ...], said: str) -> None:
    assert said in _refused(_evals(project, *arguments))

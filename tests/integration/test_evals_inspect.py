"""A worker that crashes, hangs, lies or leaves half a log never makes a complete run; inspect-ai itself does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from maestro.errors import InputError, MaestroError
from maestro.evals import inspect_worker
from maestro.evals.cases import Case
from maestro.evals.evaluating import evaluate
from maestro.evals.results import CaseResult, ModelRun
from maestro.evals.running import begin
from maestro.evals.with_inspect import PYTHON_VARIABLE, RUNNER, interpreter, run_with_inspect
from tests.unit.eval_models import ScriptedModels, right, wrong
from tests.unit.eval_runs import evaluation

CASE = {"id": "one", "messages": [{"role": "user", "content": "?"}]}
CACHED = Path(__file__).parents[2] / ".cache" / "evals" / "bin" / "python"
WORKER = Path(__file__).with_name("eval_worker.py")


def _command(mode: str) -> Sequence[str]:
    return (sys.executable, str(WORKER), mode)


def _run(mode: str, models: ScriptedModels | None = None, **more: object) -> tuple[ModelRun, bytes | None]:
    return run_with_inspect(begin(evaluation(), models or ScriptedModels(), runner=RUNNER), _command(mode), **more)


def test_a_worker_that_does_its_work_makes_a_complete_run() -> None:
    run, log = _run("good")
    assert (run.state, run.problem, run.runner) == ("complete", "", "inspect-ai 0.3.285")
    assert log is not None
    assert len(json.loads(log)["samples"]) == 80


def test_a_worker_that_is_killed_leaves_a_partial_run_with_what_was_answered() -> None:
    models = ScriptedModels()
    run, log = _run("crash", models)
    assert (run.state, log) == ("partial", None)
    assert len(run.answered) == len(models.asked) == 20
    assert run.problem == (
        "60 of 80 cases have no answer: inspect-ai ended with exit code -9 before it was done: Segmentation something"
    )


def test_a_worker_that_hangs_is_killed_when_its_time_is_up() -> None:
    run, _log = _run("hang", limit=1.5)
    assert run.state == "partial"
    assert len(run.answered) == 20
    assert "inspect-ai was stopped after 2 seconds, before it was done" in run.problem


def test_a_worker_is_killed_when_the_run_is_cancelled() -> None:
    cancelled = threading.Event()
    count = iter(range(1000))

    def seen(_result: CaseResult) -> None:
        if next(count) == 19:
            cancelled.set()

    progress = begin(evaluation(), ScriptedModels(), runner=RUNNER, cancelled=cancelled, on_result=seen)
    run, _log = run_with_inspect(progress, _command("hang"))
    assert run.state == "partial"
    assert "it was cancelled" in run.problem


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("truncated", "the log of inspect-ai is cut off or damaged"),
        ("short", "the log of inspect-ai says 'success' and has 79 of 80 cases"),
        ("failed", "the log of inspect-ai says 'error' and has 80 of 80 cases"),
        ("lie", "the log of inspect-ai has other scores than the answers got"),
        ("newer", "this is inspect-ai 0.4.0, and 0.3.285 was expected"),
    ],
)
def test_a_log_that_is_not_whole_makes_the_run_partial_although_all_was_answered(mode: str, problem: str) -> None:
    run, _log = _run(mode)
    assert (run.state, run.problem) == ("partial", problem)
    assert len(run.answered) == 80


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("silent", "inspect-ai ended with exit code 0 before it was done"),
        ("garbage", "inspect-ai ended with exit code -9 before it was done"),
        ("unknown", "inspect-ai ended with exit code 1 before it was done: this is not what was answered"),
    ],
)
def test_a_worker_that_does_not_keep_to_the_lines_asks_nothing(
    mode: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.evals.with_inspect._ENDS_WITHIN", 0.5)
    models = ScriptedModels()
    run, _log = _run(mode, models)
    assert problem in run.problem
    assert models.asked == []


def test_a_worker_cannot_have_a_case_answered_twice() -> None:
    models = ScriptedModels()
    run, _log = _run("twice", models)
    assert run.state == "complete"
    assert len(models.asked) == 80


def test_the_worker_has_no_key_and_nothing_else_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-worker")
    run, _log = _run("environment")
    assert "OPENAI_API_KEY" not in run.problem
    assert "'HOME'" in run.problem
    assert "'PATH'" in run.problem


def test_an_interpreter_without_inspect_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    run, _log = run_with_inspect(begin(evaluation(), ScriptedModels(), runner=RUNNER), (str(bare),))
    assert run.state == "partial"
    assert f"{bare} has no inspect-ai" in run.problem


def test_an_interpreter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{PYTHON_VARIABLE} names '/nowhere/python', which cannot be run"):
        interpreter({PYTHON_VARIABLE: "/nowhere/python"})


@pytest.mark.skipif(find_spec("inspect_ai") is not None, reason="inspect-ai is installed here")
def test_without_inspect_there_is_no_quiet_change_to_the_other_runner() -> None:
    models = ScriptedModels()
    with pytest.raises(InputError, match="the runner 'inspect' needs the extra 'evals'") as caught:
        evaluate(evaluation(), models, "inspect", environ={})
    assert "runner: maestro" in str(caught.value)
    assert models.asked == []


def _environ() -> dict[str, str]:
    """The environment, with the interpreter ./scripts/models has set up for inspect-ai when nothing else is named."""
    environ = dict(os.environ)
    if CACHED.exists():
        environ.setdefault(PYTHON_VARIABLE, str(CACHED))
    return environ


@pytest.mark.models
def test_inspect_itself_gives_the_scores_our_own_runner_gives() -> None:
    def script(case: Case) -> str | MaestroError:
        return wrong(case) if case.id.startswith("ts-") else right(case)

    theirs, log = evaluate(evaluation(), ScriptedModels(script), "inspect", environ=_environ())
    ours, _none = evaluate(evaluation(), ScriptedModels(script), "maestro", environ=_environ())
    assert (theirs.state, theirs.problem, theirs.runner) == ("complete", "", "inspect-ai 0.3.285")
    assert theirs.results == ours.results
    assert log is not None
    accuracy = json.loads(log)["results"]["scores"][0]["metrics"]["accuracy"]["value"]
    assert accuracy == pytest.approx(61 / 80)


@pytest.mark.models
def test_inspect_itself_asks_no_more_once_nothing_answers() -> None:
    seen = iter(range(1000))

    def script(case: Case) -> str | MaestroError:
        return right(case) if next(seen) < 10 else MaestroError("the provider is away")

    run, _log = evaluate(evaluation(), ScriptedModels(script), "inspect", environ=_environ())
    assert run.state == "partial"
    assert len(run.answered) == 10
    assert "questions in a row had no answer: the provider is away" in run.problem


@pytest.mark.models
def test_the_worker_ends_when_whoever_pays_is_gone(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        listener.listen(1)
        argv = [*interpreter(_environ()), "-I", str(inspect_worker.__file__), str(place)]
        with subprocess.Popen(argv, cwd=tmp_path) as worker:
            connection, _address = listener.accept()
            task = {"name": "t", "model": "m", "at_once": 1, "log_dir": str(tmp_path / "log"), "cases": [CASE]}
            with connection, connection.makefile("rwb") as lines:
                lines.write(json.dumps({"task": task}).encode() + b"\n")
                lines.flush()
                assert json.loads(lines.readline())["ask"] == "one"
            assert worker.wait(30) == inspect_worker.GONE

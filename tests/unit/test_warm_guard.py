"""One guard for several runs of a process."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from maestro.errors import MaestroError
from maestro.process import ProcessRunner
from maestro.process.shared import guard_prepared, guard_shared, shared_guard
from tests.e2e.cli_process import until

PATH = {"PATH": os.environ["PATH"]}


def run(runner: ProcessRunner, folder: Path, command: str) -> int:
    return runner.run(["bash", "-c", command], cwd=folder, env=PATH, stdout=folder / "out").exit_code


def test_runners_of_one_process_share_a_guard(tmp_path: Path) -> None:
    with guard_shared() as guard, ProcessRunner() as one, ProcessRunner() as two:
        assert run(one, tmp_path, "true") == 0
        assert run(two, tmp_path, "exit 3") == 3
        assert one.guard_pid == two.guard_pid == guard.pid


def test_a_runner_has_its_own_guard_elsewhere(tmp_path: Path) -> None:
    with guard_shared():
        pass
    assert shared_guard() is None
    with ProcessRunner() as one, ProcessRunner() as two:
        run(one, tmp_path, "true")
        run(two, tmp_path, "true")
        assert one.guard_pid != two.guard_pid


def test_the_first_runner_has_the_guard_that_was_started_in_advance(tmp_path: Path) -> None:
    with guard_prepared(), ProcessRunner() as one, ProcessRunner() as two:
        prepared = one.guard_pid
        assert prepared is not None
        assert two.guard_pid is None
        assert run(one, tmp_path, "true") == 0
        assert one.guard_pid == prepared
    assert not psutil.pid_exists(prepared)


def test_a_guard_that_nobody_takes_ends_with_the_block() -> None:
    before = psutil.Process().children()
    with guard_prepared():
        # For a moment after its start a process has no command line yet.
        (guard,) = [one for one in psutil.Process().children() if one not in before]
        until(lambda: "guard.py" in " ".join(guard.cmdline()), "the guard is one")
    assert not guard.is_running()
    with ProcessRunner() as later:
        assert later.guard_pid is None


def test_where_a_guard_is_shared_none_is_started_in_advance(tmp_path: Path) -> None:
    with guard_shared() as guard, guard_prepared(), ProcessRunner() as one:
        assert one.guard_pid is None
        assert run(one, tmp_path, "true") == 0
        assert one.guard_pid == guard.pid


def test_closing_a_runner_ends_its_processes_and_leaves_those_of_others(tmp_path: Path) -> None:
    with guard_shared(), ProcessRunner() as one, ProcessRunner() as two:
        codes: dict[str, int] = {}
        threads = []
        for name, runner in (("one", one), ("two", two)):
            folder = tmp_path / name
            folder.mkdir()
            command = "touch ready; until test -e go; do sleep 0.02; done"
            thread = threading.Thread(
                target=lambda name=name, runner=runner, folder=folder, command=command: codes.update(
                    {name: run(runner, folder, command)}
                )
            )
            thread.start()
            threads.append(thread)
        while not all((tmp_path / name / "ready").exists() for name in ("one", "two")):
            threads[0].join(0.01)
        one.close()
        threads[0].join()
        assert codes["one"] == 128 + signal.SIGTERM
        (tmp_path / "two" / "go").touch()
        threads[1].join()
        assert codes["two"] == 0


def test_a_killed_guard_is_replaced_for_the_next_step(tmp_path: Path) -> None:
    with guard_shared() as guard, ProcessRunner() as one:
        run(one, tmp_path, "true")
        first = guard.pid
        assert first is not None
        process = psutil.Process(first)
        process.kill()
        process.wait()
        assert run(one, tmp_path, "true") == 0
        assert guard.pid != first


def test_a_closed_runner_refuses_although_the_guard_is_there(tmp_path: Path) -> None:
    with guard_shared(), ProcessRunner() as one, ProcessRunner() as two:
        one.close()
        with pytest.raises(MaestroError, match="the process runner is closed"):
            run(one, tmp_path, "true")
        assert run(two, tmp_path, "true") == 0

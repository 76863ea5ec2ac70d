"""Nothing a step starts outlives the step, its cancellation, its guard or the run worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maestro.errors import MaestroError
from maestro.process import ProcessRunner

ENVIRONMENT = {"PATH": os.environ["PATH"]}
DEADLINE = 30.0

# A main process, a plain child, a setsid'ed grandchild and a double-forked daemon with a cleared environment.
TREE = """
import os, signal, sys, time
folder = sys.argv[1]
def note(name):
    with open(f"{folder}/{name}.partial", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/{name}.partial", f"{folder}/{name}.pid")
if "ignore" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    note("child")
    if os.fork() == 0:
        os.setsid()
        note("grandchild")
    time.sleep(600)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    note("daemon")
    os.execve("/bin/sleep", ["sleep", "600"], {})
note("main")
if "exit" in sys.argv:
    while not all(os.path.exists(f"{folder}/{name}.pid") for name in ("child", "grandchild", "daemon")):
        time.sleep(0.01)
    os._exit(7)
time.sleep(600)
"""
NAMES = ("main", "child", "grandchild", "daemon")

WORKER = """
import sys, threading
from pathlib import Path
from maestro.process import ProcessRunner
runner = ProcessRunner()
tree, folders = sys.argv[1], sys.argv[2:]
def one(folder):
    runner.run([sys.executable, "-c", tree, folder, "ignore"], cwd=Path(folder), env={}, stdout=Path(folder) / "out")
threads = [threading.Thread(target=one, args=(folder,)) for folder in folders]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def started(folder: Path) -> bool:
    return all((folder / f"{name}.pid").exists() for name in NAMES)


def pids(folder: Path) -> dict[str, int]:
    return {name: int((folder / f"{name}.pid").read_text()) for name in NAMES}


def survivors(folder: Path) -> list[str]:
    return [name for name, pid in pids(folder).items() if alive(pid)]


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    with ProcessRunner() as opened:
        yield opened


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", TREE, str(folder), *words]


def test_what_a_step_leaves_behind_is_killed_and_counted(runner: ProcessRunner, tmp_path: Path) -> None:
    result = runner.run(command(tmp_path, "exit"), cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out")
    assert (result.exit_code, result.leftovers) == (7, 3)
    assert survivors(tmp_path) == []


def test_what_is_about_to_end_by_itself_may(runner: ProcessRunner, tmp_path: Path) -> None:
    script = "(sleep 0.02; echo late) & exit 0"
    result = runner.run(["sh", "-c", script], cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out")
    assert (result.leftovers, (tmp_path / "out").read_text()) == (0, "late\n")


def test_leftovers_of_one_step_are_killed_while_those_of_another_live(runner: ProcessRunner, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            runner.run, command(other), cwd=other, env=ENVIRONMENT, stdout=other / "out", stop=stop, grace=0.1
        )
        eventually(lambda: started(other))
        runner.run(command(one, "exit"), cwd=one, env=ENVIRONMENT, stdout=one / "out")
        assert survivors(one) == []
        assert survivors(other) == list(NAMES)
        stop.set()
        assert waiting.result().stopped
    assert survivors(other) == []


@pytest.mark.parametrize("words", [(), ("ignore",)])
def test_stopping_ends_the_whole_tree(runner: ProcessRunner, tmp_path: Path, words: tuple[str, ...]) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            runner.run,
            command(tmp_path, *words),
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=tmp_path / "out",
            stop=stop,
            grace=0.2,
        )
        eventually(lambda: started(tmp_path))
        stop.set()
        result = waiting.result()
    number = signal.SIGKILL if words else signal.SIGTERM
    assert (result.stopped, result.timed_out, result.exit_code) == (True, False, 128 + number)
    assert survivors(tmp_path) == []


def test_a_timeout_ends_the_whole_tree(runner: ProcessRunner, tmp_path: Path) -> None:
    # Long enough for this machine to have started the tree.
    for timeout in (0.5, 4.0, 32.0):
        result = runner.run(
            command(tmp_path, "ignore"),
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=tmp_path / "out",
            timeout=timeout,
            grace=0.1,
        )
        if started(tmp_path):
            break
    assert (result.timed_out, result.stopped, result.exit_code) == (True, False, 137)
    assert survivors(tmp_path) == []


def test_a_step_that_is_stopped_may_clean_up_first(runner: ProcessRunner, tmp_path: Path) -> None:
    script = "trap 'echo tidy; exit 5' TERM; : > ready; while :; do sleep 0.01; done"
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            runner.run,
            ["sh", "-c", script],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=tmp_path / "out",
            stop=stop,
            grace=20,
        )
        eventually((tmp_path / "ready").exists)
        stop.set()
        result = waiting.result()
    assert (result.stopped, result.exit_code) == (True, 5)
    assert "tidy" in (tmp_path / "out").read_text()


def test_terminating_all_ends_every_step_and_the_runner_goes_on(runner: ProcessRunner, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(3) as pool:
        waiting = [
            pool.submit(runner.run, command(folder), cwd=folder, env=ENVIRONMENT, stdout=folder / "out")
            for folder in folders
        ]
        eventually(lambda: all(map(started, folders)))
        runner.terminate_all(grace=0.2)
        assert [survivors(folder) for folder in folders] == [[], [], []]
        assert all(each.result().stopped for each in waiting)
    assert runner.run(["true"], cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out").exit_code == 0


def test_closing_the_runner_kills_what_runs(tmp_path: Path) -> None:
    runner = ProcessRunner()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            runner.run, command(tmp_path, "ignore"), cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out"
        )
        eventually(lambda: started(tmp_path))
        guard = runner.guard_pid
        runner.close()
        assert waiting.result().stopped
    assert survivors(tmp_path) == []
    assert guard is not None
    assert not alive(guard)


def test_a_wait_that_is_cut_short_kills_the_step(runner: ProcessRunner, tmp_path: Path) -> None:
    class Interrupting(threading.Event):
        def is_set(self) -> bool:
            if started(tmp_path):
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt):
        runner.run(
            command(tmp_path, "ignore"), cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out", stop=Interrupting()
        )
    eventually(lambda: survivors(tmp_path) == [])


def test_a_killed_guard_takes_the_steps_along_and_the_next_step_gets_a_new_one(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(runner.run, command(tmp_path), cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out")
        eventually(lambda: started(tmp_path))
        killed = runner.guard_pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(MaestroError) as raised:
            waiting.result()
    assert raised.value.what == "the process guard was killed, and the step's processes with it"
    assert "then retry the run" in (raised.value.next_step or "")
    eventually(lambda: survivors(tmp_path) == [])
    assert runner.run(["true"], cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out").exit_code == 0
    assert runner.guard_pid != killed


def warden_of(runner: ProcessRunner) -> int:
    children = Path(f"/proc/{runner.guard_pid}/task/{runner.guard_pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def test_a_killed_warden_takes_its_step_along(runner: ProcessRunner, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(runner.run, command(tmp_path), cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out")
        eventually(lambda: started(tmp_path))
        os.kill(warden_of(runner), signal.SIGKILL)
        with pytest.raises(MaestroError, match="the process guard was killed"):
            waiting.result()
    eventually(lambda: survivors(tmp_path) == [])


def test_guard_and_warden_killed_together_leave_nothing_that_kept_its_environment(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:
        script = "setsid sleep 600 & echo $! > daemon; : > ready; wait"
        waiting = pool.submit(runner.run, ["sh", "-c", script], cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out")
        eventually((tmp_path / "ready").exists)
        warden, guard = warden_of(runner), runner.guard_pid
        assert guard is not None
        os.kill(guard, signal.SIGSTOP)
        os.kill(warden, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        with pytest.raises(MaestroError, match="the process guard was killed"):
            waiting.result()
    eventually(lambda: not alive(int((tmp_path / "daemon").read_text())))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_the_worker(tmp_path: Path, number: signal.Signals) -> None:
    folders = [tmp_path / str(index) for index in range(2)]
    for folder in folders:
        folder.mkdir()
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, TREE, *map(str, folders)], env={**os.environ, "PYTHONPATH": str(root)}
    ) as worker:
        try:
            eventually(lambda: all(map(started, folders)))
            children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        finally:
            worker.send_signal(number)
        assert worker.wait(DEADLINE) == -number
    eventually(lambda: all(survivors(folder) == [] for folder in folders))
    eventually(lambda: not any(alive(int(pid)) for pid in children))


def test_a_signal_to_everything_leaves_the_decision_to_the_worker(runner: ProcessRunner, tmp_path: Path) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            runner.run, command(tmp_path), cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "out", stop=stop, grace=0.1
        )
        eventually(lambda: started(tmp_path))
        guard = runner.guard_pid
        assert guard is not None
        for pid in (guard, warden_of(runner)):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(pid, number)
        result = runner.run(["true"], cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / "other")
        assert result.exit_code == 0
        assert survivors(tmp_path) == list(NAMES)
        stop.set()
        assert waiting.result().stopped

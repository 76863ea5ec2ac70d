from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError, MaestroError
from maestro.process import ProcessResult, ProcessRunner

ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    with ProcessRunner() as opened:
        yield opened


def run(runner: ProcessRunner, folder: Path, *argv: str, **options: Any) -> tuple[ProcessResult, str]:
    output = folder / "output"
    result = runner.run(argv, **{"cwd": folder, "env": ENVIRONMENT, "stdout": output, **options})
    return result, output.read_text(errors="replace")


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_the_process_s_own(runner: ProcessRunner, tmp_path: Path, code: int) -> None:
    result, _ = run(runner, tmp_path, "sh", "-c", f"exit {code}")
    assert result.exit_code == code
    assert not (result.timed_out or result.stopped or result.leftovers)


def test_a_signal_gives_128_and_its_number(runner: ProcessRunner, tmp_path: Path) -> None:
    result, _ = run(runner, tmp_path, "sh", "-c", "kill -SEGV $$")
    assert result.exit_code == 128 + signal.SIGSEGV


def test_a_command_that_is_not_found_exits_127_and_says_so(runner: ProcessRunner, tmp_path: Path) -> None:
    result, output = run(runner, tmp_path, "no-such-command")
    assert (result.exit_code, output) == (127, "maestro: no-such-command: command not found\n")


def test_a_path_that_does_not_exist_exits_127_and_says_so(runner: ProcessRunner, tmp_path: Path) -> None:
    result, output = run(runner, tmp_path, "./absent")
    assert (result.exit_code, output) == (127, "maestro: ./absent: No such file or directory\n")


def test_a_file_that_is_not_executable_exits_126_and_says_so(runner: ProcessRunner, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo no\n")
    result, output = run(runner, tmp_path, "./plain")
    assert (result.exit_code, output) == (126, "maestro: ./plain: Permission denied\n")


def test_a_script_whose_interpreter_is_missing_says_so(runner: ProcessRunner, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    result, output = run(runner, tmp_path, "./script")
    assert result.exit_code == 127
    assert output == "maestro: ./script: its interpreter does not exist (first line of the file)\n"


def test_the_path_of_the_step_s_environment_is_searched(runner: ProcessRunner, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "greet").write_text("#!/bin/sh\necho hello\n")
    (tools / "greet").chmod(0o755)
    _, output = run(runner, tmp_path, "greet", env={"PATH": str(tools)})
    assert output == "hello\n"


def test_standard_input_is_empty(runner: ProcessRunner, tmp_path: Path) -> None:
    _, output = run(runner, tmp_path, "sh", "-c", "readlink /proc/self/fd/0; cat")
    assert output == "/dev/null\n"


def test_nothing_but_the_given_environment_is_inherited(
    runner: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "visible")
    _, output = run(runner, tmp_path, "/usr/bin/env", env={"GIVEN": "yes"})
    names = {line.partition("=")[0] for line in output.splitlines()}
    assert names == {"GIVEN", "MAESTRO_STEP_TOKEN"}


def test_no_descriptor_but_the_standard_ones_is_inherited(runner: ProcessRunner, tmp_path: Path) -> None:
    # The fourth is the listing's own.
    _, output = run(runner, tmp_path, sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))")
    assert output == "['0', '1', '2', '3']\n"


def test_bytes_that_are_not_utf8_pass_unchanged(runner: ProcessRunner, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe \xc3\xa4")
    run(runner, tmp_path, "sh", "-c", 'printf %s "$1$ODD"', "sh", odd, env={**ENVIRONMENT, "ODD": odd})
    assert (tmp_path / "output").read_bytes() == b"\xff\xfe \xc3\xa4" * 2


def test_a_large_environment_and_many_arguments_arrive(runner: ProcessRunner, tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, **{f"LARGE_{number}": "x" * 100_000 for number in range(5)}}
    script = "echo $# ${#LARGE_0} ${#LARGE_4}"
    _, output = run(runner, tmp_path, "sh", "-c", script, "sh", *map(str, range(20_000)), env=environment)
    assert output == "20000 100000 100000\n"


def test_arguments_the_kernel_refuses_exit_126_and_say_so(runner: ProcessRunner, tmp_path: Path) -> None:
    result, output = run(runner, tmp_path, "true", "x" * 200_000)
    assert (result.exit_code, output) == (126, "maestro: true: Argument list too long\n")


def test_output_and_errors_can_go_to_different_places(runner: ProcessRunner, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    _, output = run(runner, tmp_path, "sh", "-c", "echo out; echo err >&2", stderr=errors)
    assert (output, errors.read_text()) == ("out\n", "err\n")


def test_output_and_errors_in_one_file_keep_their_order(runner: ProcessRunner, tmp_path: Path) -> None:
    script = "echo 1; echo 2 >&2; echo 3"
    _, output = run(runner, tmp_path, "sh", "-c", script, stderr=tmp_path / "output")
    assert output == "1\n2\n3\n"


def test_a_descriptor_is_appended_to_and_stays_open(runner: ProcessRunner, tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        log.write(b"before\n")
        log.flush()
        run(runner, tmp_path, "echo", "during", stdout=log.fileno(), stderr=tmp_path / "output")
        log.write(b"after\n")
    assert (tmp_path / "log").read_text() == "before\nduring\nafter\n"


def test_a_reader_of_the_output_sees_its_end(runner: ProcessRunner, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    runner.run(["echo", "text"], cwd=tmp_path, env=ENVIRONMENT, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"text\n"


def test_usage_covers_the_whole_tree(runner: ProcessRunner, tmp_path: Path) -> None:
    burn = "import sys; data = bytearray(80_000_000); sum(range(3_000_000))"
    result, _ = run(runner, tmp_path, "sh", "-c", '"$0" -c "$1"; true', sys.executable, burn)
    assert result.exit_code == 0
    assert result.max_rss_bytes > 80_000_000
    assert result.user_seconds > 0
    assert result.seconds > 0


def test_many_threads_get_their_own_exit_codes(runner: ProcessRunner, tmp_path: Path) -> None:
    def one(number: int) -> int:
        return runner.run(
            ["sh", "-c", f"exit {number % 100}"], cwd=tmp_path, env=ENVIRONMENT, stdout=tmp_path / f"out-{number}"
        ).exit_code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(200))) == [number % 100 for number in range(200)]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    with ProcessRunner() as runner:
        run(runner, tmp_path, "true")
        with_guard = count()
        for _ in range(20):
            run(runner, tmp_path, "true", stderr=tmp_path / "errors")
        with pytest.raises(InputError):
            run(runner, tmp_path, "true", stderr=tmp_path)
        assert count() == with_guard
    assert count() == before


@pytest.mark.parametrize(
    ("argv", "options", "message"),
    [
        ((), {}, "a step has no command to run"),
        (("true", "a\0b"), {}, "an argument of 'true' holds a NUL character"),
        (("true",), {"env": {"A=B": "c"}}, "'A=B' cannot be the name of an environment variable"),
        (("true",), {"env": {"A": "\0"}}, "the value of environment variable 'A' holds a NUL character"),
        (("true",), {"cwd": Path("/no/such/folder")}, "a step cannot start in /no/such/folder: no such folder"),
        (("true",), {"stdout": Path("/no/such/file")}, "output cannot be written to /no/such/file: No such file"),
    ],
)
def test_what_cannot_be_started_is_an_input_error(
    runner: ProcessRunner, tmp_path: Path, argv: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        runner.run(argv, **{"cwd": tmp_path, "env": {}, "stdout": tmp_path / "out", **options})
    assert raised.value.what.startswith(message)


def test_a_folder_that_vanishes_before_it_is_entered_is_an_input_error(runner: ProcessRunner, tmp_path: Path) -> None:
    entered = tmp_path / "gone"
    entered.mkdir()

    class Vanishing(type(tmp_path)):  # type: ignore[misc]  # Path itself cannot be a base.
        def is_dir(self) -> bool:
            existed = super().is_dir()
            if existed:
                self.rmdir()
            return existed

    with pytest.raises(InputError) as raised:
        runner.run(["true"], cwd=Vanishing(entered), env={}, stdout=tmp_path / "out")
    assert raised.value.what == f"a step cannot start in {entered}: No such file or directory"
    assert raised.value.next_step == "check the step's working directory"


def test_a_closed_runner_refuses(tmp_path: Path) -> None:
    runner = ProcessRunner()
    run(runner, tmp_path, "true")
    runner.close()
    runner.close()
    with pytest.raises(MaestroError, match="the process runner is closed; no more steps can start"):
        run(runner, tmp_path, "true")


def test_closing_a_runner_that_never_ran_does_nothing() -> None:
    runner = ProcessRunner()
    runner.close()
    assert runner.guard_pid is None


def test_another_system_than_linux_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with ProcessRunner() as runner, pytest.raises(MaestroError) as raised:
        run(runner, tmp_path, "true")
    assert "steps run on Linux only" in raised.value.what
    assert raised.value.next_step == "run Maestro on Linux, in a container or a virtual machine"


def test_a_guard_that_cannot_be_started_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with ProcessRunner() as runner, pytest.raises(MaestroError, match="the process guard cannot be started"):
        run(runner, tmp_path, "true")


def test_a_stop_set_beforehand_ends_the_process_at_once(runner: ProcessRunner, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    result, _ = run(runner, tmp_path, "sleep", "600", stop=stop)
    assert (result.stopped, result.timed_out, result.exit_code) == (True, False, 128 + signal.SIGTERM)


def test_a_process_that_ended_before_its_timeout_has_not_timed_out(runner: ProcessRunner, tmp_path: Path) -> None:
    result, _ = run(runner, tmp_path, "true", timeout=600, stop=threading.Event())
    assert (result.stopped, result.timed_out, result.exit_code) == (False, False, 0)

"""What a sandboxed step can reach, tried from inside."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import MaestroError
from maestro.process import ProcessResult, ProcessRunner, sandbox_arguments
from maestro.process.sandbox import LAUNCH_ENVIRONMENT, Sandbox, require_bubblewrap

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

# Of the system, since the interpreter running the tests may lie in a home folder.
PYTHON = shutil.which("python3", path=LAUNCH_ENVIRONMENT["PATH"]) or "python3"


@dataclass
class Case:
    """A source with something private beside it and in it, and a scratch folder."""

    root: Path
    runner: ProcessRunner
    log: str = field(default="", init=False)
    box: Sandbox | None = field(default=None, init=False)

    @property
    def workspace(self) -> Path:
        return self.root / "source"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def sandbox(self, **options: Any) -> Sandbox:
        """The one made by the first call, unless options ask for another."""
        if self.box is None or options:
            if self.box:
                self.box.remove()
            self.box = Sandbox.prepare(workspace=self.workspace, scratch=self.scratch, which=shutil.which, **options)
        return self.box

    def run(
        self, *argv: str, env: dict[str, str] | None = None, cwd: Path | None = None, **options: Any
    ) -> ProcessResult:
        environment = {"PATH": LAUNCH_ENVIRONMENT["PATH"], **(env or {})}
        command, outside = self.sandbox(**options).command(argv, env=environment, cwd=cwd)
        output = self.root / "output"
        result = self.runner.run(command, cwd=self.workspace, env=outside, stdout=output)
        self.log = output.read_text()
        return result

    def shell(self, script: str, **options: Any) -> ProcessResult:
        return self.run("sh", "-c", script, **options)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    for folder in ("source/.maestro/keys", "source/.git/hooks", "source/inner", "scratch", "beside"):
        (tmp_path / folder).mkdir(parents=True)
    for name in (
        "source/tracked",
        "source/inner/deep",
        "source/.maestro/keys/private",
        "source/token",
        "beside/secret",
    ):
        (tmp_path / name).write_text(f"content of {name}\n")
    with ProcessRunner() as runner:
        opened = Case(tmp_path, runner)
        yield opened
        if opened.box:
            opened.box.remove()
            assert not opened.box.view.exists()


def test_the_source_is_read_at_its_own_path(case: Case) -> None:
    case.shell('pwd; cat tracked inner/deep "$SOURCE/tracked"', env={"SOURCE": str(case.workspace)})
    deep, tracked = "content of source/inner/deep", "content of source/tracked"
    assert case.log.splitlines() == [str(case.workspace), tracked, deep, tracked]


def test_the_exit_code_comes_through(case: Case) -> None:
    assert case.shell("exit 7").exit_code == 7


def test_writes_and_deletions_do_not_reach_the_source(case: Case) -> None:
    result = case.shell("set -e; echo changed > tracked; rm inner/deep; echo new > new; cat tracked new; ls inner")
    assert (result.exit_code, case.log) == (0, "changed\nnew\n")
    assert (case.workspace / "tracked").read_text() == "content of source/tracked\n"
    assert (case.workspace / "inner/deep").exists()
    assert not (case.workspace / "new").exists()


def test_a_later_process_of_the_step_sees_what_an_earlier_one_wrote(case: Case) -> None:
    case.shell("echo one > made")
    case.shell("cat made")
    assert case.log == "one\n"


def test_the_loopback_of_the_host_is_out_of_reach(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        assert case.run(PYTHON, "-c", script).exit_code == 1
        assert "ConnectionRefusedError" in case.log
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        # The same attempt succeeds with the network, so it is the sandbox that stopped it.
        assert case.run(PYTHON, "-c", script, network=True).exit_code == 0, case.log


def test_only_the_loopback_interface_exists(case: Case) -> None:
    case.run(PYTHON, "-c", "import socket; print([name for _, name in socket.if_nameindex()])")
    assert case.log == "['lo']\n"


def test_a_socket_with_an_abstract_name_is_out_of_reach(case: Case) -> None:
    name = f"maestro-test-{os.getpid()}-{case.root.name}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        script = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
        assert case.run(PYTHON, "-c", script).exit_code == 1
        assert "ConnectionRefusedError" in case.log


def test_files_beside_the_source_do_not_exist(case: Case) -> None:
    result = case.shell(f"ls {case.root}; cat {case.root}/beside/secret")
    assert result.exit_code != 0
    assert case.log.splitlines()[:2] == ["scratch", "source"]
    assert "content of" not in case.log
    assert "No such file or directory" in case.log


def test_the_home_of_whoever_runs_maestro_does_not_exist(case: Case) -> None:
    home = Path.home()
    case.shell(f'ls -A "{home}" "$HOME"; ls -A /root /home; echo $HOME')
    visible = [line for line in case.log.splitlines() if "No such file" not in line and line and not line.endswith(":")]
    assert visible == ["step", "/home/step"]


def test_the_keys_of_the_project_and_hidden_files_are_not_there(case: Case) -> None:
    case.shell("ls -A . .maestro; cat token", hidden=[case.workspace / "token"])
    assert "content of" not in case.log
    assert "cannot access '.maestro'" in case.log
    assert "token\n" not in case.log


def test_a_hidden_folder_and_the_goal_of_a_hidden_link_are_not_there(case: Case) -> None:
    (case.workspace / "link").symlink_to("token")
    case.shell("ls -A", hidden=[case.workspace / "link", case.workspace / "inner"])
    assert case.log == ".git\ntracked\n"


def test_a_hidden_file_is_not_replaced_by_an_output(case: Case) -> None:
    case.shell(
        "echo x > token; mkdir inner; echo y > inner/deep; echo z > ok",
        hidden=[case.workspace / "token", case.workspace / "inner"],
    )
    assert case.sandbox().collect(["**"]) == [Path("ok")]
    assert (case.workspace / "token").read_text() == "content of source/token\n"


def test_only_the_given_files_are_copied_and_those_gone_are_left_out(case: Case) -> None:
    case.shell("find . -type f | sort", files=["inner/deep", "tracked", "gone", ".maestro/keys/private"])
    assert case.log == "./inner/deep\n./tracked\n"


def test_a_folder_of_the_view_is_the_same_folder_of_the_workspace_inside(case: Case) -> None:
    case.shell("pwd", cwd=case.sandbox().view / "inner")
    assert case.log == f"{case.workspace}/inner\n"


def test_the_worker_and_the_step_see_each_other_s_files_in_view_and_scratch(case: Case) -> None:
    box = case.sandbox()
    (case.scratch / "given").write_text("from the worker\n")
    case.shell(f"cat {case.scratch}/given; echo report > report; echo {box.view}; cat {box.view}/report")
    assert case.log == f"from the worker\n{box.view}\nreport\n"
    assert (box.view / "report").read_text() == "report\n"


def test_password_hashes_and_private_keys_of_the_system_do_not_exist(case: Case) -> None:
    case.shell(
        "for file in /etc/shadow /etc/ssl/private /root /run /var /sys /boot; do test -e $file && echo $file; done"
    )
    assert case.log == ""


def test_the_system_cannot_be_written(case: Case) -> None:
    case.shell("for folder in / /usr /etc /opt /usr/local/bin; do touch $folder/x 2>/dev/null && echo $folder; done")
    assert case.log == ""


def test_home_and_tmp_are_empty_and_can_be_written(case: Case) -> None:
    case.shell('find "$HOME" -mindepth 1; echo x > "$HOME/a"; echo y > "$TMPDIR/b"; cat "$HOME/a" /tmp/b')
    assert case.log == "x\ny\n"
    assert not Path("/tmp/b").exists()


def test_the_environment_is_the_step_s_alone(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_PARENT", "visible")
    case.run("/usr/bin/env", env={"GIVEN": "with = and\nnewline"})
    names = {line.partition("=")[0] for line in case.log.splitlines() if "=" in line}
    assert names == {"PATH", "GIVEN", "HOME", "TMPDIR", "PWD"}
    assert "GIVEN=with = and\nnewline\n" in case.log


def test_the_environment_of_the_programs_outside_is_not_seen_through_proc(case: Case) -> None:
    case.shell("cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c MAESTRO_STEP_TOKEN")
    assert case.log == "0\n"


def test_proc_shows_the_step_s_own_processes_only(case: Case) -> None:
    case.run(PYTHON, "-c", "import os; print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))")
    numbers = [int(word) for word in case.log.strip("[]\n").split(",")]
    assert os.getpid() not in numbers
    assert len(numbers) <= 3


def test_no_capability_is_left(case: Case) -> None:
    case.shell("grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f2 | sort -u")
    assert case.log == "0000000000000000\n"


def test_values_of_the_environment_are_in_no_argument_and_no_file(case: Case) -> None:
    command, outside = case.sandbox().command(["true"], env={"API": "hunter2-hunter2", "PATH": "/usr/bin:/bin"})
    assert not any("hunter2" in word for word in (*command, *outside.values()))
    written = [path for path in case.scratch.iterdir() if path.is_file()]
    assert [path.stat().st_mode & 0o777 for path in written] == [0o600]
    result = case.runner.run(command, cwd=case.workspace, env=outside, stdout=case.root / "output")
    assert result.exit_code == 0
    assert not written[0].exists()


def test_declared_outputs_come_back_and_nothing_else(case: Case) -> None:
    case.shell(
        "mkdir -p dist/a; echo 1 > dist/a/one; echo 2 > dist/two; echo 3 > other; echo 4 > tracked; chmod 755 dist/two"
    )
    found = case.sandbox().collect(["dist/**", "tracked"])
    assert found == [Path("dist/a/one"), Path("dist/two"), Path("tracked")]
    assert (case.workspace / "dist/a/one").read_text() == "1\n"
    assert os.access(case.workspace / "dist/two", os.X_OK)
    assert (case.workspace / "tracked").read_text() == "4\n"
    assert not (case.workspace / "other").exists()


def test_a_link_to_what_the_step_could_not_read_does_not_come_back(case: Case) -> None:
    secret = case.root / "beside/secret"
    case.shell(
        f"mkdir dist; ln -s {secret} dist/absolute; ln -s {case.root}/beside dist/folder;"
        "ln -s ../../beside/secret dist/relative;"
        "echo x > dist/real; ln -s real dist/inside; mkfifo dist/pipe; ln -s ../../beside linked"
    )
    found = case.sandbox().collect(["dist", "linked/secret"])
    assert found == [Path("dist/inside"), Path("dist/real")]
    assert sorted(path.name for path in (case.workspace / "dist").iterdir()) == ["inside", "real"]


def test_hooks_and_keys_do_not_come_back_even_when_declared(case: Case) -> None:
    case.shell(
        "echo x > .git/hooks/post-checkout; mkdir -p .maestro/keys sub/.git; echo y > sub/.git/config; echo z > ok"
    )
    assert case.sandbox().collect(["**"]) == [Path("ok")]
    assert list((case.workspace / ".git/hooks").iterdir()) == []


def test_an_output_is_never_written_through_a_link_that_leaves_the_workspace(case: Case) -> None:
    (case.workspace / "dist").symlink_to(case.root / "beside")
    case.shell("rm dist; mkdir dist; echo x > dist/secret")
    with pytest.raises(MaestroError) as raised:
        case.sandbox().collect(["dist/*"])
    message = "output 'dist/secret' of a sandboxed step would be written outside of the workspace"
    assert raised.value.what == message
    assert raised.value.next_step == f"replace the symbolic link in {case.workspace / 'dist'} by a folder"
    assert (case.root / "beside/secret").read_text() == "content of beside/secret\n"


def test_an_output_does_not_replace_a_folder(case: Case) -> None:
    case.shell("rm -r inner; echo x > inner")
    with pytest.raises(MaestroError, match="output 'inner' of a sandboxed step is a folder in the workspace"):
        case.sandbox().collect(["inner"])


def test_folders_can_be_shown_read_only_or_to_write(case: Case) -> None:
    beside, cache = case.root / "beside", case.root / "cache"
    cache.mkdir()
    case.shell(f"cat {beside}/secret; touch {beside}/x; echo kept > {cache}/y", readable=[beside], writable=[cache])
    assert case.log.startswith("content of beside/secret\n")
    assert "Read-only file system" in case.log
    assert (cache / "y").read_text() == "kept\n"


def test_a_stopped_sandbox_leaves_no_process(case: Case) -> None:
    marker = f"{600 + os.getpid() / 1e7:.7f}"
    script = f"setsid sleep {marker} & : > {case.scratch}/ready; sleep {marker}"
    command, outside = case.sandbox().command(["sh", "-c", script], env={"PATH": "/usr/bin:/bin"})

    class Ready(threading.Event):
        def is_set(self) -> bool:
            return (case.scratch / "ready").exists()

    result = case.runner.run(
        command, cwd=case.workspace, env=outside, stdout=case.root / "output", stop=Ready(), grace=0.1
    )
    assert result.stopped
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        assert words[:2] != [b"sleep", marker.encode()]


def test_scratch_may_lie_under_the_private_folder_of_the_source(case: Case) -> None:
    scratch = case.workspace / ".maestro/scratch/1"
    scratch.mkdir(parents=True)
    box = Sandbox.prepare(workspace=case.workspace, scratch=scratch, which=shutil.which)
    command, outside = box.command(["sh", "-c", "echo x > made; ls -A .maestro"], env={"PATH": "/usr/bin:/bin"})
    case.runner.run(command, cwd=case.workspace, env=outside, stdout=case.root / "output")
    assert (case.root / "output").read_text() == "scratch\n"
    assert box.collect(["**"]) == [Path("made")]
    box.remove()
    assert list(scratch.iterdir()) == []


def test_bubblewrap_is_found_and_tried() -> None:
    assert require_bubblewrap(shutil.which) == shutil.which("bwrap")


def test_a_servers_home_beneath_a_system_folder_is_empty_inside(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not in the folder for temporary files, which is another one inside.
    system = Path(tempfile.mkdtemp(dir="/var/tmp"))
    home = system / "server"
    (home / "projects/shop/secrets").mkdir(parents=True)
    (home / "projects/shop/secrets/TOKEN").write_text("tell-nobody")
    (system / "tool").write_text("of the system")
    monkeypatch.setattr(sandbox_arguments, "SYSTEM", (*sandbox_arguments.SYSTEM, str(system)))
    script = f"cat {system}/tool; find {home}; cat {home}/projects/shop/secrets/TOKEN"
    try:
        case.run("/bin/sh", "-c", script)
        assert "tell-nobody" in case.log
        case.run("/bin/sh", "-c", script, masked=[home])
        assert "of the system" in case.log
        assert "tell-nobody" not in case.log
        assert f"{home}\n" in case.log
    finally:
        shutil.rmtree(system)

"""``maestro run`` by the warm process: the same as without, and nothing of the one that was started before."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from maestro.cli.warm.living import living

CHECKOUT = Path(__file__).resolve().parents[2]
_PACKAGES = ("maestro", "maestro_defs", "assets", "resources", "sensors", "policies", "deploy")
_SECONDS = 60.0
_WORKFLOW = """
    name: shop
    project: shop
    params:
      wait: {type: string, default: ""}
      code: {type: integer, default: 0}
    stages:
      - name: work
        steps:
          - id: kept
            run: shell
            with: {command: 'echo kept > kept.txt'}
            outputs: [kept.txt]
          - id: told
            run: shell
            cache: false
            with:
              command: |
                echo "[$NPM_CONFIG_ONE] [$NPM_CONFIG_TWO]" > told.txt
                umask >> told.txt
                if [ -n "{{ params.wait }}" ]; then
                  echo $$ > {{ params.wait }}.begun
                  while [ ! -e {{ params.wait }} ]; do sleep 0.05; done
                fi
                exit {{ params.code }}
"""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Shop:
    """A project, and a copy of the code that nobody else edits meanwhile."""

    root: Path
    code: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAESTRO_", "CI"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        return {**kept, "PYTHONPATH": str(self.code), "MAESTRO_WARM": "on", "NO_COLOR": "1", **more}

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "maestro.cli", *arguments]
        settings = {"cwd": self.root, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen(argv, text=True, env=self.environment() if env is None else env, **settings)

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, **more: object) -> tuple[int, str, str]:
        process = self.start(*arguments, env=env, **more)
        out, err = process.communicate(timeout=_SECONDS)
        return process.returncode, out, err

    @property
    def warm(self) -> Sequence[psutil.Process]:
        return [psutil.Process(one.pid) for one in living(self.root / ".maestro")]

    def ready(self) -> psutil.Process:
        """The warm process, started by a run when there is none."""
        folder = self.root / ".maestro" / "warm"
        if not self.warm:
            assert self.run("run")[0] == 0
        until(lambda: self.warm and list(folder.glob("*.sock")), "a warm process")
        return self.warm[0]

    def began(self, name: str) -> tuple[Path, Path]:
        """Files by which a step that waits is told to go on, and tells that it has begun."""
        go = self.root.parent / name
        return go, go.with_name(f"{name}.begun")


def _end(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    for name in _PACKAGES:
        shutil.copytree(CHECKOUT / name, folder / name)
    return folder


def _shop(root: Path, code: Path) -> Shop:
    root.mkdir(parents=True)
    (root / "maestro.yaml").write_text(textwrap.dedent(_WORKFLOW))
    (root / ".gitignore").write_text("told.txt\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    return Shop(root, code)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, code: Path) -> Iterator[Shop]:
    made = _shop(tmp_path_factory.mktemp("warm") / "shop", code)
    yield made
    _end(made.warm)


@pytest.fixture
def own_shop(tmp_path: Path, code: Path) -> Iterator[Shop]:
    made = _shop(tmp_path / "shop", code)
    yield made
    _end(made.warm)


def plain(text: str) -> str:
    return re.sub(r"\d+\.\d s|\b(run|logs|retry) [0-9a-f]{8}", "…", text)


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["run", "kept"], ["run", "--param", "code=3"], ["run", "nothing"], ["run", "--param", "colour=1"]],
    ids=" ".join,
)
def test_output_and_exit_code_are_those_of_a_run_without_it(shop: Shop, arguments: list[str]) -> None:
    shop.ready()
    code, out, err = shop.run(*arguments)
    cold_code, cold_out, cold_err = shop.run(*arguments, "--no-warm")
    assert (code, plain(out), plain(err)) == (cold_code, plain(cold_out), plain(cold_err))


def test_a_fork_of_the_warm_process_carries_out_the_run(shop: Shop) -> None:
    warm = shop.ready()
    go, begun = shop.began("forked")
    process = shop.start("run", "--param", f"wait={go}")
    until(begun.exists, "the step")
    (fork,) = warm.children()
    assert psutil.Process(process.pid).children() == []
    go.touch()
    assert process.wait(_SECONDS) == 0
    until(lambda: not fork.is_running(), "the end of the fork")


def test_models_are_asked_by_each_of_several_runs(own_shop: Shop) -> None:
    asking = """
        name: shop
        project: shop
        params: {about: {type: string, default: ""}}
        stages:
          - name: work
            steps:
              - {id: ask, run: llm.generate, with: {text: 'Say what {{ params.about }} is.', model: offline}}
    """
    (own_shop.root / "maestro.yaml").write_text(textwrap.dedent(asking))
    assert own_shop.run("run")[0] == 0
    warm = own_shop.ready()
    # The first has imported late what a model needs; a warm process imports it at once, in an order of its own.
    for about in ("one", "two"):
        code, out, err = own_shop.run("run", "--param", f"about={about}")
        assert code == 0, out + err
    assert own_shop.warm == [warm]


def test_two_runs_go_on_at_once(shop: Shop) -> None:
    warm = shop.ready()
    started = []
    for name in ("first", "second"):
        go, begun = shop.began(name)
        started.append((go, shop.start("run", "--param", f"wait={go}")))
        until(begun.exists, name)
    assert len(warm.children()) == 2
    for go, process in started:
        go.touch()
        assert process.wait(_SECONDS) == 0


def test_environment_folder_and_umask_are_those_of_who_asks(shop: Shop) -> None:
    shop.ready()
    (shop.root / "sub").mkdir(exist_ok=True)
    told = shop.root / "told.txt"
    env = shop.environment(NPM_CONFIG_ONE="1")
    assert shop.run("run", "told", env=env, cwd=shop.root / "sub", umask=0o027)[0] == 0
    assert told.read_text().split("\n")[:2] == ["[1] []", "0027"]
    assert shop.run("run", "told", env=shop.environment(NPM_CONFIG_TWO="2"), umask=0o022)[0] == 0
    assert told.read_text().split("\n")[:2] == ["[] [2]", "0022"]


def test_the_warm_process_knows_nothing_of_who_started_it(own_shop: Shop) -> None:
    env = own_shop.environment(SHOP_TOKEN="quite secret", NPM_CONFIG_ONE="1", DAGSTER_CLOUD_API_TOKEN="also")
    assert own_shop.run("run", env=env)[0] == 0
    warm = own_shop.ready()
    environ = warm.environ()
    assert not {"SHOP_TOKEN", "NPM_CONFIG_ONE", "DAGSTER_CLOUD_API_TOKEN", "MAESTRO_WARM"} & set(environ)
    opened = {file.readlink().name for file in Path(f"/proc/{warm.pid}/fd").iterdir()}
    assert not any(name.endswith((".db", ".sqlite")) for name in opened)
    assert "quite secret" not in next((own_shop.root / ".maestro" / "warm").glob("*.log")).read_text()
    assert own_shop.run("run", "told")[0] == 0
    assert (own_shop.root / "told.txt").read_text().startswith("[] []")


def test_only_the_user_can_reach_it(shop: Shop) -> None:
    shop.ready()
    folder = shop.root / ".maestro" / "warm"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_project_that_lies_deep_has_one_too(tmp_path: Path, code: Path) -> None:
    shop = _shop(tmp_path / "a-long-name-of-a-folder" / ("deep" * 20) / "shop", code)
    try:
        warm = shop.ready()
        go = tmp_path / "deep"
        process = shop.start("run", "--param", f"wait={go}")
        until(go.with_name("deep.begun").exists, "the step")
        assert len(warm.children()) == 1
        go.touch()
        assert process.wait(_SECONDS) == 0
    finally:
        _end(shop.warm)


def test_ctrl_c_cancels_the_run(shop: Shop) -> None:
    warm = shop.ready()
    go, begun = shop.began("interrupted")
    process = shop.start("run", "--param", f"wait={go}")
    until(lambda: begun.exists() and begun.read_text().strip(), "the step")
    step = psutil.Process(int(begun.read_text()))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=_SECONDS)
    assert process.returncode == 130
    assert "cancelled in" in out
    until(lambda: not step.is_running() and not warm.children(), "the end of step and fork")


def test_who_is_killed_takes_the_run_along(shop: Shop) -> None:
    warm = shop.ready()
    go, begun = shop.began("killed")
    process = shop.start("run", "--param", f"wait={go}")
    until(lambda: begun.exists() and begun.read_text().strip(), "the step")
    step = psutil.Process(int(begun.read_text()))
    process.kill()
    process.wait()
    until(lambda: not step.is_running() and not warm.children(), "the end of step and fork")
    newest = json.loads(shop.run("status", "--json")[1])["runs"][0]
    assert newest["state"] == "failed"


def test_a_run_that_is_stopped_for_a_while_is_ended_with_who_stopped_it(shop: Shop) -> None:
    warm = shop.ready()
    go, begun = shop.began("stopped")
    process = shop.start("run", "--param", f"wait={go}")
    until(begun.exists, "the step")
    (fork,) = warm.children()
    process.send_signal(signal.SIGTSTP)
    until(lambda: fork.status() == psutil.STATUS_STOPPED, "the fork stopped")
    process.send_signal(signal.SIGCONT)
    until(lambda: fork.status() != psutil.STATUS_STOPPED, "the fork goes on")
    process.send_signal(signal.SIGTSTP)
    until(lambda: fork.status() == psutil.STATUS_STOPPED, "the fork stopped")
    process.kill()
    process.wait()
    until(lambda: not warm.children(), "the end of the fork")


def test_a_fork_that_is_killed_is_seen_as_such(shop: Shop) -> None:
    warm = shop.ready()
    go, begun = shop.began("fork-killed")
    process = shop.start("run", "--param", f"wait={go}")
    until(begun.exists, "the step")
    (fork,) = warm.children()
    fork.kill()
    assert process.wait(_SECONDS) == -signal.SIGKILL


def test_a_run_outlasts_the_warm_process_and_the_next_goes_on_without(own_shop: Shop) -> None:
    warm = own_shop.ready()
    go, begun = own_shop.began("outlasting")
    process = own_shop.start("run", "--param", f"wait={go}")
    until(begun.exists, "the step")
    warm.kill()
    until(lambda: not warm.is_running(), "its end")
    go.touch()
    assert process.wait(_SECONDS) == 0
    assert own_shop.run("run", "kept")[0] == 0
    assert own_shop.ready().pid != warm.pid


def test_changed_code_ends_it_and_the_run_that_notices_has_the_new_code(tmp_path: Path, code: Path) -> None:
    copied = tmp_path / "code"
    shutil.copytree(code, copied)
    shop = _shop(tmp_path / "shop", copied)
    try:
        warm = shop.ready()
        summary = copied / "maestro" / "cli" / "summary.py"
        summary.write_text(summary.read_text() + "\nprint('this is new')\n")
        code_, out, _ = shop.run("run")
        assert code_ == 0
        assert "this is new" in out
        until(lambda: not warm.is_running(), "its end")
        assert shop.ready().pid != warm.pid
        assert "this is new" not in shop.run("run")[1]  # Printed when it was imported, by the warm process.
    finally:
        _end(shop.warm)


_KIND = """
from maestro.steps import BaseParams, StepKind, StepResult

def say(context, params):
    context.log.info("this is new" if {new} else "this is old")
    return StepResult(passed=True, summary="said")

KIND = StepKind(name="ours.say", version="1", params=BaseParams, run=say, summary="Says it.", describe=lambda _: "Says.")
"""


def test_a_step_kind_of_somebody_else_that_changes_ends_it_too(tmp_path: Path, code: Path) -> None:
    copied = tmp_path / "code"
    shutil.copytree(code, copied)
    (copied / "our_kinds-1.dist-info").mkdir()
    (copied / "our_kinds-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: our-kinds\nVersion: 1\n")
    (copied / "our_kinds-1.dist-info" / "entry_points.txt").write_text("[maestro.steps]\nours.say = our_kinds:KIND\n")
    (copied / "our_kinds.py").write_text(_KIND.format(new=False))
    shop = _shop(tmp_path / "shop", copied)
    stages = "stages: [{name: work, steps: [{id: say, run: ours.say, cache: false}]}]"
    (shop.root / "maestro.yaml").write_text(f"name: shop\nproject: shop\n{stages}\n")
    try:
        warm = shop.ready()
        assert "this is old" in "".join(shop.run("run", "--verbose")[1:])
        (copied / "our_kinds.py").write_text(_KIND.format(new=True))
        assert "this is new" in "".join(shop.run("run", "--verbose")[1:])
        until(lambda: not warm.is_running(), "its end")
    finally:
        _end(shop.warm)


def test_a_project_that_goes_takes_it_along(own_shop: Shop) -> None:
    warm = own_shop.ready()
    shutil.rmtree(own_shop.root)
    until(lambda: not warm.is_running(), "its end")


def test_other_hard_limits_are_kept(own_shop: Shop) -> None:
    warm = own_shop.ready()
    argv = ["sh", "-c", 'ulimit -n 512; exec "$@"', "sh", sys.executable, "-m", "maestro.cli", "run", "kept"]
    done = subprocess.run(argv, cwd=own_shop.root, env=own_shop.environment(), capture_output=True, timeout=_SECONDS)
    assert done.returncode == 0
    until(lambda: len(own_shop.warm) == 2, "another for other limits")
    assert warm.is_running()


@pytest.mark.parametrize("more", [{"MAESTRO_WARM": "off"}, {"MAESTRO_WARM": "", "CI": "true"}], ids=str)
def test_nothing_is_left_running_where_it_is_not_wanted(own_shop: Shop, more: dict[str, str]) -> None:
    assert own_shop.run("run", "kept", env=own_shop.environment(**more))[0] == 0
    assert not (own_shop.root / ".maestro" / "warm").exists()


def test_a_setting_that_means_nothing_is_told(shop: Shop) -> None:
    code, _, err = shop.run("run", env=shop.environment(MAESTRO_WARM="perhaps"))
    assert code == 2
    assert err == "error: MAESTRO_WARM is 'perhaps', and means nothing\n  next: set MAESTRO_WARM to on or off\n"


def test_the_doctor_names_it(shop: Shop) -> None:
    warm = shop.ready()
    checks = json.loads(shop.run("doctor", "--json")[1])["checks"]
    (check,) = [check for check in checks if check["name"] == "warm process"]
    assert check["state"] == "ok"
    assert f"process {warm.pid} (" in check["found"]

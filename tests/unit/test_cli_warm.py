"""When a command is handed to the warm process, what it has to share with it, and where that listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maestro.cli.options import global_options
from maestro.cli.warm import place
from maestro.cli.warm.identity import identity, loading_environment
from maestro.cli.warm.wanted import WITH_VALUE, check, command_of, project_of, wanted
from maestro.errors import InputError


@pytest.mark.parametrize(
    "arguments", ["run", "run test --only", "--project a run", "--log-format json --debug retry latest", "run --warm"]
)
def test_runs_on_this_machine_use_it(arguments: str) -> None:
    assert wanted(arguments.split(), {})


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "plan",
        "status run",
        "run --no-warm",
        "run --warm --no-warm",
        "run --remote http://h",
        "run --remote=http://h",
        "run --watch",
        "run --help",
        "--project run plan",
        "--",
        "-- run",
    ],
)
def test_other_commands_do_not(arguments: str) -> None:
    assert not wanted(arguments.split(), {})


@pytest.mark.parametrize(
    ("environ", "used"),
    [
        ({}, True),
        ({"CI": "true"}, False),
        ({"CI": "1"}, False),
        ({"CI": "false"}, True),
        ({"CI": ""}, True),
        ({"MAESTRO_WARM": "off"}, False),
        ({"MAESTRO_WARM": "on", "CI": "true"}, True),
        ({"MAESTRO_WARM": "of"}, False),
    ],
)
def test_the_environment_decides_where_no_flag_does(environ: dict[str, str], used: bool) -> None:
    assert wanted(["run"], environ) is used
    assert wanted(["run", "--warm"], environ)
    assert not wanted(["run", "--no-warm"], environ)


def test_a_setting_that_means_nothing_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        check({"MAESTRO_WARM": "yes"})
    assert "MAESTRO_WARM is 'yes'" in str(refused.value)
    assert "on or off" in str(refused.value)


def test_the_global_options_with_a_value_are_known() -> None:
    assert {name for option in global_options() if not option.is_flag for name in option.opts} == WITH_VALUE


def test_the_command_and_the_project_are_found_wherever_they_stand() -> None:
    assert command_of(["--file", "run", "--debug", "plan"]) == "plan"
    assert command_of(["--debug"]) is None
    assert project_of(["run", "--project", "shop"]) == "shop"
    assert project_of(["--project=a", "run", "--project=b"]) == "b"
    assert project_of(["run"]) == "."


def test_what_python_and_libraries_read_is_kept_and_no_credential() -> None:
    environ = {"PYTHONPATH": "a", "LC_ALL": "C", "HOME": "/h", "DAGSTER_CLOUD_API_TOKEN": "t", "AWS_SECRET": "s"}
    assert loading_environment(environ) == {"HOME": "/h", "LC_ALL": "C", "PYTHONPATH": "a"}


def test_one_process_is_like_itself_and_not_like_one_with_other_limits() -> None:
    assert identity(os.environ) == identity(os.environ)
    ask = "import os; from maestro.cli.warm.identity import identity; print(identity(os.environ)[-1])"

    def limits(*before: str) -> bytes:
        return subprocess.run([*before, sys.executable, "-c", ask], capture_output=True, check=True).stdout

    assert limits() != limits("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")


def test_the_state_folder_is_that_of_the_repository(tmp_path: Path) -> None:
    deep = tmp_path / "shop" / "src" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "shop" / ".git").mkdir()
    assert place.state_folder(str(deep), {}) == str(tmp_path / "shop" / ".maestro")
    assert place.state_folder(str(deep), {"MAESTRO_HOME": "/elsewhere"}) == "/elsewhere"


def test_only_a_folder_of_the_user_alone_is_used(tmp_path: Path) -> None:
    assert place.open_folder(str(tmp_path)) is None
    made = place.open_folder(str(tmp_path), make=True)
    assert made is not None
    os.close(made)
    folder = tmp_path / "warm"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o750)
    assert place.open_folder(str(tmp_path)) is None


def test_a_link_is_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "warm").symlink_to(tmp_path / "private")
    assert place.open_folder(str(tmp_path), make=True) is None


def test_the_client_imports_nothing_that_takes_long() -> None:
    script = (
        "import os, sys; import maestro.cli.start as start; start.carried_out(['run'], {'MAESTRO_HOME': '/nonexistent'})\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"click", "dataclasses", "pathlib", "pydantic", "dagster", "subprocess"} & set(done.stdout.split())

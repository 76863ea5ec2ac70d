"""./scripts/models: what it installs, when it does so again, and that nothing of the user's takes it elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from maestro.evals.with_inspect import VERSION

ROOT = Path(__file__).parents[2]
LLAMA = re.findall(r"^packages='(llama-cpp-python.*)'$", (ROOT / "scripts" / "models").read_text(), re.MULTILINE)[0]
INSPECT = f"inspect-ai=={VERSION}"
# Stands in for every interpreter: says what it was asked, makes environments that hold itself, and fails for whatever
# package the file `refused` names.
PYTHON = """#!/bin/sh
case "$1 $2" in
    '-m venv') mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    '-m pip')
        echo "$*, to ${PIP_TARGET-its own place}, with ${CMAKE_ARGS-nothing}"
        for package; do [ "$package" != "$(cat refused 2>&1)" ] || exit 1; done ;;
    '-m pytest') shift; echo "$*, $MAESTRO_LLAMA_PYTHON, $MAESTRO_EVALS_PYTHON" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is set up, with an interpreter that installs nothing."""
    _executable(tmp_path / "scripts" / "setup", "#!/bin/sh\n")
    shutil.copy(ROOT / "scripts" / "models", tmp_path / "scripts")
    _executable(tmp_path / ".venv" / "bin" / "python", PYTHON)
    _executable(tmp_path / "tools" / "c++", "#!/bin/sh\n")
    return tmp_path


def _executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(checkout: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{checkout / 'tools'}:{os.environ['PATH']}", **environment}
    script = str(checkout / "scripts" / "models")
    return subprocess.run(
        [script, *argv],
        cwd="/",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def installed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The packages, one environment each."""
    lines = [line.split(", ")[0] for line in done.stdout.splitlines() if line.startswith("-m pip install")]
    return [" ".join(word for word in line.split() if "==" in word) for line in lines]


def test_each_has_an_environment_of_its_own_which_the_tests_are_told(checkout: Path) -> None:
    done = run(checkout, "-k", "llama")
    assert done.returncode == 0, done.stderr
    assert installed(done) == [LLAMA, INSPECT]
    assert done.stderr == f"models: building {LLAMA}, which takes minutes\nmodels: installing {INSPECT}\n"
    places = ", ".join(f"{checkout}/.cache/{name}/bin/python" for name in ("models", "evals"))
    assert done.stdout.splitlines()[-1] == f"pytest -m models -k llama, {places}"


def test_llama_runs_on_other_processors_than_it_was_built_on_and_inspect_is_built_as_ever(checkout: Path) -> None:
    options = [line.split(", with ")[1] for line in run(checkout).stdout.splitlines() if ", with " in line]
    assert "-DGGML_NATIVE=OFF" in options[0]
    assert options[1:] == ["nothing"]


def test_what_is_installed_is_not_installed_again(checkout: Path) -> None:
    run(checkout)
    done = run(checkout)
    assert (done.returncode, installed(done), done.stderr) == (0, [], "")


@pytest.mark.parametrize(("name", "packages"), [("models", LLAMA), ("evals", INSPECT)])
def test_an_environment_of_other_versions_or_without_its_interpreter_is_made_anew(
    checkout: Path, name: str, packages: str
) -> None:
    run(checkout)
    folder = checkout / ".cache" / name
    (folder / ".packages").write_text("inspect-ai==0.3.1\n")
    assert installed(run(checkout)) == [packages]
    # There, and no longer one that finds what was installed.
    _executable(folder / "bin" / "python", "#!/bin/sh\nexit 1\n")
    assert installed(run(checkout)) == [packages]
    assert installed(run(checkout)) == []


def test_what_could_not_be_installed_ends_it_and_is_tried_again(checkout: Path) -> None:
    (checkout / "refused").write_text(INSPECT)
    done = run(checkout)
    assert done.returncode == 1
    assert "pytest" not in done.stdout
    (checkout / "refused").unlink()
    assert installed(run(checkout)) == [INSPECT]


@pytest.mark.parametrize("variable", ["PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"])
def test_a_users_pip_configuration_takes_nothing_elsewhere(checkout: Path, variable: str) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(PYTHON.replace("PIP_TARGET", variable))
    done = run(checkout, **{variable: "/elsewhere"})
    assert done.stdout.count("to its own place") == 2
    assert "/elsewhere" not in done.stdout


def test_without_a_compiler_it_says_which_package_has_one(checkout: Path) -> None:
    tools = checkout / "tools"
    (tools / "c++").unlink()
    for name in ("bash", "env", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = run(checkout, PATH=str(tools))
    assert done.returncode == 1
    assert done.stderr == (
        "models: llama.cpp is built with a C++ compiler, which is missing\n  next: apt-get install build-essential\n"
    )
    assert not (checkout / ".cache").exists()

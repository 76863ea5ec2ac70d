"""The scripts a person starts with, and the lock they install from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["base.txt", "dev.txt"]
STARTED_BY_HAND = ["setup", "demo", "test", "check", "lock"]
# A requirement of a lock: name, one version, perhaps a marker, and hashes up to the end of its continued lines.
PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,]+\])?==[^\s;]+( ; [^\\]+)?( --hash=sha256:[0-9a-f]{64})+")


def bash_scripts() -> list[Path]:
    found = [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").iterdir())]
    return [path for path in found if path.is_file() and path.read_bytes().split(b"\n", 1)[0].endswith(b"bash")]


def requirements_of(lock: str) -> list[str]:
    text = (ROOT / "requirements" / lock).read_text().replace("\\\n", " ")
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def versions_of(lock: str) -> set[str]:
    return {line.split(" ", 1)[0] for line in requirements_of(lock)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the scripts read."""
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(checkout: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MAESTRO_PYTHON": sys.executable, **environment}
    return subprocess.run(
        argv, cwd="/", env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )


def test_every_script_named_in_the_readme_is_there() -> None:
    assert set(STARTED_BY_HAND) <= {path.name for path in bash_scripts()}


@pytest.mark.parametrize("script", bash_scripts(), ids=lambda path: path.name)
def test_a_script_is_executable_and_well_formed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "set -euo pipefail\n" in script.read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_requirement_by_version_and_hash(lock: str) -> None:
    requirements = requirements_of(lock)
    assert requirements
    assert [line for line in requirements if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_host_or_path(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert re.findall(r"^-.*|.*(?:://|@ |find-links|index-url|trusted-host).*", text, re.MULTILINE) == []


def test_what_the_demo_installs_is_part_of_what_the_tests_install() -> None:
    assert versions_of("base.txt") <= versions_of("dev.txt")


def test_the_lock_is_made_from_the_dependencies_of_now() -> None:
    done = run(ROOT, str(ROOT / "scripts" / "lock"), "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_lock_made_from_other_dependencies_is_refused(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"click>=', '"click>=1.', 1))
    done = run(checkout, str(checkout / "scripts" / "lock"), "--check")
    assert done.returncode == 1
    assert "lock: requirements/base.txt was made from other dependencies than pyproject.toml has now" in done.stderr
    assert "next: ./scripts/lock" in done.stderr


def test_the_lock_does_not_depend_on_the_rest_of_pyproject(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace("line-length = 120", "line-length = 100"))
    assert run(checkout, str(checkout / "scripts" / "lock"), "--check").returncode == 0


@pytest.mark.parametrize("script", ["setup", "lock"])
def test_an_unknown_argument_is_refused_with_the_known_ones(checkout: Path, script: str) -> None:
    done = run(checkout, str(checkout / "scripts" / script), "--fast")
    assert done.returncode == 2
    assert f"{script}: unknown argument --fast" in done.stderr
    assert f"next: ./scripts/{script} [--" in done.stderr


def test_set_up_refuses_an_interpreter_that_is_none(checkout: Path) -> None:
    done = run(checkout, str(checkout / "scripts" / "setup"), "--quick", MAESTRO_PYTHON="/bin/false")
    assert done.returncode == 1
    assert "MAESTRO_PYTHON=/bin/false is no Python 3.11 or newer" in done.stderr
    assert not (checkout / ".venv").exists()


def test_set_up_leaves_an_environment_it_did_not_make_alone(checkout: Path) -> None:
    theirs = checkout / ".venv" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    done = run(checkout, str(checkout / "scripts" / "setup"), "--quick")
    assert done.returncode == 1
    assert ".venv is there, but was not made by this script" in done.stderr
    assert "next: mv .venv .venv.old" in done.stderr
    assert theirs.exists()


def test_set_up_without_a_way_to_install_names_what_is_missing(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "flock", "sha256sum", "cut", "cat", "grep"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = run(checkout, str(checkout / "scripts" / "setup"), "--quick", PATH=str(tools))
    assert done.returncode == 1
    assert "setup: these are missing: git bubblewrap buildah skopeo\n" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.fixture
def demo(checkout: Path) -> Path:
    """A checkout that is set up, with a `maestro` that says what it was asked and ends as the file `code` says."""
    (checkout / "scripts" / "setup").write_text('#!/bin/sh\necho "set up $*"\n')
    maestro = checkout / ".venv" / "bin" / "maestro"
    maestro.parent.mkdir(parents=True)
    maestro.write_text(f'#!/bin/sh\necho "maestro did $*"\nexit "$(cat {checkout}/code)"\n')
    maestro.chmod(0o755)
    return checkout


def test_the_demo_runs_twice_and_shows_what_was_made_and_how_to_browse_it(demo: Path) -> None:
    (demo / "code").write_text("0")
    done = run(demo, str(demo / "scripts" / "demo"))
    lines = [re.sub(r"(?<=--output ).*(?=/)", "PLACE", line) for line in done.stdout.splitlines()]
    said = [line for line in lines if line.startswith(("set up", "maestro did", "To browse"))]
    assert said == [
        "set up --quick",
        "maestro did vulns update deploy/advisories",
        "maestro did run",
        "maestro did run",
        "maestro did artifacts ls --step package",
        "maestro did evidence show",
        "maestro did evidence export --output PLACE/evidence.tar.zst",
        "maestro did keys export --output PLACE/trust.yaml",
        "maestro did evidence verify evidence.tar.zst --trust trust.yaml",
        f"To browse runs, assets and lineage in the Dagster UI:  {demo}/.venv/bin/maestro dev",
    ]
    assert done.returncode == 0


def test_the_demo_ends_as_the_run_does(demo: Path) -> None:
    (demo / "code").write_text("130")
    done = run(demo, str(demo / "scripts" / "demo"))
    assert done.returncode == 130
    assert done.stdout.count("maestro did") == 1


@pytest.mark.parametrize(("body", "code"), [("pytest.skip('no')", 5), ("pass", 0)])
def test_a_run_in_which_every_test_was_skipped_fails(tmp_path: Path, body: str, code: int) -> None:
    (tmp_path / "test_one.py").write_text(f"import pytest\ndef test_one():\n    {body}\n")
    argv = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*argv, "--rootdir", tmp_path, tmp_path], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == code, done.stdout.decode()

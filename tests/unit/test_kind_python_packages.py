"""Step kind ``build.python``: parameters, what is refused, and what is read from a wheel."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.python_packages import BUILD_PYTHON, read_wheel
from maestro.errors import InputError
from tests.unit.step_harness import Harness, harness

BACKEND = """
import pathlib, os
def build_wheel(folder, config_settings=None, metadata_directory=None):
    {wheel}
def build_sdist(folder, config_settings=None):
    {sdist}
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


def backend(step: Harness, wheel: str = "raise SystemExit(3)", sdist: str = "raise SystemExit(3)") -> Harness:
    return step.write({"pyproject.toml": PROJECT, "backend.py": BACKEND.format(wheel=wheel, sdist=sdist)})


def test_a_folder_that_is_no_python_project_is_an_input_error(step: Harness) -> None:
    with pytest.raises(InputError) as caught:
        step.requires(BUILD_PYTHON)
    assert caught.value.what == "there is neither pyproject.toml nor setup.py in '.'"
    with pytest.raises(InputError, match="'directory' is 'api', and there is no such folder"):
        step.run(BUILD_PYTHON, directory="api")
    with pytest.raises(InputError, match=r"'output_directory' is 'x/\.\./\.\./y', which may"):
        step.write({"x/setup.py": ""}).run(BUILD_PYTHON, directory="x", output_directory="../../y")


def test_building_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="'wheel' and 'sdist' are both false, so there is nothing to build"):
        BUILD_PYTHON.params.model_validate({"wheel": False, "sdist": False})


def test_a_build_that_fails_fails_the_step_and_an_old_file_is_not_its_result(step: Harness) -> None:
    backend(step).write({"dist/old-1.0-py3-none-any.whl": "old"})
    result = step.run(BUILD_PYTHON, python=sys.executable, isolation=False, sdist=False)
    assert (result.passed, result.summary) == (False, "the build failed (exit code 1)")
    assert not result.outputs
    assert [file.name for file in (step.workspace / "dist").iterdir()] == ["old-1.0-py3-none-any.whl"]


def test_a_backend_that_makes_no_wheel_is_an_input_error(step: Harness) -> None:
    backend(step, wheel="n = 'a-1-py3-none-any.whl'; pathlib.Path(folder, n).write_text('x'); return n")
    with pytest.raises(InputError, match=r"'a-1-py3-none-any\.whl' is no wheel"):
        step.run(BUILD_PYTHON, python=sys.executable, isolation=False, sdist=False)


SDIST = """
    import tarfile, time
    n = 'a-1.tar.gz'
    pathlib.Path('epoch').write_text(os.environ['SOURCE_DATE_EPOCH'])
    with tarfile.open(pathlib.Path(folder, n), 'w:gz') as archive:
        info = archive.gettarinfo('pyproject.toml', 'a-1/PKG-INFO')
        info.mtime, info.uname = time.time() + {later}, 'me'
        with open('pyproject.toml', 'rb') as file:
            archive.addfile(info, file)
    return n
"""


def sdist_time(step: Harness) -> set[tuple[float, int, str]]:
    with tarfile.open(step.workspace / "dist/a-1.tar.gz") as archive:
        return {(member.mtime, member.uid, member.uname) for member in archive}


def test_a_backend_that_writes_the_time_of_day_is_made_reproducible(step: Harness) -> None:
    built = []
    for later in (0, 5):
        backend(step, sdist=SDIST.format(later=later))
        result = step.run(BUILD_PYTHON, python=sys.executable, isolation=False, wheel=False)
        assert (result.summary, result.values) == ("built a-1.tar.gz", {}), step.log
        built.append((step.workspace / "dist/a-1.tar.gz").read_bytes())
    assert built[0] == built[1]
    assert (step.workspace / "epoch").read_text() == "315532800"
    assert sdist_time(step) == {(315532800, 0, "")}
    assert "a-1.tar.gz: times later than SOURCE_DATE_EPOCH were set to it" in step.log


def test_the_time_the_step_gives_is_used(step: Harness) -> None:
    step.env["SOURCE_DATE_EPOCH"] = "1000000000"
    backend(step, sdist=SDIST.format(later=0)).run(BUILD_PYTHON, python=sys.executable, isolation=False, wheel=False)
    assert sdist_time(step) == {(1000000000, 0, "")}
    step.env["SOURCE_DATE_EPOCH"] = "yesterday"
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH is 'yesterday', which is no time in whole seconds"):
        step.run(BUILD_PYTHON, python=sys.executable, isolation=False, wheel=False)


EVERYTHING = """
    import tarfile
    n = 'a-1.tar.gz'
    with tarfile.open(pathlib.Path(folder, n), 'w:gz') as archive:
        for name in ('a.py', '.gitignore', '.maestro', 'reports', 'kept'):
            archive.add(name, 'a-1/' + name)
    return n
"""


def test_state_and_reports_a_backend_takes_in_are_no_part_of_a_source_distribution(step: Harness) -> None:
    files = {
        "a.py": "",
        ".gitignore": "*.pyc\n",
        ".maestro/keys/development.pem": "private",
        "reports/.gitignore": "*\n",
        "reports/test/unit.xml": "<x/>",
        "kept/.gitignore": "# all but sources\n*.o\n",
        "kept/b.py": "",
    }
    backend(step, sdist=EVERYTHING).write(files)
    result = step.run(BUILD_PYTHON, python=sys.executable, isolation=False, wheel=False)
    assert result.passed, step.log
    with tarfile.open(step.workspace / "dist/a-1.tar.gz") as archive:
        names = {member.name for member in archive if member.isreg()}
    assert names == {"a-1/a.py", "a-1/.gitignore", "a-1/kept/.gitignore", "a-1/kept/b.py"}
    assert "a-1.tar.gz: git ignores these, so they were left out: a-1/.maestro, a-1/reports" in step.log


def test_a_wheel_that_holds_state_is_refused(step: Harness) -> None:
    wheel = """
    import zipfile
    n = 'a-1-py3-none-any.whl'
    with zipfile.ZipFile(pathlib.Path(folder, n), 'w') as archive:
        archive.writestr('.maestro/keys/development.pem', 'private')
    return n
"""
    backend(step, wheel=wheel)
    with pytest.raises(InputError, match=r"holds Maestro's own state, .*: \.maestro/keys/development\.pem"):
        step.run(BUILD_PYTHON, python=sys.executable, isolation=False, sdist=False)
    assert not (step.workspace / "dist").exists()


@pytest.mark.parametrize("text", ["", "no archive at all", "\\x1f\\x8b"])
def test_a_backend_that_makes_no_archive_is_an_input_error(step: Harness, text: str) -> None:
    backend(step, sdist=f"n = 'a-1.tar.gz'; pathlib.Path(folder, n).write_text('{text}'); return n")
    with pytest.raises(InputError, match=r"'a-1\.tar\.gz' is no gzipped tar archive"):
        step.run(BUILD_PYTHON, python=sys.executable, isolation=False, wheel=False)


def test_a_wheel_tells_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/__init__.py", "")
        archive.writestr("a-1.2.dist-info/METADATA", "Name: a\nVersion: 1.2\nRequires-Python: >=3.11\n\nName: not me\n")
    assert read_wheel(file) == {"name": "a", "version": "1.2", "requires_python": ">=3.11", "files": 2}


def test_a_wheel_without_metadata_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w"):
        pass
    with pytest.raises(InputError, match=r"'a\.whl' is no wheel: it has no METADATA"):
        read_wheel(tmp_path / "a.whl")


def test_a_folder_named_build_is_not_the_package_build(step: Harness) -> None:
    fake = step.workspace / "python"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # -S: no installed packages
    fake.chmod(0o755)
    backend(step).write({"build/__main__.py": ""})
    with pytest.raises(InputError, match="no Python interpreter has 'build'"):
        step.run(BUILD_PYTHON, python="./python")


def test_it_says_what_it_would_do_and_needs(step: Harness) -> None:
    params = BUILD_PYTHON.params
    assert BUILD_PYTHON.describe(params()) == "Builds the wheel and sdist of the Python project in '.' into 'dist'."
    assert backend(step).requires(BUILD_PYTHON) == ["python3"]
    (step.workspace / ".venv/bin").mkdir(parents=True)
    (step.workspace / ".venv/bin/python").symlink_to(sys.executable)
    assert step.requires(BUILD_PYTHON) == [str(step.workspace / ".venv/bin/python")]

"""Step kind ``build.python``: a wheel and a source distribution."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from assets import places
from assets.file_subjects import file_subjects
from assets.interpreters import interpreter_requirement, interpreter_with
from assets.sdists import OWN, tidy
from maestro.errors import InputError
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

EARLIEST = 315532800
"""1980-01-01, the first time a zip file, and so a wheel, can hold; Unix seconds."""

_WHEEL = "application/zip"
_SDIST = "application/gzip"
_METADATA_LIMIT = 16 * 1024 * 1024


class BuildPythonParams(BaseParams):
    """Parameters of ``build.python``."""

    directory: str = Field(".", description="Folder of the project.")
    wheel: bool = Field(True, description="Builds a wheel.")
    sdist: bool = Field(True, description="Builds a source distribution.")
    python: str | None = Field(
        None, min_length=1, description="Interpreter that builds; the first found that has the package `build`."
    )
    isolation: bool = Field(True, description="Builds in a fresh environment with what the project says it needs.")
    output_directory: str = Field("dist", description="Folder the packages are put into, in `directory`.")

    @model_validator(mode="after")
    def _something_is_built(self) -> BuildPythonParams:
        if not self.wheel and not self.sdist:
            raise ValueError("'wheel' and 'sdist' are both false, so there is nothing to build")
        return self


def _run(context: StepContext, params: BuildPythonParams) -> StepResult:
    project = _project(context.workspace, params)
    target = places.inside(context.workspace, f"{params.directory}/{params.output_directory}", "output_directory")
    python = interpreter_with(context, "build", params.python, project, "build")
    made = context.scratch / "dist"
    argv = [python, "-m", "build", "--outdir", str(made)]
    if not (params.wheel and params.sdist):
        # Without either, the wheel is built from the source distribution, which proves that one complete.
        argv.append("--wheel" if params.wheel else "--sdist")
    if not params.isolation:
        argv.append("--no-isolation")
    # In the scratch folder: there, `-m build` cannot mean a file of the project.
    epoch = _epoch(context)
    # Both make two builds of one revision equal (reproducible-builds.org, SOURCE_DATE_EPOCH).
    env = {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    code = context.run_process([*argv, str(project)], cwd=context.scratch, env=env).exit_code
    if code != 0:
        return StepResult(passed=False, summary=f"the build failed (exit code {code})", exit_code=code)
    outputs: list[Output] = []
    metadata: dict[str, Any] = {}
    for wanted, name, pattern, media_type in (
        (params.sdist, "sdist", "*.tar.gz", _SDIST),
        (params.wheel, "wheel", "*.whl", _WHEEL),
    ):
        if not wanted:
            continue
        found = sorted(made.glob(pattern))
        if len(found) != 1:
            return StepResult(passed=False, summary=f"the build made {len(found)} files {pattern} instead of one")
        if name == "sdist":
            _tidy(context, found[0], epoch)
        else:
            _refuse_state(found[0])
        place = target / found[0].name
        places.publish(found[0], place)
        outputs.append(Output(name, places.relative(context.workspace, place), media_type))
        metadata |= {f"{name}_bytes": place.stat().st_size}
        if name == "wheel":
            metadata |= read_wheel(place)
    names = " and ".join(Path(output.path).name for output in outputs)
    values: dict[str, Any] = {key: metadata[key] for key in ("name", "version") if key in metadata}
    return StepResult(
        summary=f"built {names}",
        outputs=outputs,
        values=values,
        metadata=metadata,
        exit_code=code,
        subjects=file_subjects(context.workspace, outputs),
    )


def read_wheel(file: Path) -> dict[str, Any]:
    """Name, version, required Python and number of files of a wheel (core metadata 2.x, PEP 427).

    Raises:
        InputError: it is no wheel.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            described = next(entry for entry in entries if _is_metadata(entry.filename))
            with archive.open(described) as stream:
                about: Message = BytesParser().parsebytes(stream.read(_METADATA_LIMIT), headersonly=True)
    except (zipfile.BadZipFile, StopIteration, OSError) as error:
        raise InputError(
            f"'{file.name}' is no wheel: {str(error) or 'it has no METADATA'}",
            next_step="check the project's build backend",
        ) from error
    return {
        "name": str(about["Name"] or ""),
        "version": str(about["Version"] or ""),
        "requires_python": str(about["Requires-Python"] or ""),
        "files": len(entries),
    }


def _refuse_state(wheel: Path) -> None:
    """A wheel lists its files, so nothing is taken out of it. What is no zip file is refused by whoever reads it."""
    if not zipfile.is_zipfile(wheel):
        return
    with zipfile.ZipFile(wheel) as archive:
        found = next((name for name in archive.namelist() if OWN in name.split("/")), None)
    if found is not None:
        raise InputError(
            f"'{wheel.name}' holds Maestro's own state, where private keys lie: {found}",
            next_step=f"write {OWN}/ into the .gitignore, or exclude it in the build backend's settings",
        )


def _tidy(context: StepContext, sdist: Path, epoch: int) -> None:
    try:
        done = tidy(sdist, epoch)
        if done.clamped:
            context.log.info("%s: times later than SOURCE_DATE_EPOCH were set to it", sdist.name)
        if done.left_out:
            context.log.info("%s: git ignores these, so they were left out: %s", sdist.name, ", ".join(done.left_out))
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"'{sdist.name}' is no gzipped tar archive: {error}", next_step="check the project's build backend"
        ) from error


def _is_metadata(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] == "METADATA"


def _project(workspace: Path, params: BuildPythonParams) -> Path:
    project = places.folder(workspace, params.directory, "directory")
    if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise InputError(
            f"there is neither pyproject.toml nor setup.py in '{params.directory}'",
            next_step="name the project's folder with 'directory'",
        )
    return project


def _epoch(context: StepContext) -> int:
    """The time every file is said to have: the step's own SOURCE_DATE_EPOCH, else the commit's, else the earliest."""
    given = context.env.get("SOURCE_DATE_EPOCH")
    if given is None:
        return _commit_time(context) or EARLIEST
    if not (given.isascii() and given.isdigit()):
        raise InputError(
            f"SOURCE_DATE_EPOCH is '{given[:40]}', which is no time in whole seconds",
            next_step="correct it, or leave it out: the time of the commit is taken then",
        )
    return int(given)


def _commit_time(context: StepContext) -> int | None:
    # Asked only in a repository, so that no complaint of git's stands in the log of a build without one.
    if context.which("git") is None or not any(
        (folder / ".git").exists() for folder in (context.workspace, *context.workspace.parents)
    ):
        return None
    answer = context.scratch / "commit_time"
    argv = ["git", "log", "-1", "--format=%ct"]
    if context.run_process(argv, cwd=context.workspace, stdout=answer).exit_code != 0:
        return None
    text = answer.read_text().strip()
    return max(int(text), EARLIEST) if text.isdigit() else None


def _describe(params: BuildPythonParams) -> str:
    what = " and ".join(name for name, wanted in (("wheel", params.wheel), ("sdist", params.sdist)) if wanted)
    return f"Builds the {what} of the Python project in '{params.directory}' into '{params.output_directory}'."


def _requires(context: PlanContext, params: BuildPythonParams) -> list[Requirement]:
    project = _project(context.workspace, params)
    return [interpreter_requirement(params.python, project, context.workspace, context.which)]


BUILD_PYTHON = StepKind(
    name="build.python",
    version="3",
    params=BuildPythonParams,
    run=_run,
    summary="Builds a wheel and a source distribution, the same bytes for the same revision.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("python",),
    confined=True,
)

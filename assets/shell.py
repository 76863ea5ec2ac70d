"""Step kind ``shell``: runs a command."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assets import places, step_files
from maestro.errors import InputError
from maestro.steps import BaseParams, PlanContext, Requirement, StepContext, StepKind, StepResult

ShellName = Literal["bash", "sh"]


class ShellParams(BaseParams):
    """Parameters of ``shell``."""

    command: str = Field(min_length=1, description="What to run; stops at the first command that fails.")
    shell: ShellName = Field("bash", description="Shell that runs it.")
    working_directory: str | None = Field(None, description="Folder it runs in; the workspace when not given.")


def shell_argv(command: str, shell: ShellName = "bash") -> list[str]:
    """``command`` as a process: ends at the first failing command and, in bash, at a failing part of a pipe."""
    # POSIX got `pipefail` in 2024 only; dash, Debian's sh, refuses it.
    strict = ["-e", "-o", "pipefail"] if shell == "bash" else ["-e"]
    return [shell, *strict, "-c", command]


def shell_requirement(shell: ShellName) -> Requirement:
    """The shell as a tool; ``sh`` has no version to ask for."""
    if shell == "bash":
        return Requirement("bash", "install it: apt install bash")
    return Requirement("sh", "install a POSIX shell: apt install dash", version_args=())


def _run(context: StepContext, params: ShellParams) -> StepResult:
    where = places.folder(context.workspace, params.working_directory or ".", "working_directory")
    outputs, metadata = context.scratch / "output", context.scratch / "metadata"
    for file in (outputs, metadata):
        file.touch()
    completed = context.run_process(
        shell_argv(params.command, params.shell),
        cwd=where,
        env={step_files.OUTPUT: str(outputs), step_files.METADATA: str(metadata)},
    )
    passed = completed.exit_code == 0
    try:
        values = step_files.read_values(outputs, step_files.OUTPUT)
        shown = step_files.read_metadata(metadata)
    except InputError as error:
        if passed:
            raise
        # The command's own failure is what a person must see; what it wrote until then may well be torn.
        context.log.warning("%s", error.what)
        values, shown = {}, {}
    return StepResult(
        passed=passed,
        summary=f"exit code {completed.exit_code}",
        values=values,
        metadata=shown,
        exit_code=completed.exit_code,
    )


def _describe(params: ShellParams) -> str:
    first, *more = params.command.strip().splitlines() or [""]
    return f"Runs `{first}`{' and more' if more else ''} in {params.shell}."


def _requires(_context: PlanContext, params: ShellParams) -> list[Requirement]:
    return [shell_requirement(params.shell)]


SHELL = StepKind(
    name="shell",
    version="1",
    params=ShellParams,
    run=_run,
    summary="Runs a command; it may hand over values by the files MAESTRO_OUTPUT and MAESTRO_METADATA.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("shell",),
    confined=True,
)

"""Step kind ``build.typescript``: installs a Node package's dependencies, builds it, and packs it if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from assets import places
from assets.file_subjects import file_subjects
from assets.node_packages import NodePackage, read_node_package
from maestro.errors import InputError
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

_TARBALL = "application/gzip"


class BuildTypescriptParams(BaseParams):
    """Parameters of ``build.typescript``."""

    directory: str = Field(".", description="Folder of the package.")
    install: Literal["auto", "always", "never"] = Field(
        "auto", description="Whether dependencies are installed; `auto`: when node_modules is missing or out of date."
    )
    script: str = Field("build", min_length=1, description="Script of package.json; without it, tsc is run.")
    output_directory: str = Field("dist", description="Folder the build writes, in `directory`; its files are kept.")
    pack: bool = Field(False, description="Packs the package as a tarball as well.")


def _run(context: StepContext, params: BuildTypescriptParams) -> StepResult:
    package = _package(context.workspace, params)
    built = f"{params.directory}/{params.output_directory}"
    places.inside(context.workspace, built, "output_directory")
    if _needs_install(package, params):
        code = context.run_process(package.install_argv(), cwd=package.folder).exit_code
        if code != 0:
            summary = f"the dependencies could not be installed (exit code {code})"
            return StepResult(passed=False, summary=summary, exit_code=code)
    code = context.run_process(_build_argv(context, params, package), cwd=package.folder).exit_code
    if code != 0:
        return StepResult(passed=False, summary=f"the build failed (exit code {code})", exit_code=code)
    files = places.matches(context.workspace, built, "output_directory")
    if not files:
        summary = f"the build left no files in '{params.output_directory}'; name its folder with 'output_directory'"
        return StepResult(passed=False, summary=summary, exit_code=code)
    outputs = [Output(path, path) for path in (places.relative(context.workspace, file) for file in files)]
    size = sum(file.stat().st_size for file in files)
    if params.pack:
        tarball = _packed(context, package)
        if tarball is None:
            return StepResult(passed=False, summary="the package could not be packed", outputs=outputs)
        outputs.append(Output("package", places.relative(context.workspace, tarball), _TARBALL))
    return StepResult(
        summary=f"{len(files)} {'file' if len(files) == 1 else 'files'}, {size:,} bytes",
        outputs=outputs,
        values={"name": package.name, "version": package.version},
        metadata={
            "name": package.name,
            "version": package.version,
            "node": _node_version(context),
            "files": len(files),
            "bytes": size,
        },
        exit_code=code,
        # The tarball is what is published; the files beside it are delivered only where there is none.
        subjects=file_subjects(context.workspace, [one for one in outputs if one.name == "package"] or outputs),
    )


def _package(workspace: Path, params: BuildTypescriptParams) -> NodePackage:
    folder = places.folder(workspace, params.directory, "directory")
    package = read_node_package(folder, workspace)
    if package is None:
        raise InputError(
            f"there is no package.json in '{params.directory}'",
            next_step="name the package's folder with 'directory'",
        )
    if not package.has_script(params.script) and not _has_typescript(package):
        raise InputError(
            f"package.json has no script '{params.script}', and there is no tsconfig.json to run tsc on",
            next_step=f"add the script, or name another one with 'script' (there are: {_names(package)})",
        )
    return package


def _has_typescript(package: NodePackage) -> bool:
    return (package.folder / "tsconfig.json").is_file()


def _names(package: NodePackage) -> str:
    return ", ".join(sorted(package.scripts)) or "none"


def _needs_install(package: NodePackage, params: BuildTypescriptParams) -> bool:
    if params.install == "auto":
        # Without a lock file and without dependencies there is nothing to install.
        return not package.installed() and bool(package.lock or package.dependencies)
    return params.install == "always"


def _build_argv(context: StepContext, params: BuildTypescriptParams, package: NodePackage) -> list[str]:
    if package.has_script(params.script):
        return [package.manager, "run", params.script]
    compiler = package.program("tsc", context.workspace)
    if compiler is None:
        raise InputError(
            f"package.json has no script '{params.script}', and TypeScript is not installed",
            next_step="add it: npm install --save-dev typescript",
        )
    return [str(compiler), "-p", "."]


def _packed(context: StepContext, package: NodePackage) -> Path | None:
    """The tarball, put beside ``package.json`` as ``npm pack`` does; None when packing failed."""
    made = context.scratch / "package"
    made.mkdir()
    # Only pnpm understands its own `workspace:` versions; Yarn has no common way to name the folder.
    manager = "pnpm" if package.manager == "pnpm" else "npm"
    packed = context.run_process([manager, "pack", "--pack-destination", str(made)], cwd=package.folder)
    found = sorted(made.glob("*.tgz"))
    if packed.exit_code != 0 or len(found) != 1:
        return None
    place = package.folder / found[0].name
    places.publish(found[0], place)
    return place


def _node_version(context: StepContext) -> str:
    answer = context.scratch / "node_version"
    context.run_process(["node", "--version"], stdout=answer)
    return answer.read_text().strip().removeprefix("v")


def _describe(params: BuildTypescriptParams) -> str:
    packing = " and packs it" if params.pack else ""
    return f"Builds the Node package in '{params.directory}' with its script '{params.script}' or tsc{packing}."


def _requires(context: PlanContext, params: BuildTypescriptParams) -> list[Requirement]:
    return _package(context.workspace, params).requirements


BUILD_TYPESCRIPT = StepKind(
    name="build.typescript",
    version="2",
    params=BuildTypescriptParams,
    run=_run,
    summary="Installs the dependencies of a Node package, builds it, and packs it if asked.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("typescript",),
    confined=True,
)

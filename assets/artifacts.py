"""Step kind ``artifact.put``: keeps files of the workspace as artifacts."""

from __future__ import annotations

from pydantic import Field

from assets import places
from assets.file_subjects import file_subjects
from maestro.steps import BaseParams, Output, StepContext, StepKind, StepResult


class ArtifactPutParams(BaseParams):
    """Parameters of ``artifact.put``."""

    path: str = Field(min_length=1, description="File, folder (all files beneath) or glob, in the workspace.")
    name: str | None = Field(
        None, min_length=1, description="Name of the output; of several files, what comes before their paths."
    )
    media_type: str | None = Field(
        None, pattern=r"^[\w.+-]+/[\w.+-]+$", description="Media type (RFC 6838); guessed from the name when not given."
    )
    required: bool = Field(True, description="False: passes when nothing matches.")
    deliver: bool = Field(False, description="They are delivered: evidence and gates are about them.")


def _run(context: StepContext, params: ArtifactPutParams) -> StepResult:
    files = places.matches(context.workspace, params.path, "path")
    if not files:
        return StepResult(passed=not params.required, summary=f"no file matches '{params.path}'", metadata={"files": 0})
    paths = [places.relative(context.workspace, file) for file in files]
    size = sum(file.stat().st_size for file in files)
    outputs = [Output(_name(path, params.name, len(paths)), path, params.media_type) for path in paths]
    return StepResult(
        summary=f"{len(files)} {'file' if len(files) == 1 else 'files'}, {size:,} bytes",
        outputs=outputs,
        subjects=file_subjects(context.workspace, outputs) if params.deliver else (),
        metadata={"files": len(files), "bytes": size},
    )


def _name(path: str, name: str | None, count: int) -> str:
    if name is None:
        return path
    return name if count == 1 else f"{name}/{path}"


ARTIFACT_PUT = StepKind(
    name="artifact.put",
    version="2",
    params=ArtifactPutParams,
    run=_run,
    summary="Keeps files of the workspace as artifacts.",
    describe=lambda params: f"{'Delivers' if params.deliver else 'Keeps'} '{params.path}' as artifacts.",
    dagster_kinds=("file",),
    confined=True,
)

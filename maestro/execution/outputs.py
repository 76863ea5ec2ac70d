"""Collects what a step leaves behind into the artifact store, and puts it back into a workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maestro.artifacts import Artifact, ArtifactStore
from maestro.execution.errors import StepError
from maestro.steps import Output
from maestro.workflow.graph import named_steps
from maestro.workflow.model import Workflow

_MOST_FILES = 20_000


def products_of(workflow: Workflow) -> tuple[str, ...]:
    """Globs of files the steps of ``workflow`` declare as outputs; expressions among them are left out."""
    found = []
    for named in named_steps(workflow):
        outputs = named.step.outputs
        found += list(outputs.values()) if isinstance(outputs, dict) else outputs
    return tuple(pattern.removeprefix("./") for pattern in found if "{{" not in pattern)


def declared_files(workspace: Path, patterns: Mapping[str, str] | Sequence[str]) -> list[Output]:
    """The files that match a step's ``outputs``, one Output each.

    A named output with one file keeps its name; one with several, and an unnamed one, is named by its path.

    Raises:
        StepError: a pattern matches no file, leaves the workspace, or matches too many.
    """
    found: list[Output] = []
    pairs: list[tuple[str | None, str]] = (
        list(patterns.items()) if isinstance(patterns, Mapping) else [(None, one) for one in patterns]
    )
    for name, pattern in pairs:
        files = _matching(workspace, pattern)
        if not files:
            raise StepError(
                f"output '{pattern}' is not there",
                next_step="correct 'outputs', or make the step write the file",
            )
        single = name if name is not None and len(files) == 1 else None
        found += [Output(single or (f"{name}/{path}" if name else path), path) for path in files]
    return found


def _matching(workspace: Path, pattern: str) -> list[str]:
    relative = pattern.removeprefix("./")
    if relative.startswith("/") or ".." in Path(relative).parts:
        raise StepError(f"output '{pattern}' leaves the workspace", next_step="name files inside the repository")
    base = workspace.resolve()
    found: set[str] = set()
    for path in base.glob(relative):
        inside = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        for file in inside:
            if file.resolve().is_relative_to(base):
                found.add(file.relative_to(base).as_posix())
        if len(found) > _MOST_FILES:
            raise StepError(f"output '{pattern}' matches over {_MOST_FILES:,} files", next_step="narrow the pattern")
    return sorted(found)


def keep(workspace: Path, outputs: Sequence[Output], store: ArtifactStore) -> tuple[Artifact, ...]:
    """The files as artifacts in the store, the same name once only."""
    kept: dict[str, Artifact] = {}
    for output in outputs:
        artifact = store.put_file(
            workspace / output.path, name=output.name, media_type=output.media_type, path=output.path
        )
        kept.setdefault(output.name, artifact)
    return tuple(kept.values())


def restore(workspace: Path, artifacts: Sequence[Artifact], store: ArtifactStore) -> int:
    """Puts the files back where they lay; how many had to be written."""
    base = workspace.resolve()
    written = 0
    for artifact in artifacts:
        if artifact.path is None:
            continue
        target = base / artifact.path
        if not target.parent.resolve().is_relative_to(base):
            raise StepError(
                f"output '{artifact.path}' would be written outside the workspace",
                next_step=f"remove the symbolic link in the way of '{artifact.path}'",
            )
        written += store.fetch(artifact, target)
    return written

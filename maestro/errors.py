"""Every error a person can meet: one base, an exit code each.

::

    MaestroError            exit 1   what happened, where, what to do next
    ├── InputError          exit 2   the file, the command line or the repository is wrong
    ├── RunFailedError      exit 1   a run ended in failure
    └── RunCancelledError   exit 130 a run was cancelled
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file. ``line`` and ``column`` count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


class MaestroError(Exception):
    """What happened, where, and what to do next; the CLI prints exactly these three.

    Args:
        what: one sentence, no trailing newline.
        where: the place, when there is one.
        next_step: what the reader does now, as an imperative.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: Location | None = None, next_step: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        following = f"\n  next: {self.next_step}" if self.next_step else ""
        return f"{place}{self.what}{following}"


class InputError(MaestroError):
    """The workflow file, the command line or the repository cannot be used as it is."""

    exit_code = 2


class RunFailedError(MaestroError):
    """A run ended in failure."""

    exit_code = 1


class RunCancelledError(MaestroError):
    """A run was cancelled."""

    exit_code = 130


EXTRAS = {
    "evidence": (
        "boto3",
        "botocore",
        "cvss",
        "cyclonedx",
        "detect_secrets",
        "ijson",
        "license_expression",
        "packageurl",
        "packaging",
        "regorus",
        "semantic_version",
        "univers",
        "zstandard",
    ),
    "postgres": ("psycopg2", "dagster_postgres"),
    "cluster": ("dagster_celery", "celery", "kombu", "redis"),
    "kubernetes": ("dagster_k8s", "kubernetes"),
    "models": ("litellm", "ollama", "pynvml", "tiktoken"),
    "evals": ("inspect_ai",),
}
"""What the extras bring, by the names Python imports; those of keys are told where keys are opened."""


def missing_library(error: BaseException, needed_by: str = "this") -> MaestroError | None:
    """What to say when ``error`` is a library of an extra that is not installed; None for every other error.

    Args:
        needed_by: what needs it, the beginning of the sentence.
    """
    if not isinstance(error, ModuleNotFoundError):
        return None
    library = (error.name or "").partition(".")[0]
    for extra, names in EXTRAS.items():
        if library in names:
            return MaestroError(
                f"{needed_by} needs the extra '{extra}', which is not installed: there is no '{library}'",
                next_step=f"pip install 'maestro-conductor[{extra}]'",
            )
    return None

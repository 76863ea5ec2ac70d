"""Step kinds for tests of the workflow language: parameters only, nothing runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from maestro.steps import BaseParams, Registry, StepKind, StepResult
from maestro.workflow.load import LoadedWorkflow, load_text
from maestro.workflow.problems import WorkflowErrors

ANALYSE = """\
name: intelgraph-build
version: 1.0.0
stages:
  - name: analyze
    steps:
      - run: litellm.generate
        with: { model: gpt-4o-mini, prompt_template: code_review }
  - name: test
    parallel:
      - run: shell
        with: { command: 'npm test' }
      - run: shell
        with: { command: 'npm run typecheck' }
"""
"""The workflow this project was asked for with."""
DELIVER = """\
name: intelgraph-build
version: 1.0.0
stages:
  - name: analyze
    steps:
      - run: litellm.generate
        with: { prompt_template: code_review, model: gpt-4o-mini }
  - name: build
    steps:
      - run: build.typescript
        with: { cache_key: '{{ git.sha }}-{{ package.json.hash }}' }
  - name: test
    parallel:
      - run: test.unit
      - run: test.integration
      - run: test.e2e
  - name: package
    steps:
      - run: container.build
        with: { registry: ghcr.io/intelgraph, sbom: true, sign: true }
"""
"""The second one: what is delivered."""


class ShellParams(BaseParams):
    command: str = Field(min_length=1, description="What to run.")
    shell: Literal["bash", "sh"] = Field("bash", description="Shell that runs it.")
    attempts: int = Field(1, ge=1, description="A number.")
    strict: bool = Field(False, description="A switch.")
    arguments: list[str] = Field(default_factory=list, description="Texts.")


class Limits(BaseModel):
    model_config = {"extra": "forbid"}
    memory: int = 1


class BuildParams(BaseParams):
    directory: str = "."
    limits: Limits | None = None
    wheel: bool = True
    sdist: bool = True

    @model_validator(mode="after")
    def _something(self) -> BuildParams:
        if not self.wheel and not self.sdist:
            raise ValueError("'wheel' and 'sdist' are both false, so there is nothing to build")
        return self


def kind(name: str, params: type[BaseParams]) -> StepKind[Any]:
    return StepKind(
        name=name,
        version="1",
        params=params,
        run=lambda _context, _params: StepResult(),
        summary=f"Does {name}.",
        describe=lambda _params: name,
    )


REGISTRY = Registry(
    [
        kind("shell", ShellParams),
        *(kind(name, BuildParams) for name in ("build.python", "build.typescript", "test.unit")),
    ]
)


def own_kinds() -> Registry:
    """The kinds of this project, whatever else is installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    registry = Registry()
    return Registry([registry.get(name) for name in project["entry-points"]["maestro.steps"]])


def load(text: str) -> LoadedWorkflow:
    return load_text(text.encode(), file="maestro.yaml", registry=REGISTRY)


def problems(text: str | bytes) -> list[str]:
    """The problems of a file, each as a person sees it; fails when there is none."""
    content = text.encode() if isinstance(text, str) else text
    try:
        load_text(content, file="maestro.yaml", registry=REGISTRY)
    except WorkflowErrors as errors:
        return [str(problem) for problem in errors.problems]
    raise AssertionError("the file was taken")


def first_lines(text: str | bytes) -> list[str]:
    """``line:column: message`` of each problem."""
    return [re.sub(r"^maestro\.yaml:?", "", problem.splitlines()[0]) for problem in problems(text)]


def one_step(*lines: str) -> str:
    """A workflow of one shell step, whose other keys are ``lines``; the first of them is line 8."""
    head = ["name: product", "stages:", "  - name: build", "    steps:", "      - id: only", "        run: shell"]
    return "\n".join([*head, "        with: {command: make}", *(f"        {line}" for line in lines)]) + "\n"

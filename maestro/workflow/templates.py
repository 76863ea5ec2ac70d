"""Writes a first ``maestro.yaml``: stages of steps for what a repository has, with comments for its next editor."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from maestro.errors import InputError

TEMPLATES = ("auto", "python", "typescript", "go", "rust", "make", "minimal")
"""Names for ``maestro init --template``; ``auto`` takes what was found."""

_LEVELS = {"unit": "Unit tests", "integration": "Integration tests", "e2e": "End-to-end tests"}


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests of one level with one framework.

    Args:
        level: ``unit``, ``integration`` or ``e2e``.
        framework: as step kind ``test.<level>`` names it; None: a script, which the kind finds by itself.
    """

    __test__ = False

    level: str
    framework: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a repository has.

    Args:
        python_package: there is something to build a wheel of.
        node: command that installs the dependencies of ``package.json``, empty when it has none; None: no package.
        node_build: ``typescript``, a script's name, or None.
        node_output: folder a TypeScript build writes.
        node_scripts: scripts that check something (``lint``, ``typecheck``).
        run_script: how the package manager runs a script.
        make: targets of the Makefile among build, lint, check and test.
        container_file: name of the Containerfile or Dockerfile.
    """

    python_package: bool = False
    node: str | None = None
    node_build: str | None = None
    node_output: str = "dist"
    node_scripts: Sequence[str] = ()
    run_script: str = "npm run"
    go: bool = False
    rust: bool = False
    make: Sequence[str] = ()
    container_file: str | None = None
    tests: Sequence[Tests] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class _Step:
    id: str
    run: str
    comment: str
    parameters: dict[str, object] = field(default_factory=dict)
    more: Sequence[str] = ()

    def lines(self) -> list[str]:
        written = [f"# {line}" for line in textwrap.wrap(self.comment, 100)]
        written += [f"- id: {self.id}", f"  run: {self.run}"]
        if self.parameters:
            pairs = ", ".join(f"{name}: {_scalar(value)}" for name, value in self.parameters.items())
            written.append(f"  with: {{{pairs}}}")
        return [*written, *(f"  {line}" for line in self.more)]


def check_template(name: str) -> None:
    """Refuses an unknown template.

    Raises:
        InputError: with the nearest name and all of them.
    """
    if name not in TEMPLATES:
        close = difflib.get_close_matches(name, TEMPLATES, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise InputError(f"there is no template '{name}'", next_step=f"{hint}templates: {', '.join(TEMPLATES)}")


def assumed(template: str, found: Found) -> Found:
    """What ``template`` is written for: what was found, or what such a repository usually has."""
    usual = {
        "python": Found(python_package=True, tests=(Tests("unit", "pytest"),)),
        "typescript": Found(node="npm ci", node_build="typescript", tests=(Tests("unit", "vitest"),)),
        "go": Found(go=True, tests=(Tests("unit", "go"),)),
        "rust": Found(rust=True, tests=(Tests("unit", "cargo"),)),
        "make": Found(make=("build", "test")),
        "minimal": Found(),
    }
    return found if template == "auto" else usual[template]


def compose(name: str, found: Found, kinds: Collection[str]) -> str:
    """The text of a ``maestro.yaml`` for a project called ``name``; ``kinds`` are the step kinds there are."""
    stages = {
        "prepare": _prepare(found),
        "build": _build(found),
        "check": _checks(found),
        "test": _tests(found),
        "package": _packaging(found),
    }
    stages = {stage: [step for step in steps if step.run in kinds] for stage, steps in stages.items()}
    if not any(stages.values()):
        stages["build"] = [_HELLO]
    lines = [
        "# What Maestro does for every revision of this repository.",
        "#   maestro plan   what would run, and why      maestro run   runs it; unchanged steps come from the cache",
        f"name: {name}",
        "version: 1.0.0",
        "",
        "stages:",
    ]
    for stage, steps in stages.items():
        if steps:
            lines += _stage(stage, steps)
    return "\n".join([*lines, *_closing(found, stages["test"]), ""])


_HELLO = _Step(
    "hello",
    "shell",
    "Replace this by what builds the project. A step's output is kept; `outputs: [dist/**]` keeps files too.",
    {"command": "echo 'nothing to build yet'"},
)


def _stage(name: str, steps: Sequence[_Step]) -> list[str]:
    # Steps under `parallel` run at once; a stage waits for the one before it.
    lines = [f"  - name: {name}", "    parallel:" if len(steps) > 1 else "    steps:"]
    for step in steps:
        lines += [f"      {line}" for line in step.lines()]
    return lines


def _prepare(found: Found) -> list[_Step]:
    if not found.node:
        return []
    comment = "node_modules is no output, so this looks each time; it installs only what is missing or out of date."
    return [_Step("node-modules", "shell", comment, {"command": found.node}, ["cache: false"])]


def _build(found: Found) -> list[_Step]:
    steps = []
    if found.python_package:
        steps.append(
            _Step("python-packages", "build.python", "A wheel and a source distribution.", {}, ["outputs: [dist/**]"])
        )
    if found.node_build == "typescript":
        parameters: dict[str, object] = {"install": "never"} if found.node else {}
        if found.node_output != "dist":
            parameters["output_directory"] = found.node_output
        comment = f"Runs the script build of package.json, or tsc; keeps the files in {found.node_output}/."
        outputs = [f"outputs: [{found.node_output}/**]"]
        steps.append(_Step("typescript", "build.typescript", comment, parameters, outputs))
    elif found.node_build:
        comment = "Add `outputs: [dist/**]`, or where the files go: they are then kept, and restored from the cache."
        steps.append(_Step("node-build", "shell", comment, {"command": f"{found.run_script} {found.node_build}"}))
    if found.go:
        inputs = ["inputs: ['**/*.go', go.mod, go.sum]"]
        steps.append(_Step("go-build", "shell", "Compiles every package.", {"command": "go build ./..."}, inputs))
    if found.rust:
        inputs = ["inputs: ['**/*.rs', '**/Cargo.toml', Cargo.lock]"]
        steps.append(_Step("rust-build", "shell", "Compiles the crate.", {"command": "cargo build"}, inputs))
    if "build" in found.make and not steps:
        comment = "Add `outputs: […]` with the files it makes: they are then kept, and restored from the cache."
        steps.append(_Step("make-build", "shell", comment, {"command": "make build"}))
    return steps


def _checks(found: Found) -> list[_Step]:
    steps = [
        _Step(_id(script), "shell", f"Script {script} of package.json.", {"command": f"{found.run_script} {script}"})
        for script in found.node_scripts
    ]
    if found.go:
        inputs = ["inputs: ['**/*.go', go.mod, go.sum]"]
        steps.append(_Step("go-vet", "shell", "Finds suspicious code.", {"command": "go vet ./..."}, inputs))
    for target in ("lint", "check"):
        if target in found.make:
            steps.append(_Step(f"make-{target}", "shell", f"Makefile target {target}.", {"command": f"make {target}"}))
    return steps


def _tests(found: Found) -> list[_Step]:
    several: dict[str, int] = {}
    for tests in found.tests:
        several[tests.level] = several.get(tests.level, 0) + 1
    steps = []
    for tests in found.tests:
        parameters: dict[str, object] = {"framework": tests.framework} if tests.framework else {}
        name = f"{tests.level}-{tests.framework or 'script'}" if several[tests.level] > 1 else tests.level
        with_ = f" with {tests.framework}; the report becomes an artifact" if tests.framework else ""
        steps.append(_Step(name, f"test.{tests.level}", f"{_LEVELS[tests.level]}{with_}.", parameters))
    if "test" in found.make and not steps:
        comment = "Use `run: test.unit` with `report: PATH` instead if it writes JUnit XML: tests are then counted."
        steps.append(_Step("make-test", "shell", comment, {"command": "make test"}))
    return steps


def _packaging(found: Found) -> list[_Step]:
    if not found.container_file:
        return []
    comment = f"The image of {found.container_file}, kept as an artifact; `registry` under `with` pushes it as well."
    return [_Step("image", "image.build", comment)]


def _closing(found: Found, tests: Sequence[_Step]) -> list[str]:
    notes = []
    if "test" in found.make and tests and tests[0].id != "make-test":
        notes.append("The Makefile has a target test as well: {id: make-test, run: shell, with: {command: make test}}")
    if "build" in found.make and (found.python_package or found.node_build or found.go or found.rust):
        notes.append(
            "The Makefile has a target build as well: {id: make-build, run: shell, with: {command: make build}}"
        )
    if found.python_package or found.node_build or found.container_file:
        notes.append(
            "SBOMs, scans, signed provenance and gates: see the section Evidence and gates of Maestro's README."
        )
    if not tests:
        notes.append("No tests were found. A stage for them: {name: test, steps: [{run: test.unit}]}")
    return ["", *(f"# {note}" for note in notes)] if notes else []


def _id(script: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in script).strip("-")


def _scalar(value: object) -> str:
    text = str(value)
    plain = all(letter.isalnum() or letter in " ./_-" for letter in text) and text[:1].isalpha()
    return text if plain and text not in ("true", "false", "null", "yes", "no", "on", "off") else json.dumps(text)

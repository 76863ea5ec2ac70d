"""Checks the names of a workflow: ids, stages, parameters, secrets, and rules between a step's keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from maestro.notation.document import Path, describe
from maestro.workflow.findings import Findings
from maestro.workflow.graph import FINALLY, NamedStep
from maestro.workflow.model import Parameter, Workflow
from maestro.workflow.repair import UNKNOWN_KIND

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}
_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "object": "a mapping",
}


def check_names(findings: Findings, workflow: Workflow, steps: Sequence[NamedStep]) -> None:
    """Adds what is wrong with names, and with keys that do not go together."""
    for name, parameter in workflow.params.items():
        _parameter(findings, ("params", name), parameter)
    if isinstance(workflow.secrets, list):
        _repeated(findings, ("secrets",), workflow.secrets)
    _stages(findings, workflow)
    _ids(findings, steps)
    _asset_names(findings, steps)
    ids = {step.id for step in steps if not step.final and step.step.run != UNKNOWN_KIND}
    for named in steps:
        _step(findings, workflow, named, ids)


def _parameter(findings: Findings, path: Path, parameter: Parameter) -> None:
    wanted = _TYPE_WORDS[parameter.type]
    for index, value in enumerate(parameter.enum or ()):
        if not fits(parameter.type, value):
            findings.add(
                (*path, "enum", index),
                f"the parameter is of type {parameter.type}; found {describe(value)}",
                allowed=wanted,
            )
    if parameter.required:
        return
    if not fits(parameter.type, parameter.default):
        findings.add(
            (*path, "default"),
            f"the default of '{path[-1]}' must be {wanted}, as its type says; found {describe(parameter.default)}",
        )
    elif parameter.enum is not None and parameter.default not in parameter.enum:
        findings.add(
            (*path, "default"),
            f"the default of '{path[-1]}' is not among the values allowed",
            allowed=", ".join(str(value) for value in parameter.enum),
        )


def fits(type_name: str, value: Any) -> bool:
    """Whether ``value`` is of the parameter type ``type_name``."""
    if isinstance(value, bool):
        return type_name == "boolean"
    return isinstance(value, _TYPES[type_name])


def _stages(findings: Findings, workflow: Workflow) -> None:
    first: dict[str, int] = {}
    names = [stage.name for stage in workflow.stages]
    for index, stage in enumerate(workflow.stages):
        path = ("stages", index)
        if stage.name == FINALLY:
            findings.add(
                (*path, "name"), "the name 'finally' is taken by the steps at the run's end", allowed="another name"
            )
        elif stage.name in first:
            place = findings.document.location(("stages", first[stage.name], "name"))
            findings.add((*path, "name"), f"two stages are named '{stage.name}'; the first at {place}")
        first.setdefault(stage.name, index)
        for position, needed in enumerate(stage.needs or ()):
            if needed not in names:
                others = [name for name in names if name != stage.name]
                findings.unknown((*path, "needs", position), "stage", needed, others, none="there is no other stage")


def _ids(findings: Findings, steps: Sequence[NamedStep]) -> None:
    first: dict[str, NamedStep] = {}
    for named in steps:
        if named.id in first:
            place = findings.document.location((*first[named.id].path, "id"))
            findings.add((*named.path, "id"), f"two steps have the id '{named.id}'; the first at {place}")
        first.setdefault(named.id, named)


def _asset_names(findings: Findings, steps: Sequence[NamedStep]) -> None:
    """Dagster joins the parts of an asset's key with ``__`` and turns ``-`` into ``_`` where it needs a Python name."""
    first: dict[str, NamedStep] = {}
    for named in steps:
        name = re.sub(r"[^A-Za-z0-9_]", "_", f"{named.stage}__{named.id}")
        other = first.setdefault(name, named)
        if other is not named and other.id != named.id:
            path = (*named.path, "id") if named.step.id else named.path
            findings.add(
                path,
                f"the asset of '{named.stage}/{named.id}' would have the same name as that of "
                f"'{other.stage}/{other.id}', {name}",
                allowed="an id that differs in more than '-' and '_'",
            )


def _step(findings: Findings, workflow: Workflow, named: NamedStep, ids: set[str]) -> None:
    step, path = named.step, named.path
    if named.final:
        for key, given in (("depends_on", step.depends_on), ("compensate", step.compensate)):
            if given:
                findings.add(
                    (*path, key), f"a step under 'finally' cannot have '{key}': it runs after all others", key=True
                )
    else:
        for index, name in enumerate(step.depends_on):
            if name not in ids:
                known = sorted(ids - {named.id})
                findings.unknown((*path, "depends_on", index), "step", name, known, none="there is no other step")
    if step.network is not False and not step.sandbox:
        findings.add((*path, "network"), "'network' only means something with 'sandbox: true'", key=True)
    _secrets(findings, workflow, named)
    for key in ("inputs", "outputs"):
        _globs(findings, (*path, key))


def _secrets(findings: Findings, workflow: Workflow, named: NamedStep) -> None:
    known = workflow.secret_sources
    path = (*named.path, "secrets")
    secrets = named.step.secrets
    if isinstance(secrets, list):
        _repeated(findings, path, secrets)
    for position, variable in enumerate(secrets):
        place: Path = (*path, position) if isinstance(secrets, list) else (*path, variable)
        name = variable if isinstance(secrets, list) else secrets[variable]
        if name not in known:
            none = "no secret is declared; list it under the workflow's 'secrets'"
            findings.unknown(place, "secret", name, known, none=none)
        for environment, owner in ((named.step.env, "the step's"), (workflow.env, "the workflow's")):
            if variable in environment:
                findings.add(place, f"the variable '{variable}' is set by this secret and by {owner} 'env'; keep one")


def _repeated(findings: Findings, path: Path, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            findings.add((*path, index), f"'{name}' is listed twice")


def _globs(findings: Findings, path: Path) -> None:
    given = findings.at(path)
    pairs: list[tuple[Any, Any]] = []
    if isinstance(given, dict):
        pairs = list(given.items())
    elif isinstance(given, list):
        pairs = list(enumerate(given))
    for key, glob in pairs:
        outside = isinstance(glob, str) and (glob.startswith(("/", "!/")) or ".." in glob.split("/"))
        if outside:
            findings.add(
                (*path, key), f"'{glob}' lies outside the workspace", allowed="a path relative to the workspace"
            )

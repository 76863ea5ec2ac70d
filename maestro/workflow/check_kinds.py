"""Checks that every step kind exists and takes what stands under ``with``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from maestro.errors import MaestroError
from maestro.notation.document import Path
from maestro.notation.problems import listed
from maestro.workflow.findings import Findings
from maestro.workflow.params import check_params
from maestro.workflow.plain import raw_steps

if TYPE_CHECKING:
    from maestro.steps.registry import Registry

DEFAULT_COMPENSATION = "shell"


def check_kinds(findings: Findings, registry: Registry) -> dict[str, type[BaseModel]]:
    """Adds what is wrong; gives the parameter model of every known kind that is used."""
    models: dict[str, type[BaseModel]] = {}
    broken: set[str] = set()
    for path, step in raw_steps(findings.data):
        _check_one(findings, registry, models, broken, path, step, step.get("run"))
        compensate = step.get("compensate")
        if isinstance(compensate, dict):
            run = compensate.get("run", DEFAULT_COMPENSATION)
            _check_one(findings, registry, models, broken, (*path, "compensate"), compensate, run)
    return models


def _check_one(
    findings: Findings,
    registry: Registry,
    models: dict[str, type[BaseModel]],
    broken: set[str],
    path: Path,
    step: dict[str, Any],
    kind: Any,
) -> None:
    if not isinstance(kind, str) or not kind or kind in broken:
        return
    if "{{" in kind:
        findings.add((*path, "run"), "a step kind cannot be an expression", allowed=listed(registry.names))
        return
    if kind not in registry:
        known = listed(registry.names, none="none is installed")
        findings.add(
            (*path, "run"), f"unknown step kind '{kind}'; known kinds: {known}", suggestion=registry.nearest(kind)
        )
        return
    if kind not in models:
        try:
            models[kind] = registry.get(kind).params
        except MaestroError as error:
            broken.add(kind)
            findings.add((*path, "run"), f"{error.what}; {error.next_step}" if error.next_step else error.what)
            return
    given = step.get("with")
    if given is None and "with" not in step:
        given = {}
    if isinstance(given, dict):
        # 'cache_key' may stand under 'with', but belongs to the step.
        parameters = {key: value for key, value in given.items() if key != "cache_key" or "compensate" in path}
        inner = (*path, "with") if "with" in step else path
        findings.problems += check_params(models[kind], parameters, document=findings.document, path=inner)
        given.update(parameters)

"""From a node of the graph to exactly what would be done: parameters, environment, and the step's cache key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maestro.artifacts import Artifact, StepRecord
from maestro.artifacts.records import SCHEMA
from maestro.errors import InputError, Location
from maestro.execution.inputs import inputs_digest
from maestro.execution.plan_errors import of_step
from maestro.execution.tools import Tools
from maestro.project import FileEntry
from maestro.steps import BaseParams, PlanContext, Registry, Requirement, StepKind
from maestro.workflow.expressions import Expressions, as_text
from maestro.workflow.graph import Node, Path
from maestro.workflow.load import LoadedWorkflow

# A record of another format is never found under a key: it would only be in the way of one that can be read.
_KEY_FORMAT = f"1.{SCHEMA}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a node would do, now.

    Args:
        environment: declared variables, workflow and step, values as text.
        requirements: tools the kind needs for these parameters.
        input_globs: of the files it depends on; None: every file of the revision.
        cache_key: sha256, hexadecimal; None when the step is never cached.
        key_parts: what went into the key, by name; for explaining a miss.
        uncached_because: why there is no key; None when there is one.
    """

    node: Node
    kind: StepKind[Any]
    params: BaseParams
    environment: Mapping[str, str]
    requirements: Sequence[Requirement]
    input_globs: Sequence[str] | None
    cache_key: str | None
    key_parts: Mapping[str, str] = field(default_factory=dict)
    uncached_because: str | None = None


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves nodes of one workflow at one revision."""

    loaded: LoadedWorkflow
    registry: Registry
    expressions: Expressions
    tools: Tools
    files: Mapping[str, FileEntry]

    def needs_steps(self, node: Node) -> bool:
        """True when something besides ``when`` can only be known after other steps have run."""
        step = node.step
        value = [step.with_, self.loaded.workflow.env, step.env, step.cache_key, step.inputs, list(_patterns(node))]
        return bool(self.expressions.references(value).steps)

    def when_needs_steps(self, node: Node) -> bool:
        """True when its ``when`` can only be decided after other steps have run."""
        conditions = [one for one in (node.stage_when, node.step.when) if isinstance(one, str)]
        return any(self.expressions.references(one, condition=True).steps for one in conditions)

    def wanted(self, node: Node, scope: Mapping[str, Any]) -> str | None:
        """None when ``when`` holds, of the step and of its stage; else the reason it does not.

        Raises:
            InputError: the expression fails; names its place.
        """
        for condition, owner, path in (
            (node.stage_when, f"stage '{node.stage}'", (*node.path[:2], "when")),
            (node.step.when, "step", (*node.path, "when")),
        ):
            if condition is None:
                continue
            with _placed(self.loaded, path):
                if not self.expressions.condition(condition, scope):
                    return f"when of the {owner}: {str(condition).strip()}"
        return None

    def environment(self, node: Node, scope: Mapping[str, Any]) -> dict[str, str]:
        """Declared variables of workflow and step; the step's win."""
        return {
            **self.variables(self.loaded.workflow.env, ("env",), scope),
            **self.variables(node.step.env, (*node.path, "env"), scope),
        }

    def variables(self, declared: Mapping[str, Any], path: Path, scope: Mapping[str, Any]) -> dict[str, str]:
        """An ``env`` mapping with its expressions evaluated."""
        found: dict[str, str] = {}
        for name, value in declared.items():
            with _placed(self.loaded, (*path, name)):
                found[name] = as_text(self.expressions.render(value, scope))
        return found

    def params(self, kind: StepKind[Any], with_: Mapping[str, Any], path: Path, scope: Mapping[str, Any]) -> BaseParams:
        """The kind's parameters with their expressions evaluated; ``path`` is that of the step.

        Raises:
            InputError: an expression fails or a value does not fit; names its place.
        """
        with _placed(self.loaded, (*path, "with")):
            rendered = self.expressions.render(dict(with_), scope)
        parameters: BaseParams = self.loaded.params(kind.name, rendered, path)
        return parameters

    def resolve(
        self,
        node: Node,
        scope: Mapping[str, Any],
        upstream: Mapping[str, StepRecord],
        plan: PlanContext,
        *,
        before: Mapping[str, StepRecord],
    ) -> Resolved:
        """Everything about ``node``, given what the steps before it left behind.

        Args:
            upstream: of the steps it waits for itself.
            before: of those, and of all steps they wait for.
        """
        step = node.step
        kind = self.registry.get(step.run)
        params = self.params(kind, step.with_, node.path, scope)
        environment = self.environment(node, scope)
        with _placed(self.loaded, node.path):
            requirements = kind.requires(plan, params)
        reason = _uncached(node, kind)
        still_traced = reason is None and not kind.cached(params)
        if reason:
            return Resolved(node, kind, params, environment, requirements, None, None, uncached_because=reason)
        with _placed(self.loaded, (*node.path, "inputs")):
            globs = None if step.inputs is None else [str(self.expressions.render(one, scope)) for one in step.inputs]
        parts = self._key_parts(node, kind, params, environment, scope)
        parts["inputs"] = inputs_digest(self.files, globs)[0]
        for tool, version in self.tools.versions(requirements).items():
            parts[f"tool {tool}"] = version
        with of_step(self.loaded, node):
            parts.update(kind.depends(plan, params))
        for name, record in sorted(upstream.items()):
            parts[f"upstream {name}"] = _digest(
                [[[one.name, one.path, one.sha256, one.executable] for one in record.outputs], dict(record.values)]
            )
        earlier = [record for name, record in before.items() if name not in upstream]
        files = sorted([one.path, one.sha256, one.executable] for record in earlier for one in _products(record))
        if files:
            # Whoever made them, they lie in the workspace, so the step may read them.
            parts["files of earlier steps"] = _digest(files)
        if still_traced:
            because = f"{kind.name} is done anew each time"
            return Resolved(node, kind, params, environment, requirements, globs, None, parts, because)
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return Resolved(node, kind, params, environment, requirements, globs, key, parts)

    def _key_parts(
        self,
        node: Node,
        kind: StepKind[Any],
        params: BaseParams,
        environment: Mapping[str, str],
        scope: Mapping[str, Any],
    ) -> dict[str, str]:
        step = node.step
        with _placed(self.loaded, (*node.path, "cache_key")):
            extra = "" if step.cache_key is None else as_text(self.expressions.render(step.cache_key, scope))
        outputs = [str(self.expressions.render(pattern, scope)) for pattern in _patterns(node)]
        return {
            "format": _KEY_FORMAT,
            "kind": f"{kind.name} {kind.version}",
            "params": _digest(params.model_dump(mode="json")),
            "env": _digest(dict(environment)),
            "outputs": _digest([outputs, step.outputs if isinstance(step.outputs, list) else sorted(step.outputs)]),
            "sandbox": _digest([step.sandbox, step.network]),
            "secrets": _digest(step.secrets),
            "cache_key": extra,
        }


def _uncached(node: Node, kind: StepKind[Any]) -> str | None:
    if node.step.has_effects or kind.effects:
        return "it has effects outside"
    if node.step.compensate is not None:
        return "it can be undone"
    if not node.step.cache:
        return "cache: false"
    return "a finally step always runs" if node.final else None


def _products(record: StepRecord) -> Iterator[Artifact]:
    """Files it left in the workspace; not what kinds report to people, which differs each time."""
    return (one for one in record.outputs if one.path is not None and not one.path.startswith("reports/"))


def _patterns(node: Node) -> Sequence[str]:
    outputs = node.step.outputs
    return list(outputs.values()) if isinstance(outputs, dict) else outputs


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class _placed:  # noqa: N801 - reads as a word in `with _placed(...)`
    """Adds the place in the workflow file to an error that has none."""

    def __init__(self, loaded: LoadedWorkflow, path: Path) -> None:
        self._loaded = loaded
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, InputError) and error.where is None:
            where: Location = self._loaded.location(self._path)
            error.where = where

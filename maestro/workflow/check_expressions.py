"""Checks every ``{{ … }}`` and ``when``: syntax, names, and that what they wait for comes before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maestro.notation.document import Document, Path
from maestro.notation.problems import Problem, listed, nearest
from maestro.workflow import scope as names
from maestro.workflow.check_matrix import axes_of
from maestro.workflow.expressions import ExpressionError, Expressions, Use, strings
from maestro.workflow.findings import Findings
from maestro.workflow.graph import NamedStep
from maestro.workflow.model import Workflow

_EXPRESSIONS = ("with", "env", "cache_key", "inputs", "outputs")
"""Keys of a step whose strings are expressions, besides ``when``, ``matrix`` and ``compensate``."""
_LITERAL = ("description", "owners", "depends_on", "network", "pool", "effects")
_COMPENSATE = ("with", "env")
_BEFORE_A_RUN = ("params", "git", "project", "pull_request")
"""What is known of a run when it is put into a concurrency group."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the expressions of one place may use.

    Args:
        params: names of parameters.
        place: words for the place, for messages.
        env: variables.
        axes: of the step's matrix.
        upstream: ids of the steps it waits for; None when nothing of a step is known yet.
        ids: of all steps, with True for a step that has a matrix.
        own: the id of the step itself.
        matrix: True in a matrix, which makes the graph and so knows nothing but parameters.
        roots: the first parts of names.
    """

    params: Sequence[str]
    place: str
    env: Sequence[str] = ()
    axes: frozenset[str] = frozenset()
    upstream: frozenset[str] | None = None
    ids: Mapping[str, bool] = field(default_factory=dict)
    own: str = ""
    matrix: bool = False
    roots: Sequence[str] = names.ROOTS


def check_expressions(
    findings: Findings, workflow: Workflow, steps: Sequence[NamedStep], edges: Mapping[str, set[str]]
) -> None:
    """Adds what is wrong with the expressions of ``workflow``; ``edges``: step id -> ids it waits for."""
    _Checker(findings, workflow, steps, edges).check()


def _reach(edges: Mapping[str, set[str]], bits: Mapping[str, int]) -> dict[str, int]:
    """Step id -> everything it waits for, directly or not, as a set of ``bits``; cycles do no harm.

    Bits, because the sets of a thousand steps in a row hold half a million names.
    """
    reach = dict.fromkeys(edges, 0)
    changed = True
    while changed:
        changed = False
        for step_id, names_before in edges.items():
            mask = reach[step_id]
            for name in names_before:
                mask |= bits[name] | reach[name]
            changed = changed or mask != reach[step_id]
            reach[step_id] = mask
    return reach


class _Checker:
    def __init__(
        self, findings: Findings, workflow: Workflow, steps: Sequence[NamedStep], edges: Mapping[str, set[str]]
    ) -> None:
        self.findings = findings
        self.workflow = workflow
        self.steps = steps
        self.edges = edges
        self.expressions = Expressions()
        self.ids = [step.id for step in steps]
        self.with_matrix = {step.id: step.step.matrix is not None for step in steps}
        self.others = frozenset(step.id for step in steps if not step.final)
        self.bits = {step_id: 1 << position for position, step_id in enumerate(dict.fromkeys(self.ids))}
        self.reach = _reach(edges, self.bits)

    def check(self) -> None:
        base = self._scope(None, None, "the workflow's 'env'")
        self._strings(("env",), base)
        for key in ("name", "version", "description", "on"):
            self._literal((key,))
        group = _Scope(list(self.workflow.params), "the concurrency group", roots=_BEFORE_A_RUN)
        self._strings(("concurrency", "group"), group)
        for index, stage in enumerate(self.workflow.stages):
            self._empty_when(("stages", index))
            self._literal(("stages", index, "needs"))
            members = [step for step in self.steps if step.path[:2] == ("stages", index)] if stage.when else []
            if isinstance(stage.when, str) and members:
                together = frozenset.intersection(*(self._upstream(step.id) for step in members))
                self._when(("stages", index, "when"), self._scope(None, together, "the stage's 'when'"))
        for named in self.steps:
            self._step(named)

    def _step(self, named: NamedStep) -> None:
        path = named.path
        self._empty_when(path)
        upstream = self.others if named.final else self._upstream(named.id)
        at_run = self._scope(named, upstream, f"step '{named.id}'")
        for key in _EXPRESSIONS:
            self._strings((*path, key), at_run)
        own = self._scope(named, upstream | {named.id}, f"the compensation of '{named.id}'")
        for key in _COMPENSATE:
            self._strings((*path, "compensate", key), own)
        for axis in named.step.matrix.axes if named.step.matrix else ():
            self._strings((*path, "matrix", axis), _Scope(list(self.workflow.params), "a matrix", matrix=True))
        for key in ("include", "exclude"):
            self._literal((*path, "matrix", key))
        for key in _LITERAL:
            self._literal((*path, key))
        if isinstance(named.step.when, str):
            self._when((*path, "when"), at_run)

    def _scope(self, named: NamedStep | None, upstream: frozenset[str] | None, place: str) -> _Scope:
        env = [] if place.endswith("workflow's 'env'") else list(self.workflow.env)
        axes = frozenset(axes_of(named.step.matrix)) if named else frozenset()
        own = named.id if named else ""
        return _Scope(list(self.workflow.params), place, env, axes, upstream, self.with_matrix, own)

    def _upstream(self, step_id: str) -> frozenset[str]:
        mask = self.reach[step_id]
        return frozenset(name for name, bit in self.bits.items() if mask & bit)

    def _strings(self, path: Path, scope: _Scope) -> None:
        for inner, text in strings(self.findings.at(path)):
            if "{" in text:
                self._uses((*path, *inner), text, scope, condition=False)

    def _when(self, path: Path, scope: _Scope) -> None:
        text = self.findings.at(path)
        if isinstance(text, str):
            self._uses(path, text, scope, condition=True)

    def _empty_when(self, path: Path) -> None:
        """An empty ``when`` would mean always, which is hardly what was meant."""
        given = self.findings.at(path)
        if isinstance(given, dict) and given.get("when", True) is None:
            self.findings.add((*path, "when"), "'when' is empty", allowed="an expression, true or false")

    def _literal(self, path: Path) -> None:
        for inner, text in strings(self.findings.at(path)):
            if "{{" in text:
                place = (*path, *inner)
                self.findings.add(place, f"'{path[-1]}' takes no expression; '{{{{' would stay as it is")

    def _uses(self, path: Path, text: str, scope: _Scope, *, condition: bool) -> None:
        uses, errors = self.expressions.inspect(text, condition=condition)
        for use in uses:
            error = _wrong(use, scope)
            if error is not None and ".".join([use.root, *use.parts[:1]]) not in self.findings.lost:
                errors.append(error)
        self.findings.problems += [expression_problem(self.findings.document, path, error) for error in errors]


def _wrong(use: Use, scope: _Scope) -> ExpressionError | None:
    """What is wrong with one name, None when nothing is."""
    if use.root == "secrets":
        return _error(
            use,
            "secrets are not available in expressions",
            allowed="list it under the step's 'secrets' and read the environment variable",
        )
    if use.root == "package" and "files" in scope.roots:
        if use.parts == ("json", "hash"):
            return None
        return _error(use, f"unknown name '{_shown(use)}'", allowed="package.json.hash, or files['<path>'].hash")
    if use.root not in scope.roots:
        if use.root in names.ROOTS:
            message = f"{scope.place} is made before the run and does not know '{use.root}'"
            return _error(use, message, allowed=listed(scope.roots))
        hint = _hyphen(use, scope)
        return _error(
            use,
            f"unknown name '{use.root}'{hint}",
            allowed=listed(scope.roots),
            suggestion=nearest(use.root, scope.roots),
        )
    if scope.matrix and use.root != "params":
        return _error(use, f"a matrix knows only parameters, not '{use.root}'", allowed="params.<name>")
    if use.root == "steps":
        return _wrong_step(use, scope)
    if not use.parts:
        return None
    known: Mapping[str, tuple[Sequence[str], str]] = {
        "params": (scope.params, "parameter"),
        "git": (names.GIT, "git value"),
        "run": (names.RUN, "run value"),
        "pull_request": (names.PULL_REQUEST, "pull request value"),
        "matrix": (sorted(scope.axes), "matrix axis"),
        "env": (scope.env, "variable"),
    }
    if use.root in known and use.parts[0] not in known[use.root][0]:
        there, what = known[use.root]
        none = {"matrix": f"{scope.place} has no matrix", "env": "the workflow's 'env' declares none"}.get(
            use.root, "none is declared"
        )
        return _error(
            use,
            f"unknown {what} '{_shown(use, 1)}'",
            allowed=listed((f"{use.root}.{name}" for name in there), none=none),
            suggestion=_under(use.root, nearest(use.parts[0], there)),
        )
    if use.root == "files" and len(use.parts) > 1 and use.parts[1] != "hash":
        return _error(use, f"a file has no '{use.parts[1]}'", allowed=f"files['{use.parts[0]}'].hash")
    return None


def _wrong_step(use: Use, scope: _Scope) -> ExpressionError | None:
    if scope.upstream is None:
        return _error(use, f"{scope.place} is decided while planning, when nothing of a step is known yet")
    if not use.parts:
        return _error(use, "a step must be named", allowed="steps.<id>.outputs.<name>")
    step_id = use.parts[0]
    if step_id not in scope.ids:
        close = _under("steps", nearest(step_id, scope.ids))
        return _error(use, f"unknown step 'steps.{step_id}'", allowed=listed(scope.ids), suggestion=close)
    if step_id == scope.own and step_id not in scope.upstream:
        return _error(use, f"the step '{step_id}' uses its own result", allowed="results of the steps it waits for")
    if step_id not in scope.upstream:
        return _error(use, f"{scope.place} does not wait for '{step_id}', whose result it uses; add it to 'depends_on'")
    there = names.MATRIX_STEP if scope.ids[step_id] else names.STEP
    allowed = listed(f"steps.{step_id}.{name}" for name in there)
    if len(use.parts) < 2 and not use.dynamic:
        return _error(use, f"'steps.{step_id}' is no value", allowed=allowed)
    if len(use.parts) > 1 and use.parts[1] not in there:
        what = "a step with a matrix" if scope.ids[step_id] else "a step"
        return _error(use, f"{what} has no '{use.parts[1]}'", allowed=allowed, suggestion=nearest(use.parts[1], there))
    return None


def _hyphen(use: Use, scope: _Scope) -> str:
    """``matrix.node-version`` is a subtraction; says how to write it."""
    for axis in scope.axes:
        if "-" in axis and axis.endswith(f"-{use.root}"):
            return f"; write matrix['{axis}'], because '-' is a subtraction"
    return ""


def _shown(use: Use, count: int | None = None) -> str:
    return ".".join([use.root, *use.parts[:count]])


def _under(root: str, name: str | None) -> str | None:
    return f"{root}.{name}" if name else None


def _error(use: Use, message: str, *, allowed: str | None = None, suggestion: str | None = None) -> ExpressionError:
    return ExpressionError(
        message, expression=use.expression, offset=use.offset, allowed=allowed, suggestion=suggestion
    )


def expression_problem(document: Document, path: Path, error: ExpressionError) -> Problem:
    """``error`` with its place: the very character where the scalar is written as it reads, else its ``{{`` or line."""
    node, depth = document.find(path)
    offset = node.start
    if depth == len(path) and node.raw is not None:
        offset = node.start + _offset_in_source(document.text[node.start : node.end], node.raw, error.offset)
    place = document.offset_location(offset)
    return document.problem(place, error.what, allowed=error.allowed, suggestion=error.suggestion)


def _offset_in_source(source: str, value: str, offset: int) -> int:
    """Where character ``offset`` of a scalar's ``value`` stands in its ``source``, which may be quoted or a block."""
    for opening in ("{{", "{%"):
        before = value.rfind(opening, 0, offset + 1)
        count = value.count(opening, 0, before + 2) if before >= 0 else 0
        if count and source.count(opening) == value.count(opening):
            start = -1
            for _ in range(count):
                start = source.find(opening, start + 1)
            inside = offset - before
            same = source[start : start + inside] == value[before : before + inside]
            return start + inside if same else start
    if source[:1] in ("|", ">", "&", "!"):
        start = source.find(value.strip()[:20])
        return max(0, start) + (offset if start >= 0 and "\n" not in value[:offset] else 0)
    quote = 1 if source[:1] in ("'", '"') else 0
    same = source[quote : quote + offset] == value[:offset]
    return quote + offset if same else 0

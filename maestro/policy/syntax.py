"""Policies as regorus has parsed them: rules, calls and where they stand; and its errors in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from maestro.errors import Location
from maestro.policy.errors import PolicyError

_PLACE = re.compile(r"--> (?P<file>.*):(?P<line>\d+):(?P<column>\d+)")
_ERROR = re.compile(r"^error: (?P<what>.+)$", re.MULTILINE)
_BRACKETS = re.compile(rb"[(\[{]")
_MOST_BRACKETS = 20_000
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function.

    Args:
        function: as it is resolved: ``data.maestro.lib.text`` for one of a policy, else the name as written.
        by: the rule that calls, ``data.…``.
    """

    function: str
    by: str
    where: Location


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file.

    Args:
        package: ``data.maestro.lib``.
        rules: their full names, ``data.maestro.lib.text``; of a rule ``a.b[c]`` only what is constant, ``a.b``.
        functions: those of the rules that take arguments.
        calls: of all rules.
        imports: what is imported, and where.
    """

    file: str
    package: str
    rules: tuple[str, ...]
    functions: frozenset[str]
    calls: tuple[Call, ...]
    imports: tuple[tuple[str, Location], ...] = ()


def parse_modules(files: Mapping[str, bytes]) -> tuple[Module, ...]:
    """The policies among ``files``.

    Raises:
        PolicyError: one of them is no Rego v1; says file, line and column.
    """
    import regorus

    engine = regorus.Engine()
    texts = {name: _text(name, data) for name, data in files.items() if name.endswith(".rego")}
    for name, text in texts.items():
        _refuse_depth(name, text)
        try:
            engine.add_policy(name, text)
        except Exception as error:  # noqa: BLE001 - the binding raises RuntimeError, and what PyO3 makes of a panic
            raise syntax_error(error, name) from None
    trees = json.loads(engine.get_ast_as_json())
    found = [_module(tree) for tree in trees]
    functions = frozenset(one for module in found for one in module.functions)
    return tuple(_resolved(module, functions) for module in found)


def syntax_error(error: BaseException, file: str = "") -> PolicyError:
    """regorus' error as ours: where, what, without its stack."""
    text = str(error).split("Stack backtrace")[0].strip()
    place, what = _PLACE.search(text), _ERROR.search(text)
    where = Location(place["file"], int(place["line"]), int(place["column"])) if place else Location(file)
    return PolicyError(
        what["what"] if what else " ".join(text.split())[:300],
        where=where if where.file else None,
        next_step="correct the policy; it is Rego v1 (docs/policies.md)",
    )


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PolicyError("it is not UTF-8", where=Location(name, line, 1), next_step="save it as UTF-8") from None


def _refuse_depth(name: str, text: str) -> None:
    # The parser descends without end, and its stack is that of this process.
    depth, line = 0, 1
    if len(_BRACKETS.findall(text.encode())) > _MOST_BRACKETS:
        raise PolicyError(f"it has more than {_MOST_BRACKETS} brackets", where=Location(name), next_step="split it")
    for character in text:
        if character in "([{":
            depth += 1
            if depth > _DEEPEST:
                raise PolicyError(
                    f"brackets are nested more than {_DEEPEST} deep",
                    where=Location(name, line, 1),
                    next_step="split the expression",
                )
        elif character in ")]}":
            depth = max(0, depth - 1)
        elif character == "\n":
            line += 1


def _module(tree: Mapping[str, Any]) -> Module:
    file, ast = tree["source"]["file"], tree["ast"]
    package = "data." + ".".join(_path(ast["package"]["refr"]))
    rules, functions, calls = [], set(), []
    imports = [(".".join(_path(one["refr"])), _begin(file, one["refr"])) for one in ast.get("imports", [])]
    for rule in ast["rules"]:
        spec = rule.get("Spec") or rule.get("Default")
        head = spec.get("head", spec)
        shape, inside = next(iter(head.items())) if spec is not head else ("Default", spec)
        name = ".".join([package, *_path(inside["refr"])])
        rules.append(name)
        if shape == "Func" or inside.get("args"):
            functions.add(name)
        for call in _calls(rule):
            path = _path(call["fcn"])
            calls.append(Call(".".join(path), name, _begin(file, call["fcn"])))
    return Module(file, package, tuple(dict.fromkeys(rules)), frozenset(functions), tuple(calls), tuple(imports))


def _resolved(module: Module, functions: frozenset[str]) -> Module:
    def resolve(call: Call) -> Call:
        local = f"{module.package}.{call.function}"
        return Call(local, call.by, call.where) if local in functions else call

    return replace(module, calls=tuple(map(resolve, module.calls)))


def _calls(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        call = node.get("Call")
        if isinstance(call, dict) and "fcn" in call:
            yield call
        for value in node.values():
            yield from _calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from _calls(value)


def _path(reference: Mapping[str, Any]) -> list[str]:
    """The constant beginning of a reference: ``a.b["c"][x]`` is a, b, c."""
    kind, inside = next(iter(reference.items()))
    if kind == "Var":
        return [inside["value"]]
    if kind == "RefDot":
        return [*_path(inside["refr"]), _word(inside["field"])]
    if kind == "RefBrack":
        index, value = next(iter(inside["index"].items()))
        path = _path(inside["refr"])
        return [*path, value["value"]] if index in ("String", "RawString") else path
    return []


def _begin(file: str, function: Mapping[str, Any]) -> Location:
    inside = next(iter(function.values()))
    while "refr" in inside:
        inside = next(iter(inside["refr"].values()))
    return Location(file, inside["span"]["line"], inside["span"]["col"])


def _word(node: Any) -> str:
    """An identifier, which the tree has as ``[span, text]``."""
    return str(node[1]) if isinstance(node, list) else str(node)

"""What policies must be before anything is decided by them: known functions, no recursion, sound throughout."""

from __future__ import annotations

import graphlib
import itertools
from collections.abc import Mapping, Sequence

from maestro.policy.builtins import ALLOWED
from maestro.policy.errors import PolicyError
from maestro.policy.syntax import Module, parse_modules, syntax_error

_PROBE = "package maestro_load_probe\nok := true\n"


def check_policies(files: Mapping[str, bytes]) -> tuple[Module, ...]:
    """The parsed policies among ``files``.

    Raises:
        PolicyError: they are no Rego v1, call what is no allowed function, call in a circle, or use variables that
            nothing binds; says file, line and column.
    """
    modules = parse_modules(files)
    _refuse_imports(modules)
    _refuse_unknown(modules)
    _refuse_circles(modules)
    _refuse_unsound(files)
    return modules


def _refuse_imports(modules: Sequence[Module]) -> None:
    # regorus calls no function by an imported name, and evaluates an imported package before a test's `with` applies.
    for module in modules:
        for name, where in module.imports:
            if name.startswith("data.") or name == "data":
                raise PolicyError(
                    f"'{name}' is imported, which the engines do not understand alike",
                    where=where,
                    next_step=f"write the whole name where it is used: {name}.…",
                )


def _refuse_unknown(modules: Sequence[Module]) -> None:
    functions = {one for module in modules for one in module.functions}
    for module in modules:
        for call in module.calls:
            if call.function in functions or call.function in ALLOWED:
                continue
            own = call.function.startswith("data.")
            raise PolicyError(
                f"there is no function '{call.function}' in this bundle"
                if own
                else f"'{call.function}' is not a function policies may call",
                where=call.where,
                next_step="define it, or write the whole name of the package that does"
                if own
                else "use one of the functions in docs/policies.md; the clock, the network and chance are no input",
            )


def _refuse_circles(modules: Sequence[Module]) -> None:
    # regorus finds rules that depend on themselves; a function that does takes its whole process down.
    callers: dict[str, set[str]] = {}
    places = {}
    for module in modules:
        for call in module.calls:
            if call.function not in ALLOWED:
                callers.setdefault(call.by, set()).add(call.function)
                places[call.by, call.function] = call.where
    try:
        graphlib.TopologicalSorter(callers).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        # The sorter names what is called before who calls it.
        where = next((places[by, of] for of, by in itertools.pairwise(circle) if (by, of) in places), None)
        shown = " -> ".join(one.removeprefix("data.") for one in reversed(circle))
        raise PolicyError(
            f"functions call each other in a circle: {shown}",
            where=where,
            next_step="Rego has no recursion; use a comprehension, walk or graph.reachable",
        ) from None


def _refuse_unsound(files: Mapping[str, bytes]) -> None:
    import regorus

    engine = regorus.Engine()
    try:
        for name, data in files.items():
            if name.endswith(".rego"):
                engine.add_policy(name, data.decode("utf-8"))
        engine.add_policy("probe", _PROBE)
        # The first evaluation analyses all modules, whatever it evaluates.
        engine.eval_rule_as_json("data.maestro_load_probe.ok")
    except Exception as error:  # noqa: BLE001 - see maestro.policy.syntax
        raise syntax_error(error) from None

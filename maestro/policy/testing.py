"""Runs the tests of policies: rules named ``test_…``, as ``opa test`` does, with the coverage of what they test.

A test passes when it is ``true`` and nothing else. Rules named ``todo_test_…`` are named and not run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.policy import source
from maestro.policy.checks import check_policies
from maestro.policy.errors import PolicyError
from maestro.policy.syntax import syntax_error

_TEST = re.compile(r"(todo_)?test_\w+")


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test gave.

    Args:
        name: ``maestro.lib_test.test_…``.
        state: ``passed``, ``failed`` (false or undefined), ``error`` or ``todo``.
        message: why, when it has not passed.
    """

    __test__ = False

    name: str
    state: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Lines of a policy that were evaluated, and those that were not."""

    file: str
    covered: tuple[int, ...]
    not_covered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TestReport:
    """All tests of a folder.

    Args:
        coverage: of what is no test itself, by file.
    """

    __test__ = False

    results: tuple[TestResult, ...]
    coverage: tuple[FileCoverage, ...]

    @property
    def passed(self) -> bool:
        """There are tests, and none has failed."""
        ran = [one for one in self.results if one.state != "todo"]
        return bool(ran) and all(one.state == "passed" for one in ran)

    @property
    def covered_percent(self) -> float:
        """Covered lines in percent of all that can be; 0 when there are none."""
        covered = sum(len(one.covered) for one in self.coverage)
        lines = covered + sum(len(one.not_covered) for one in self.coverage)
        return 100 * covered / lines if lines else 0.0


def run_tests(folder: Path, *, only: str = "") -> TestReport:
    """Runs the tests below ``folder``, each with an engine of its own.

    Args:
        only: a regular expression; tests whose name it is not found in are left out.

    Raises:
        PolicyError: the folder or its policies cannot be used, or ``only`` is no regular expression.
    """
    try:
        wanted = re.compile(only)
    except re.error as error:
        raise PolicyError(f"'{only[:80]}' is no regular expression: {error}", next_step="correct it") from None
    files = {name: data for name, data in source.read_folder(folder, tests=True).items() if name != source.MANIFEST}
    if not any(name.endswith(".rego") for name in files):
        raise PolicyError(f"there is no policy in {folder}", next_step="name a folder with .rego files")
    modules = check_policies(files)
    names = sorted(
        {
            rule
            for module in modules
            for rule in module.rules
            if _TEST.fullmatch(rule.rpartition(".")[2]) and wanted.search(rule.removeprefix("data."))
        }
    )
    engine = _engine(files)
    lines: dict[str, tuple[set[int], set[int]]] = {}
    results = [_run(engine, rule, lines) for rule in names]
    coverage = tuple(
        FileCoverage(name, tuple(sorted(covered)), tuple(sorted(all_ - covered)))
        for name, (covered, all_) in sorted(lines.items())
    )
    return TestReport(tuple(results), coverage)


def _engine(files: Mapping[str, bytes]) -> Any:
    import regorus

    from maestro.policy.bundle import merged_data

    engine = regorus.Engine()
    for name, data in files.items():
        if name.endswith(".rego"):
            engine.add_policy(name, data.decode())
    engine.add_data_json(json.dumps(merged_data(files)))
    engine.set_gather_prints(True)
    return engine


def _run(prepared: Any, rule: str, lines: dict[str, tuple[set[int], set[int]]]) -> TestResult:
    name = rule.removeprefix("data.")
    if rule.rpartition(".")[2].startswith("todo_"):
        return TestResult(name, "todo")
    engine = prepared.clone()
    engine.set_enable_coverage(True)
    try:
        value = json.loads(engine.eval_rule_as_json(rule))
        result = TestResult(name, "passed") if value is True else TestResult(name, "failed", _said(value))
    except Exception as error:  # noqa: BLE001 - see maestro.policy.syntax
        told = syntax_error(error)
        result = TestResult(name, "error", f"{told.where}: {told.what}" if told.where else told.what)
    for one in json.loads(engine.get_coverage_report_as_json())["files"]:
        if not source.is_test(one["path"]):
            covered, all_ = lines.setdefault(one["path"], (set(), set()))
            covered.update(one["covered"])
            all_.update(one["covered"], one["not_covered"])
    return result


def _said(value: Any) -> str:
    return "it is undefined" if value == "<undefined>" else f"it is {json.dumps(value)[:200]}, not true"

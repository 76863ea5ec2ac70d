"""A report as Markdown: what failed first and why, how to see it again, then everything else, folded."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping

from maestro.reporting.markdown import LIMIT, Part, block, cell, code, counted, duration, fitted, head, printable, row
from maestro.reporting.model import GateReport, ReportState, RunReport, StepReport, TestsReport
from maestro.runs.view import StepState

_FAILURES = 20
_OPEN_STEPS = 15
"""A table of more steps than these is shown closed."""

_WORDS: Mapping[ReportState, str] = {
    "queued": "⏳ queued",
    "running": "⏳ running",
    "succeeded": "✅ succeeded",
    "failed": "❌ failed",
    "cancelled": "⏹️ cancelled",
    "invalid": "❌ not started: the workflow file is wrong",
}
_STEP_WORDS: Mapping[StepState, str] = {
    "waiting": "⏳ waiting",
    "running": "⏳ running",
    "retrying": "⏳ retrying",
    "passed": "✅ passed",
    "cached": "✅ cached",
    "warned": "⚠️ failed, allowed to",
    "failed": "❌ failed",
    "skipped": "⏭️ skipped",
}
_TITLE_WORDS: tuple[tuple[StepState, str], ...] = (
    ("failed", "failed"),
    ("warned", "failed, allowed to"),
    ("passed", "passed"),
    ("cached", "from the cache"),
    ("skipped", "skipped"),
    ("running", "running"),
    ("retrying", "retrying"),
    ("waiting", "waiting"),
)


def title(report: RunReport) -> str:
    """One line of plain text: ``test/unit failed: 2 failed, 10 passed``, or what became of the steps."""
    failed = report.first_failure
    if report.state == "failed" and failed is not None:
        return printable(f"{failed.name} failed" + (f": {failed.summary}" if failed.summary else ""), 140)
    if report.state in ("failed", "invalid") and report.reason:
        return printable(report.reason, 140)
    if report.state == "queued":
        return "Waiting for its turn"
    counts = steps_counted(report)
    took = duration(report.seconds)
    return printable(", ".join(part for part in (counts, f"in {took}" if took else "") if part) or report.state, 140)


def steps_counted(report: RunReport) -> str:
    """``10 passed, 2 from the cache``; empty without steps."""
    counts = Counter(one.state for one in report.steps)
    return ", ".join(f"{counts[state]:,} {word}" for state, word in _TITLE_WORDS if counts[state])


def check_summary(report: RunReport, limit: int = LIMIT) -> str:
    """Markdown of a check run's summary."""
    return fitted([*_parts(report)], limit)


def comment(report: RunReport, mark: str, limit: int = LIMIT) -> str:
    """Markdown of the comment on a pull request, with its hidden marker."""
    where = f"[{_WORDS[report.state]}]({report.url})" if report.url else _WORDS[report.state]
    heading = Part((mark, f"### {code(report.workflow)}: {where}"))
    return fitted([heading, *_parts(report)], limit)


def _parts(report: RunReport) -> Iterator[Part]:
    yield _overview(report)
    yield from _trouble(report)
    for gate in report.gates:
        if not gate.allowed:
            yield _denied(gate)
    yield from _failed_tests(report.tests)
    yield from _steps(report)
    yield from _tests(report.tests)
    yield from _allowed(report)
    yield from _components(report)
    yield _footer(report)


def _overview(report: RunReport) -> Part:
    took = duration(report.seconds)
    counts = steps_counted(report)
    said = [counts, f"in {took}" if took else ""]
    line = ", ".join(one for one in said if one)
    if report.state == "queued":
        line = "Waiting for its turn."
    elif line:
        line = f"{counted(len(report.steps), 'step')}: {line}." if counts else f"It took {took}."
    return Part((line,) if line else ())


def _trouble(report: RunReport) -> Iterator[Part]:
    failed = report.first_failure
    if failed is not None and report.state != "succeeded":
        others = sum(one.state == "failed" for one in report.steps) - 1
        also = f" (the first of {others + 1} that failed)" if others else ""
        why = f": {code(failed.summary)}" if failed.summary else ""
        yield Part((f"**{code(failed.name)} failed**{also}{why}",))
        if failed.log:
            yield Part(("The end of its log:", "", *block("\n".join(failed.log))))
        yield Part(("To see it again:", "", *block(_reproduce(report, failed), "sh")))
    if report.reason:
        lines = [line for line in report.reason.splitlines() if line.strip()]
        if len(lines) > 1:
            yield Part(tuple(block("\n".join(line[:200] for line in lines[:60]))))
        else:
            yield Part((f"{'Why' if report.state != 'invalid' else 'What is wrong'}: {code(report.reason)}",))
    if report.compensations:
        yield Part(("Undone:", ""), tuple(f"- {code(one)}" for one in report.compensations))


def _reproduce(report: RunReport, step: StepReport) -> str:
    # Quoted: a cell of a matrix may hold anything, and people paste this.
    words = ["maestro", "run", printable(step.name), "--revision", report.sha]
    return shlex.join(words)


def _denied(gate: GateReport) -> Part:
    rows = []
    for reason in gate.reasons:
        rows.append(f"- {code(reason.message or reason.rule)}" + (f" ({code(reason.rule)})" if reason.message else ""))
        if reason.fix:
            rows.append(f"  - to change that: {code(reason.fix)}")
    if not rows:
        rows.append(f"- {code(gate.summary or 'no rule allowed it')}")
    lines = (f"**Gate {code(gate.step)} denied** by {code(gate.policy)}", "")
    after = ("", f"All of it: {code(f'maestro policy explain {gate.decision}')}") if gate.decision else ()
    return Part(lines, tuple(rows), after)


def _failed_tests(tests: tuple[TestsReport, ...]) -> Iterator[Part]:
    for one in tests:
        if not one.failed:
            continue
        rows = tuple(
            row(
                (
                    cell(failure.name),
                    cell(f"{failure.file}:{failure.line}" if failure.line else failure.file),
                    cell(failure.message),
                )
            )
            for failure in one.failures[:_FAILURES]
        )
        hidden = one.failed - len(rows)
        more = ("", f"… and {hidden:,} more in its log.") if hidden > 0 else ()
        lines = (f"**{counted(one.failed, 'test')} failed** in {code(one.step)}", "")
        yield Part((*lines, *head(("Test", "Where", "Why"))), rows, more) if rows else Part(lines)


def _steps(report: RunReport) -> Iterator[Part]:
    if not report.steps:
        return
    rows = []
    for step in report.steps:
        note = cell(step.summary)
        if step.cached and step.made_by_run:
            note = f"{note} made by run {code(step.made_by_run[:8])}".strip()
        rows.append(row((cell(step.name), _STEP_WORDS[step.state], duration(step.seconds), note)))
    hits = sum(one.cached for one in report.steps)
    words = f"{counted(len(report.steps), 'step')}, {hits:,} from the cache"
    folded = words if len(report.steps) > _OPEN_STEPS else None
    lines = () if folded else ("**Steps**", "")
    yield Part((*lines, *head(("Step", "Result", "Time", "Note"))), tuple(rows), folded=folded)


def _tests(tests: tuple[TestsReport, ...]) -> Iterator[Part]:
    if not tests:
        return
    rows = tuple(
        row((cell(one.step), f"{one.passed:,}", f"{one.failed:,}", f"{one.skipped:,}", duration(one.seconds)))
        for one in tests
    )
    yield Part(("**Tests**", "", *head(("Step", "Passed", "Failed", "Skipped", "Time"))), rows)


def _allowed(report: RunReport) -> Iterator[Part]:
    rows = []
    for one in report.gates:
        if one.allowed:
            waived = f", {counted(one.waived, 'waiver')} used" if one.waived else ""
            rows.append(f"- {code(one.step)} allowed by {code(one.policy)}{waived}")
    if rows:
        yield Part(("**Gates**", ""), tuple(rows))


def _components(report: RunReport) -> Iterator[Part]:
    if not report.components:
        return
    rows = []
    for one in report.components:
        found = "not compared"
        if one.vulnerabilities is not None:
            worst = ", ".join(f"{count:,} {printable(name, 20)}" for name, count in one.vulnerabilities.items())
            found = worst or "none new"
        counts = (one.added, one.removed, one.changed, one.licenses)
        rows.append(row((cell(one.subject), *(f"{count:,}" for count in counts), found)))
    against = code(report.components[0].against[:12])
    names = ("Subject", "Added", "Removed", "Changed", "Other licence", "New vulnerabilities")
    yield Part((f"**Components**, compared with {against}", "", *head(names)), tuple(rows))
    fresh = [name for one in report.components for name in one.new]
    if fresh:
        yield Part((), tuple(f"- {code(name)}" for name in fresh), folded=f"{counted(len(fresh), 'component')} added")


def _footer(report: RunReport) -> Part:
    parts = [f"Revision {code(report.sha[:12])}", f"run {code(report.run_id[:8])}"]
    if report.url:
        parts.append(f"[all of it]({report.url})")
    if report.state in ("failed", "cancelled"):
        parts.append(f"goes on where it stopped: {code(f'maestro retry {report.run_id[:8]}')}")
        if report.pull_request is not None:
            parts.append(f"or comment {code('/maestro retry')}")
    return Part((f"<sub>{' · '.join(parts)}</sub>",))

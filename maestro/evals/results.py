"""What one model did with one data set: a result a case, kept as JSON, and the numbers made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from maestro.evals.cases import Case, Dataset
from maestro.evals.findings import Form
from maestro.evals.scoring import VERSION, Score
from maestro.evals.statistics import Interval, bootstrap_mean, percentile, wilson
from maestro.llm.model import Answer

ANSWER_CHARACTERS = 4000
"""How much of an answer is kept."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseResult(_Frozen):
    """What became of one case.

    Args:
        digest: of the case, so that results are only compared where the case is the same.
        kind: of the defect; ``clean`` for a clean case.
        answered: False: there is no answer, ``problem`` says why, and nothing else counts.
        passed, found, false_alarms, form: as :class:`~maestro.evals.scoring.Score`.
        cost_nano: nanodollars, as the gateway settled them.
        decision: id of the gateway's decision.
        answer: its beginning.
    """

    case: str
    digest: str
    language: str
    kind: str
    severity: str = ""
    answered: bool
    passed: bool = False
    found: bool | None = None
    false_alarms: int = 0
    form: Form = "unreadable"
    cost_nano: int = 0
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    decision: str = ""
    answer: str = ""
    problem: str = ""


class Asked(_Frozen):
    """What was asked: equal where results may be joined.

    Args:
        dataset, version, digest: of the data set.
        prompt, prompt_digest: the prompt the cases were put into.
        scorer: version of the scoring.
    """

    dataset: str
    version: str
    digest: str
    cases: int
    prompt: str
    prompt_digest: str
    scorer: str = VERSION


class ModelRun(_Frozen):
    """One model, one data set, one week.

    Args:
        week: the Monday it began, ``2026-11-16``; any text for a run that belongs to no week.
        runner: what put the questions: ``maestro``, or ``inspect-ai 0.3.285``.
        state: ``complete``: every case has an answer. Only such a run is ever a baseline.
        problem: why it is partial.
        offline: the answers were made without any model.
        seconds: wall time of all of it.
        entry: digest of the model's entry in the catalogue; empty: not known.
        reused: how many of the answers are those of an earlier, partial attempt, which ``seconds`` has no part of.
    """

    schema_number: Literal[1] = Field(1, alias="schema", serialization_alias="schema")
    model: str
    week: str
    asked: Asked
    runner: str
    state: Literal["complete", "partial"]
    problem: str = ""
    offline: bool = False
    started: datetime
    seconds: float
    entry: str = ""
    reused: int = 0
    results: tuple[CaseResult, ...]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def answered(self) -> tuple[CaseResult, ...]:
        """The results that have an answer."""
        return tuple(one for one in self.results if one.answered)

    @property
    def cost_nano(self) -> int:
        """What all of it cost, nanodollars; of a partial run too."""
        return sum(one.cost_nano for one in self.results)


def answered(case: Case, answer: Answer, score: Score) -> CaseResult:
    """The result of a case that was answered."""
    return CaseResult(
        **_about(case),
        answered=True,
        passed=score.passed,
        found=score.found,
        false_alarms=score.false_alarms,
        form=score.form,
        cost_nano=answer.cost_nano,
        seconds=answer.seconds,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        decision=answer.decision,
        answer=answer.text[:ANSWER_CHARACTERS],
    )


def refused(case: Case, problem: str, cost_nano: int, decision: str) -> CaseResult:
    """The result of a case the model would not answer: nothing was found, and nothing can be read."""
    found = None if case.clean else False
    return CaseResult(
        **_about(case), answered=True, found=found, cost_nano=cost_nano, decision=decision, problem=problem[:500]
    )


def unanswered(case: Case, problem: str, *, cost_nano: int = 0, decision: str = "") -> CaseResult:
    """The result of a case that has no answer."""
    return CaseResult(**_about(case), answered=False, problem=problem[:500], cost_nano=cost_nano, decision=decision)


def _about(case: Case) -> dict[str, Any]:
    defect = case.defects[0] if case.defects else None
    return {
        "case": case.id,
        "digest": case.digest,
        "language": case.language,
        "kind": defect.kind if defect else "clean",
        "severity": defect.severity if defect else "",
    }


def asked_of(dataset: Dataset, prompt: str, prompt_digest: str) -> Asked:
    """What is asked when this data set is put into this prompt."""
    return Asked(
        dataset=dataset.name,
        version=dataset.version,
        digest=dataset.digest,
        cases=len(dataset.cases),
        prompt=prompt,
        prompt_digest=prompt_digest,
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers, each with its interval of 95 per cent.

    Args:
        passed: cases answered rightly, of those that were answered.
        found: defects found, of the cases with one.
        alarmed: clean cases in which something was found.
        readable: answers that can be read.
        cost_usd: of a case, mean; None without answers.
        seconds: of a case, mean.
        slow: seconds of the 95th percentile.
    """

    cases: int
    answered: int
    passed: Interval
    found: Interval
    alarmed: Interval
    readable: Interval
    false_alarms: int
    cost_usd: Interval | None
    seconds: Interval | None
    slow: float
    total_nano: int
    tokens: int


def summary(run: ModelRun) -> Summary:
    """The numbers of a run; of a partial one over what was answered, and it says so."""
    got = run.answered
    planted = [one for one in got if one.found is not None]
    clean = [one for one in got if one.found is None]
    seed = f"{run.asked.digest} {run.model} {run.week}"
    return Summary(
        cases=run.asked.cases,
        answered=len(got),
        passed=passed_rate(run),
        found=_rate(planted, lambda one: bool(one.found)),
        alarmed=_rate(clean, lambda one: one.false_alarms > 0),
        readable=_rate(got, lambda one: one.form != "unreadable"),
        false_alarms=sum(one.false_alarms for one in got),
        cost_usd=bootstrap_mean([one.cost_nano / 1e9 for one in got], f"{seed} cost"),
        seconds=bootstrap_mean([one.seconds for one in got], f"{seed} seconds"),
        slow=percentile([one.seconds for one in got], 0.95),
        total_nano=run.cost_nano,
        tokens=sum(one.input_tokens + one.output_tokens for one in got),
    )


def passed_rate(run: ModelRun) -> Interval:
    """Cases answered rightly, of those that were answered."""
    return _rate(run.answered, lambda one: one.passed)


def by_group(results: Iterable[CaseResult], group: Callable[[CaseResult], str]) -> dict[str, Interval]:
    """Rate of passed cases by group, with intervals; sorted by name."""
    groups: dict[str, list[CaseResult]] = {}
    for one in results:
        if one.answered:
            groups.setdefault(group(one), []).append(one)
    return {name: _rate(groups[name], lambda one: one.passed) for name in sorted(groups)}


def _rate(results: Sequence[CaseResult], holds: Callable[[CaseResult], bool]) -> Interval:
    return wilson(sum(holds(one) for one in results), len(results))

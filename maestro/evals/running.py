"""Puts the cases of a data set to one model, within its budgets, and keeps what came back however it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from maestro.errors import InputError, MaestroError, RunCancelledError
from maestro.evals.cases import Case, Dataset
from maestro.evals.questions import Questions
from maestro.evals.results import CaseResult, ModelRun, answered, asked_of, refused, unanswered
from maestro.evals.scoring import Score, score
from maestro.ledger.model import BudgetExceededError
from maestro.llm.errors import NoAnswerError
from maestro.llm.model import Answer, Decision, ModelRequest, NoModelError

_LOG = logging.getLogger(__name__)
OWN_RUNNER = "maestro"
HOW_TO_SET_UP = "set up the model; `maestro llm health` shows what is missing"
_FAILURES_IN_A_ROW = 5
_MOST_AT_ONCE = 32


class Asking(Protocol):
    """A way to models whose answers are charged to somebody already; ``maestro.steps.Models`` is one."""

    def ask(self, request: ModelRequest) -> Answer:
        """The answer, paid for."""
        ...

    def decide(self, request: ModelRequest) -> Decision:
        """Which model would answer; nothing is spent."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is to be done.

    Args:
        model: name of a model of the catalogue; a route would be another model each week.
        week: see :class:`~maestro.evals.results.ModelRun`.
        at_once: questions under way at the same time, 1 to 32.
        answer_seconds: limit of one answer.
        max_nano: most one answer may cost; None: what the budgets say.
        entry: digest of the model's entry in the catalogue (:mod:`maestro.evals.entry`); empty: not known.
    """

    dataset: Dataset
    questions: Questions
    model: str
    week: str
    at_once: int = 4
    answer_seconds: float = 120.0
    max_nano: int | None = None
    entry: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.at_once <= _MOST_AT_ONCE:
            raise InputError(
                f"{self.at_once} questions at once cannot be put", next_step=f"give a number from 1 to {_MOST_AT_ONCE}"
            )

    def request(self, case: Case) -> ModelRequest:
        """The question; never answered from the cache, whose answers cost nothing and take no time."""
        return ModelRequest(
            messages=self.questions.messages(case),
            target=self.model,
            max_output_tokens=self.questions.max_output_tokens,
            temperature=0.0,
            max_nano=self.max_nano,
            timeout=self.answer_seconds,
            cache=False,
            prompt=self.questions.prompt,
        )


@dataclass(slots=True)
class Progress:
    """What has come back so far; several threads add to it.

    Args:
        before: answers of an earlier, partial run of the same week that need not be asked again.
        stopped: why no further question is put.
    """

    evaluation: Evaluation
    models: Asking
    cancelled: threading.Event
    before: Mapping[str, CaseResult] = field(default_factory=dict)
    on_result: Callable[[CaseResult], None] = lambda _result: None
    results: dict[str, CaseResult] = field(default_factory=dict)
    offline: bool = False
    stopped: str = ""
    _failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self) -> tuple[Case, ...]:
        """The cases that are still to be asked."""
        return tuple(case for case in self.evaluation.dataset.cases if case.id not in self.before)

    def put(self, case: Case) -> tuple[Answer, Score] | str:
        """Asks one case once; the answer with its score, or why there is none."""
        if self.cancelled.is_set():
            self._stop("it was cancelled")
        if self.stopped:
            return self.stopped
        try:
            answer = self.models.ask(self.evaluation.request(case))
        except (BudgetExceededError, NoModelError, RunCancelledError) as error:
            self._stop(error.what)
            return self._keep(unanswered(case, error.what))
        except NoAnswerError as error:
            if error.refused:
                # A model that will not answer is a result of the model, as a wrong answer is.
                return self._keep(refused(case, error.what, error.cost_nano, error.decision.id))
            return self._keep(unanswered(case, error.what, cost_nano=error.cost_nano, decision=error.decision.id))
        except MaestroError as error:
            return self._keep(unanswered(case, error.what))
        except Exception as error:  # noqa: BLE001 - answers that were paid for are kept whatever happens to others
            _LOG.exception("an evaluation met an error within Maestro")
            self._stop(f"an error within Maestro: {type(error).__name__}")
            return self._keep(unanswered(case, self.stopped))
        if answer.model != self.evaluation.model:
            what = f"'{answer.model}' answered in place of '{self.evaluation.model}'"
            return self._keep(unanswered(case, what, cost_nano=answer.cost_nano, decision=answer.decision))
        result = score(case, answer.text)
        self.offline = self.offline or answer.offline
        self._keep(answered(case, answer, result))
        return answer, result

    def _keep(self, result: CaseResult) -> str:
        with self._lock:
            self.results[result.case] = result
            self._failed = 0 if result.answered else self._failed + 1
            if self._failed >= _FAILURES_IN_A_ROW:
                self.stopped = self.stopped or f"{self._failed} questions in a row had no answer: {result.problem}"
        self.on_result(result)
        return result.problem

    def _stop(self, why: str) -> None:
        with self._lock:
            self.stopped = self.stopped or why

    def finish(self, runner: str, started: datetime, seconds: float, problem: str = "") -> ModelRun:
        """The run as it is now.

        Args:
            problem: what else makes it partial, although every case may have an answer.
        """
        cases = self.evaluation.dataset.cases
        results = [self.before.get(case.id) or self.results.get(case.id) for case in cases]
        kept = tuple(
            result or unanswered(case, self.stopped or problem or "it was not asked")
            for case, result in zip(cases, results, strict=True)
        )
        missing = [one for one in kept if not one.answered]
        why = problem or self.stopped
        if missing:
            short = f"{len(missing)} of {len(kept)} cases have no answer"
            why = f"{short}: {why or missing[0].problem}"
        questions = self.evaluation.questions
        return ModelRun(
            model=self.evaluation.model,
            week=self.evaluation.week,
            asked=asked_of(self.evaluation.dataset, questions.name, questions.digest),
            runner=runner,
            state="partial" if why else "complete",
            problem=why[:1000],
            offline=self.offline,
            started=started,
            seconds=round(seconds, 3),
            entry=self.evaluation.entry,
            reused=len(self.before),
            results=kept,
        )


def begin(
    evaluation: Evaluation,
    models: Asking,
    *,
    runner: str,
    earlier: ModelRun | None = None,
    cancelled: threading.Event | None = None,
    on_result: Callable[[CaseResult], None] = lambda _result: None,
) -> Progress:
    """Checks, before anything is spent, that it is this very model that would answer.

    Args:
        runner: what is going to put the questions.
        earlier: a run of the same week; its answers count when the same was asked of the same by the same runner.

    Raises:
        InputError: another model would answer, or none.
    """
    progress = Progress(evaluation, models, cancelled or threading.Event(), on_result=on_result)
    if earlier is not None and joins(earlier, evaluation, runner):
        progress.before = {one.case: one for one in earlier.answered}
        progress.offline = earlier.offline
    left = progress.left()
    if left:
        _check(evaluation, models.decide(evaluation.request(left[0])))
    return progress


def run_cases(progress: Progress) -> ModelRun:
    """Asks all that is left, a few at once; never raises for what a model or a budget did."""
    started, clock = datetime.now(UTC), time.monotonic()
    with ThreadPoolExecutor(progress.evaluation.at_once, thread_name_prefix="evals") as pool:
        for _ in pool.map(progress.put, progress.left()):
            pass
    return progress.finish(OWN_RUNNER, started, time.monotonic() - clock)


def not_begun(evaluation: Evaluation, runner: str, problem: str) -> ModelRun:
    """The run of a model that could not be asked at all: partial, without an answer."""
    results = tuple(unanswered(case, problem) for case in evaluation.dataset.cases)
    questions = evaluation.questions
    return ModelRun(
        model=evaluation.model,
        week=evaluation.week,
        asked=asked_of(evaluation.dataset, questions.name, questions.digest),
        runner=runner,
        state="partial",
        problem=problem[:1000],
        started=datetime.now(UTC),
        seconds=0.0,
        entry=evaluation.entry,
        results=results,
    )


def joins(earlier: ModelRun, evaluation: Evaluation, runner: str) -> bool:
    """Whether answers of an earlier run are answers to this one's questions.

    Data set, prompt, scores, week, model, its entry in the catalogue and what puts the questions have to be the same.
    """
    questions = evaluation.questions
    return (
        earlier.model == evaluation.model
        and earlier.entry == evaluation.entry
        and earlier.week == evaluation.week
        and earlier.runner == runner
        and earlier.asked == asked_of(evaluation.dataset, questions.name, questions.digest)
    )


def _check(evaluation: Evaluation, decision: Decision) -> None:
    if decision.chosen == evaluation.model:
        return
    said = decision.chosen
    what = f"it would be answered by '{said}'" if said else "no model would answer"
    raise InputError(
        f"the model '{evaluation.model}' cannot be evaluated: {what}. {decision.why.rstrip('.')}",
        next_step=HOW_TO_SET_UP,
    )

"""A run keeps what was paid for however it ends, and is complete only when every case has an answer of that model."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pytest

from maestro.errors import InputError, MaestroError
from maestro.evals.cases import Case
from maestro.evals.evaluating import evaluate, paid_nano
from maestro.evals.results import ModelRun, summary
from maestro.evals.running import OWN_RUNNER, Evaluation, begin, run_cases
from maestro.ledger.model import Balance, BudgetExceededError, Scope, Unit
from maestro.llm.errors import NoAnswerError
from maestro.llm.model import Decision, ModelRequest
from tests.unit.eval_models import Script, ScriptedModels, right
from tests.unit.eval_runs import evaluation


def _run(models: ScriptedModels, what: Evaluation | None = None, **more: Any) -> ModelRun:
    return run_cases(begin(what or evaluation(), models, runner=OWN_RUNNER, **more))


def _after(number: int, error: MaestroError) -> Script:
    """Right answers, and the error from the one with this number on."""
    count = iter(range(10_000))
    lock = threading.Lock()

    def script(case: Case) -> str | MaestroError:
        with lock:
            return error if next(count) >= number else right(case)

    return script


def _used_up() -> BudgetExceededError:
    return BudgetExceededError(Balance(Scope("run", "run-1"), Unit.USD, 10**9, 10**9, 0), 1000)


def test_a_run_with_an_answer_to_every_case_is_complete() -> None:
    run = _run(ScriptedModels())
    assert (run.state, run.problem, len(run.results)) == ("complete", "", 80)
    assert [one.case for one in run.results] == [case.id for case in evaluation().dataset.cases]
    assert run.cost_nano == 80 * 1_000_000


def test_questions_are_never_answered_from_the_cache() -> None:
    models = ScriptedModels()
    _run(models)
    assert not any(one.cache for one in models.asked)


def test_models_never_see_labels() -> None:
    models = ScriptedModels()
    _run(models)
    said = "\n".join(message.content for request in models.asked for message in request.messages)
    assert all(defect.why not in said for case in evaluation().dataset.cases for defect in case.defects)


def test_a_question_says_which_prompt_it_is_put_with() -> None:
    one = evaluation()
    prompt = one.request(one.dataset.cases[0]).prompt
    assert prompt is not None
    assert (prompt.name, prompt.version, prompt.digest) == ("evals.code_review", "1", one.questions.digest)


def test_a_used_up_budget_ends_it_and_keeps_what_was_answered() -> None:
    models = ScriptedModels(_after(20, _used_up()))
    run = _run(models, dataclasses.replace(evaluation(), at_once=1))
    assert run.state == "partial"
    assert len(run.answered) == 20
    assert len(models.asked) == 21
    assert "60 of 80 cases have no answer: the budget of run:run-1 is" in run.problem


def test_a_failure_now_and_then_makes_it_partial_and_does_not_end_it() -> None:
    def script(case: Case) -> str | MaestroError:
        return MaestroError("the provider is away") if case.id == "py-last-chunk" else right(case)

    run = _run(ScriptedModels(script))
    assert run.state == "partial"
    assert len(run.answered) == 79
    assert run.problem == "1 of 80 cases have no answer: the provider is away"


def test_failures_in_a_row_end_it() -> None:
    models = ScriptedModels(_after(0, MaestroError("the provider is away")))
    run = _run(models, dataclasses.replace(evaluation(), at_once=1))
    assert len(models.asked) == 5
    assert "5 questions in a row had no answer: the provider is away" in run.problem


def test_an_error_within_maestro_keeps_what_was_paid_for() -> None:
    def script(case: Case) -> str:
        if case.id.startswith("ts-"):
            raise ZeroDivisionError
        return right(case)

    run = _run(ScriptedModels(script), dataclasses.replace(evaluation(), at_once=1))
    assert len(run.answered) == 29
    assert "an error within Maestro: ZeroDivisionError" in run.problem


def test_a_model_that_refuses_has_answered_wrongly() -> None:
    decision = ScriptedModels().decide(ModelRequest([], target="m"))

    def script(case: Case) -> str | MaestroError:
        if case.id == "py-shell-archive":
            return NoAnswerError("it was refused", decision=decision, cost_nano=7, refused=True)
        return right(case)

    run = _run(ScriptedModels(script))
    assert run.state == "complete"
    assert summary(run).passed.value == 79 / 80
    assert run.cost_nano == 79 * 1_000_000 + 7


def test_what_an_answer_cost_that_never_came_is_counted() -> None:
    decision = ScriptedModels().decide(ModelRequest([], target="m"))

    def script(case: Case) -> str | MaestroError:
        if case.id == "py-shell-archive":
            return NoAnswerError("it took too long", decision=decision, cost_nano=7, timed_out=True)
        return right(case)

    run = _run(ScriptedModels(script))
    assert (run.state, run.cost_nano) == ("partial", 79 * 1_000_000 + 7)


def test_answers_of_another_model_do_not_count_and_are_paid_for() -> None:
    run = _run(ScriptedModels(answers_as="offline"), dataclasses.replace(evaluation(), at_once=1))
    assert not run.answered
    assert "'offline' answered in place of 'm'" in run.problem
    assert run.cost_nano == 5 * 1_000_000


def test_a_model_that_would_not_be_chosen_is_refused_before_anything_is_spent() -> None:
    class Elsewhere(ScriptedModels):
        def decide(self, request: ModelRequest) -> Decision:
            return dataclasses.replace(super().decide(request), chosen="offline", why="m has no key.")

    models = Elsewhere()
    with pytest.raises(
        InputError, match=r"the model 'm' cannot be evaluated: it would be answered by 'offline'\. m has"
    ):
        begin(evaluation(), models, runner=OWN_RUNNER)
    assert models.asked == []


def test_a_cancelled_run_asks_no_more() -> None:
    cancelled = threading.Event()

    def script(case: Case) -> str:
        cancelled.set()
        return right(case)

    run = _run(ScriptedModels(script), dataclasses.replace(evaluation(), at_once=1), cancelled=cancelled)
    assert len(run.answered) == 1
    assert "it was cancelled" in run.problem


def test_a_partial_run_is_gone_on_with_and_not_paid_for_twice() -> None:
    one = dataclasses.replace(evaluation(), at_once=1)
    earlier = _run(ScriptedModels(_after(20, _used_up())), one)
    models = ScriptedModels()
    run = _run(models, one, earlier=earlier)
    assert (run.state, run.reused) == ("complete", 20)
    assert len(models.asked) == 60
    assert run.cost_nano == 80 * 1_000_000
    assert paid_nano(run, earlier) == 60 * 1_000_000


def test_a_complete_run_is_used_again_as_it_is_and_nothing_is_asked() -> None:
    one = dataclasses.replace(evaluation(), entry="sha256:a")
    earlier = _run(ScriptedModels(), one)
    models = ScriptedModels()
    run, log = evaluate(one, models, "maestro", environ={}, earlier=earlier)
    assert (run is earlier, log, models.asked) == (True, None, [])
    assert paid_nano(run, earlier) == 0


@pytest.mark.parametrize(
    "other",
    [
        {"entry": "sha256:another"},
        {"week": "2026-11-23"},
        {"model": "another"},
        {"questions": dataclasses.replace(evaluation().questions, digest="sha256:other")},
        {"dataset": dataclasses.replace(evaluation().dataset, digest="sha256:other")},
    ],
)
def test_a_complete_run_of_something_else_is_asked_in_full(other: dict[str, Any]) -> None:
    one = dataclasses.replace(evaluation(), entry="sha256:a")
    earlier = _run(ScriptedModels(), one)
    models = ScriptedModels()
    run, _log = evaluate(dataclasses.replace(one, **other), models, "maestro", environ={}, earlier=earlier)
    assert (len(models.asked), run.reused) == (80, 0)
    assert paid_nano(run, earlier) == 80 * 1_000_000


def test_a_complete_run_by_another_runner_is_asked_in_full() -> None:
    earlier = _run(ScriptedModels()).model_copy(update={"runner": "inspect-ai 0.3.285"})
    models = ScriptedModels()
    evaluate(evaluation(), models, "maestro", environ={}, earlier=earlier)
    assert len(models.asked) == 80


def test_a_partial_run_of_another_prompt_is_not_gone_on_with() -> None:
    one = dataclasses.replace(evaluation(), at_once=1)
    earlier = _run(ScriptedModels(_after(20, _used_up())), one)
    other = dataclasses.replace(one, questions=dataclasses.replace(one.questions, digest="sha256:other"))
    models = ScriptedModels()
    _run(models, other, earlier=earlier)
    assert len(models.asked) == 80


def test_too_many_questions_at_once_are_refused() -> None:
    with pytest.raises(InputError, match="33 questions at once cannot be put"):
        dataclasses.replace(evaluation(), at_once=33)

"""One model evaluated from beginning to end, by either runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Literal

from maestro.errors import InputError
from maestro.evals.results import CaseResult, ModelRun
from maestro.evals.running import OWN_RUNNER, Asking, Evaluation, begin, joins, not_begun, run_cases
from maestro.evals.with_inspect import RUNNER, interpreter, run_with_inspect

Runner = Literal["maestro", "inspect"]


def evaluate(
    evaluation: Evaluation,
    models: Asking,
    runner: Runner,
    *,
    environ: Mapping[str, str],
    earlier: ModelRun | None = None,
    cancelled: threading.Event | None = None,
    on_result: Callable[[CaseResult], None] = lambda _result: None,
    limit: float = 3600.0,
) -> tuple[ModelRun, bytes | None]:
    """Evaluates a model; whatever happens, there is a run that says what was answered and what was not.

    Args:
        runner: ``inspect``: inspect-ai puts the questions, in a process of its own; ``maestro``: nothing else is
            needed. Both have the same questions, the same gateway and the same scores, and the run names which it was.
        environ: for ``inspect``: which interpreter, and the path and language of its process.
        earlier: a run of the same week, whose answers are not asked again where they are to the same questions.
        limit: seconds for all of it, for ``inspect``.

    Returns:
        The run, and inspect-ai's own log when it left a whole one. ``earlier`` itself when it has every answer.

    Raises:
        InputError: inspect-ai was wanted and is not there. There is no quiet change to the other runner.
    """
    name = RUNNER if runner == "inspect" else OWN_RUNNER
    if earlier is not None and earlier.state == "complete" and joins(earlier, evaluation, name):
        return earlier, None
    command = interpreter(environ) if runner == "inspect" else ()
    try:
        progress = begin(evaluation, models, runner=name, earlier=earlier, cancelled=cancelled, on_result=on_result)
    except InputError as error:
        return not_begun(evaluation, name, error.what), None
    if runner == "inspect":
        return run_with_inspect(progress, command, limit=limit, environ=environ)
    return run_cases(progress), None


def paid_nano(run: ModelRun, earlier: ModelRun | None) -> int:
    """Nanodollars the answers of a run cost beside those it has from an earlier one."""
    if run is earlier:
        return 0
    # Of a run that is gone on with, every answer it had is used again.
    before = {one.case for one in earlier.answered} if earlier is not None and run.reused else set()
    return sum(one.cost_nano for one in run.results if one.case not in before)

"""One model evaluated from beginning to end, by either runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Literal

from maestro.errors import InputError
from maestro.evals.results import CaseResult, ModelRun
from maestro.evals.running import OWN_RUNNER, Asking, Evaluation, begin, not_begun, run_cases
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
        earlier: a partial run of the same week whose answers need not be paid for again.
        limit: seconds for all of it, for ``inspect``.

    Returns:
        The run, and inspect-ai's own log when it left a whole one.

    Raises:
        InputError: inspect-ai was wanted and is not there. There is no quiet change to the other runner.
    """
    command = interpreter(environ) if runner == "inspect" else ()
    name = RUNNER if runner == "inspect" else OWN_RUNNER
    try:
        progress = begin(evaluation, models, runner=name, earlier=earlier, cancelled=cancelled, on_result=on_result)
    except InputError as error:
        return not_begun(evaluation, name, error.what), None
    if runner == "inspect":
        return run_with_inspect(progress, command, limit=limit, environ=environ)
    return run_cases(progress), None

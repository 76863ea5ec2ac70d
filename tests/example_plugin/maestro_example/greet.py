"""Step kind ``example.greet``: writes a greeting into a file."""

from __future__ import annotations

from pydantic import Field

from maestro.steps import BaseParams, Output, StepContext, StepKind, StepResult


class GreetParams(BaseParams):
    """Parameters of ``example.greet``."""

    name: str = Field(min_length=1, description="Who is greeted.")


def _run(context: StepContext, params: GreetParams) -> StepResult:
    greeting = f"Hello, {params.name}!"
    (context.workspace / "greeting.txt").write_text(greeting + "\n", encoding="utf-8")
    return StepResult(
        summary=greeting,
        outputs=[Output("greeting", "greeting.txt", "text/plain")],
        values={"greeting": greeting},
    )


GREET = StepKind(
    name="example.greet",
    version="1",
    params=GreetParams,
    run=_run,
    summary="Writes a greeting into greeting.txt.",
    describe=lambda params: f"Greets {params.name}.",
)

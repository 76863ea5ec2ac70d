"""``budget``: the most a step, a run, a pull request or a month of the project may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from maestro.workflow.base import Model

MOST_USD = 1_000_000
Usd = Annotated[float, Field(ge=0, le=MOST_USD, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]


class Amounts(Model):
    """Limits in several units; what is not given is not limited here."""

    usd: Usd | None = Field(None, description="United States dollars.")
    tokens: Count | None = Field(None, description="Tokens of language models, in and out.")
    runs: Count | None = Field(None, description="Runs; of a pull request or a month.")
    minutes: Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)] | None = Field(
        None, description="Minutes of steps, added up; of a run, a pull request or a month."
    )
    gigabytes: Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)] | None = Field(
        None, description="Gigabytes (10^9 bytes) of artifacts kept; of a run, a pull request or a month."
    )


class Budget(Model):
    """What may be used; a number is United States dollars. It can lower what a server grants, never raise it."""

    step: Amounts | Usd | None = Field(None, description="Each step: `usd` and `tokens`.")
    run: Amounts | Usd | None = Field(None, description="Each run, with those that resume it.")
    pull_request: Amounts | Usd | None = Field(None, description="All runs of one pull request; 10 dollars by default.")
    month: Amounts | Usd | None = Field(None, description="The project in a calendar month (UTC).")
    allow_unknown_price: bool = Field(
        False, description="Whether models may be used whose price nobody knows; they count as free. Not on a server."
    )

    @model_validator(mode="after")
    def _units_fit(self) -> Budget:
        for name, unfit in (("step", ("runs", "minutes", "gigabytes")), ("run", ("runs",))):
            amounts = getattr(self, name)
            for unit in unfit:
                if isinstance(amounts, Amounts) and getattr(amounts, unit) is not None:
                    raise ValueError(f"a {name} has no budget of {unit}")
        return self

    @property
    def limits(self) -> dict[str, Amounts]:
        """``step``, ``run``, ``pull_request``, ``month`` -> amounts, of those that are given."""
        found: dict[str, Amounts] = {}
        for name in ("step", "run", "pull_request", "month"):
            given = getattr(self, name)
            if given is not None:
                found[name] = given if isinstance(given, Amounts) else Amounts(usd=float(given))
        return found

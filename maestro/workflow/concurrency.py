"""``concurrency``: which runs belong together, and which goes first."""

from __future__ import annotations

from pydantic import Field, model_validator

from maestro.workflow.base import Model, Text

MAX_PRIORITY = 100


class Concurrency(Model):
    """Runs of one group go one after another; a newer one may take the place of those before it."""

    group: Text | None = Field(
        None,
        description="Runs of the project with the same text go one after another, in the order they were asked for; "
        "takes expressions. Empty: no group.",
    )
    cancel_superseded: bool = Field(
        False, description="A new run of the group cancels those before it, waiting or running."
    )
    priority: int = Field(
        0,
        ge=-MAX_PRIORITY,
        le=MAX_PRIORITY,
        description="Of the runs that wait, those with the higher number go first.",
    )

    @model_validator(mode="after")
    def _only_a_group_is_superseded(self) -> Concurrency:
        if self.cancel_superseded and self.group is None:
            raise ValueError("'cancel_superseded' needs 'group': which runs take the place of which")
        return self

"""What all models of the language share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1)]


class Model(BaseModel):
    """Base of the language's models: frozen, unknown keys refused, no silent conversions of text to numbers."""

    # Built when first used, and then only the outermost one: a fifth of the import time of `maestro plan`.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True, defer_build=True)

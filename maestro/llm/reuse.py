"""Whom an answer is given again that somebody has paid for.

Everybody of the tenant gets what is deterministic: temperature 0, an answer that ended by itself. All else only the
step that asked gets, when it repeats its request because it, or its run, broke off after it had paid. A run of somebody
else's fork asks no model, so it neither gets such an answer nor leaves one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from maestro.llm.answers import (
    STORE_SECONDS,
    AnswerCache,
    AnswersAwayError,
    KeptAnswer,
    question,
    repetition,
    worth_keeping,
)
from maestro.llm.catalogue import Model
from maestro.llm.model import Completion

if TYPE_CHECKING:
    from maestro.llm.course import Course

_SHARE = 4


class Reuse:
    """The kept answers that may stand for one request, once it is decided; once the store is away, none is looked for.

    Args:
        cache: None: nothing is kept, and nothing found.
    """

    def __init__(self, cache: AnswerCache | None, course: Course) -> None:
        self._cache = cache if course.request.cache else None
        self._course = course

    async def own(self) -> tuple[Model, Completion] | None:
        """What this very step was answered before, by one of the models it may ask; whose turn it was is no matter."""
        if self._cache is None or not self._course.request.idempotency:
            return None
        found = await self._find(self._repetition())
        if found is None:
            return None
        models = (self._course.catalogue.models[name] for name in self._course.decided.order)
        return next(((model, found.completion) for model in models if self._question(model) == found.question), None)

    async def of(self, model: Model) -> Completion | None:
        """What this model has answered anybody of the tenant; None where it may answer otherwise now."""
        if self._cache is None or model.offline or self._course.request.temperature != 0:
            return None
        found = await self._find(self._question(model))
        return None if found is None else found.completion

    async def keep(self, model: Model, completion: Completion) -> None:
        """Keeps what ``model`` has answered just now, for those who may have it."""
        if self._cache is None or model.offline:
            return
        asked = self._question(model)
        writes = []
        if self._course.request.temperature == 0 and worth_keeping(completion):
            writes.append(self._cache.keep(asked, completion, model.name))
        if self._course.request.idempotency:
            writes.append(self._cache.keep(self._repetition(), completion, model.name, asked))
        await asyncio.gather(*writes)

    async def _find(self, key: str) -> KeptAnswer | None:
        if self._cache is None:
            return None
        try:
            # Most of a short time is for the model.
            return await self._cache.find(key, min(STORE_SECONDS, self._course.left / _SHARE))
        except AnswersAwayError:
            self._cache = None
            return None

    def _question(self, model: Model) -> str:
        return question(model, self._course.redaction, self._course.request, tenant=self._course.attribution.tenant)

    def _repetition(self) -> str:
        return repetition(self._course.redaction, self._course.request, tenant=self._course.attribution.tenant)

"""Answers that were given before, in the artifact store, by what was asked.

Who is answered from them is for ``maestro.llm.reuse`` to say. What personal data was in the question stands in the key
and in the answer as placeholders. Tenants do not share answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from maestro.artifacts import keys, leftovers
from maestro.llm.catalogue import Model
from maestro.llm.model import Completion, ModelRequest, Usage
from maestro.llm.redact import Redaction
from maestro.server.removal import always

if TYPE_CHECKING:
    from maestro.artifacts.store import ArtifactStore

KEPT_FOR = timedelta(days=30)
"""A provider changes what stands behind a name; an older answer is not used."""
STORE_SECONDS = 2.5
"""A store that takes longer over one answer than that is away."""
T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_VERSION = 2
_THREADS = 8
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that was kept.

    Args:
        question: the key, by :func:`question`, of the model that gave it.
    """

    completion: Completion
    question: str


class AnswersAwayError(Exception):
    """The store does not give what is kept, or not soon enough; told already. Whoever asks the model needs it not."""


class AnswerCache:
    """Answers in the store under ``llm/answers``; what goes wrong there costs a call, and nothing else."""

    def __init__(self, store: ArtifactStore) -> None:
        self._objects = store.objects
        self._threads: ThreadPoolExecutor | None = None

    async def find(self, key: str, within: float = STORE_SECONDS) -> KeptAnswer | None:
        """The answer kept under ``key``; None where there is none that is whole, and young enough.

        Args:
            within: seconds after which the store is away.

        Raises:
            AnswersAwayError: it is; whoever asks again may wait as long again.
        """
        try:
            found = await self._in_time(within, self._objects.read, keys.answer(key))
        except Exception as error:  # a store that is away must not stop anybody from asking the model
            _LOG.warning("kept answers cannot be read: %s", type(error).__name__)
            raise AnswersAwayError from error
        return None if found is None else _kept(found[0], key)

    async def keep(self, key: str, completion: Completion, model: str, question: str = "") -> None:
        """Keeps the answer; the last of several stays.

        Args:
            model: name of the one that gave it, for whoever looks into the file.
            question: its key by :func:`question`; empty: that is ``key``.
        """
        body = {
            "version": _VERSION,
            "key": key,
            "question": question or key,
            "at": datetime.now(UTC).isoformat(),
            "model": model,
            "text": completion.text,
            "finish": completion.finish,
            "raw": completion.raw,
            "usage": [completion.usage.input_tokens, completion.usage.output_tokens, completion.usage.cached_tokens],
        }
        try:
            await self._in_time(STORE_SECONDS, self._objects.replace, keys.answer(key), _sealed(body))
        except Exception as error:  # noqa: BLE001 - as above
            _LOG.warning("an answer cannot be kept: %s", type(error).__name__)

    def close(self) -> None:
        """Waits for nothing: what the store still does in its threads ends by itself."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _in_time(self, seconds: float, work: Callable[..., T], *given: Any) -> T:
        # Threads of its own: of those all share, a store that hangs would leave none for what must go on.
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="llm-answers")
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)


def old_answers(store: ArtifactStore, now: datetime | None = None) -> int:
    """How many kept answers are too old to be given again.

    Raises:
        ArtifactStoreError: the store does not answer.
    """
    before = (now or datetime.now(UTC)) - KEPT_FOR
    return sum(one.last_modified < before for one in store.objects.under(keys.ANSWERS))


def prune_answers(store: ArtifactStore, now: datetime | None = None, *, go_on: Callable[[], bool] = always) -> int:
    """Deletes kept answers that are too old to be given again, and what a crash left of writing one; how many.

    Args:
        go_on: asked before each few hundred; False leaves the rest for another time.

    Raises:
        ArtifactStoreError: the store does not answer.
    """
    objects = store.objects
    before = (now or datetime.now(UTC)) - KEPT_FOR

    def delete(key: str) -> bool:
        # It may have been given and kept anew since it was listed.
        info = objects.info(key)
        return info is not None and info.last_modified < before and objects.delete(key)

    old = (one.key for one in objects.under(keys.ANSWERS) if one.last_modified < before)
    deleted = 0
    while go_on() and (some := list(islice(old, _AT_ONCE))):
        deleted += sum(objects.each(delete, some))
    if objects.folder is not None:
        leftovers.sweep(objects.folder, before, (keys.ANSWERS,))
    return deleted


def question(model: Model, redaction: Redaction, request: ModelRequest, *, tenant: str) -> str:
    """The key of what a model is asked: sha256 over everything that may change its answer, and the tenant."""
    asked = {
        **_asked(redaction, request, tenant),
        "provider": model.provider,
        "kind": [model.kind, model.litellm],
        "model": model.wire_model,
        "api_base": model.api_base,
    }
    return hashlib.sha256(_canonical(asked)).hexdigest()


def repetition(redaction: Redaction, request: ModelRequest, *, tenant: str) -> str:
    """The key of what one step asks, whoever answers: equal for repeats of it, and for nothing else."""
    asked = {
        **_asked(redaction, request, tenant),
        "idempotency": request.idempotency,
        "targets": [request.target, *request.fallback],
    }
    return hashlib.sha256(_canonical(asked)).hexdigest()


def _asked(redaction: Redaction, request: ModelRequest, tenant: str) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "tenant": tenant,
        "messages": [[one.role, one.content, one.extra] for one in redaction.messages],
        "options": redaction.options,
        "max_output": request.max_output_tokens,
        "temperature": request.temperature,
    }


def worth_keeping(completion: Completion) -> bool:
    """Whether the answer ended by itself, and says something."""
    return completion.finish == "stop" and bool(completion.text)


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict).encode()


def _sealed(body: Mapping[str, Any]) -> bytes:
    data = _canonical(body)
    return hashlib.sha256(data).hexdigest().encode() + b"\n" + data


def _kept(kept: bytes, key: str) -> KeptAnswer | None:
    """The answer, when its digest is right, it belongs under this key, and it is young enough."""
    digest, _, data = kept.partition(b"\n")
    if hashlib.sha256(data).hexdigest().encode() != digest:
        _LOG.warning("the kept answer %s is damaged; the model is asked again", key)
        return None
    try:
        body = json.loads(data)
        if body["version"] != _VERSION or body["key"] != key:
            return None
        if datetime.now(UTC) - datetime.fromisoformat(body["at"]) > KEPT_FOR:
            return None
        given, made, cached = body["usage"]
        completion = Completion(body["text"], Usage(given, made, cached), body["finish"], body["raw"])
        return KeptAnswer(completion, str(body["question"]))
    except (ValueError, KeyError, TypeError):
        return None

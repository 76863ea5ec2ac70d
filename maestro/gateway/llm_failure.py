"""Why a request of the OpenAI-compatible endpoint has no answer, in OpenAI's words: status, type, code, parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from maestro.errors import InputError, MaestroError
from maestro.ledger.model import BudgetExceededError
from maestro.llm.errors import NoAnswerError
from maestro.llm.model import NoModelError, ProviderError

_OWN_LIMIT = "the request allows"
"""In what is told of a request that does not keep its own limit; a route's is of models.yaml, where it is `max_usd`."""
NEVER_AGAIN = {"x-should-retry": "false"}
"""OpenAI's clients try 429 and 5xx again unless they are told not to."""


class LlmError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        type, code, param: as OpenAI names them.
    """

    def __init__(
        self,
        status: int,
        message: str,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = _writable(message)
        self.type = type
        self.code = code
        self.param = None if param is None else _writable(param)
        self.headers = headers or {}

    @property
    def outcome(self) -> str:
        """One word for logs and counters."""
        return self.code or self.type

    def body(self) -> dict[str, Any]:
        """``{"error": {...}}``."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def text(self) -> str:
        """The body as JSON on one line."""
        return json.dumps(self.body(), ensure_ascii=False)


def _writable(text: str) -> str:
    """``text`` without lone surrogates: names in a request are repeated, and JSON may hold what nothing can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def bad(message: str, param: str | None = None, *, code: str | None = None) -> LlmError:
    """The request cannot be used as it is."""
    return LlmError(400, message, param=param, code=code)


def failure_of(error: MaestroError) -> LlmError:
    """What a caller is told of an error of the gateway."""
    message = sentence(error)
    decided = getattr(error, "decision", None)
    decided = decided if isinstance(decided, str) else getattr(decided, "id", "")
    headers = {"x-maestro-decision": decided} if decided else {}
    if isinstance(error, BudgetExceededError):
        return LlmError(429, message, "insufficient_quota", "insufficient_quota", headers={**headers, **NEVER_AGAIN})
    if isinstance(error, NoModelError):
        return _no_model(error, message, headers)
    if isinstance(error, NoAnswerError):
        return _no_answer(error, message, headers)
    if isinstance(error, ProviderError):
        return _provider(error, message)
    if isinstance(error, InputError):
        return LlmError(400, message, headers=headers)
    # The ledger, the disk: nothing the caller did.
    return LlmError(503, message, "server_error", "unavailable", headers={"retry-after": "5", **headers})


def sentence(error: MaestroError) -> str:
    """What happened, and what to do next, on one line, in the words of a request of the endpoint."""
    what = error.what
    if _OWN_LIMIT in what:
        what = what.replace("`max_usd`", "`x-maestro-max-usd`")
    what = what.replace("`max_output_tokens`", "`max_tokens`")
    return f"{what.rstrip('.')}; next: {error.next_step}" if error.next_step else what


def _no_model(error: NoModelError, message: str, headers: Mapping[str, str]) -> LlmError:
    decision = error.decision
    if decision is None or not decision.candidates:
        return LlmError(404, message, code="model_not_found", param="model", headers=headers)
    reasons = [{code for code, _sentence in one.skipped} for one in decision.candidates]
    if all("context" in one for one in reasons):
        return LlmError(400, message, code="context_length_exceeded", param="messages", headers=headers)
    if all(one & {"policy", "region", "rule"} for one in reasons):
        return LlmError(403, message, "permission_error", "not_allowed", "model", headers)
    if all(one & {"capability", "quality_floor"} for one in reasons):
        return LlmError(400, message, code="model_cannot", param="model", headers=headers)
    if all(one == {"over_budget"} for one in reasons):
        # What one request may cost: the same again is refused again.
        return LlmError(429, message, "insufficient_quota", "insufficient_quota", headers={**headers, **NEVER_AGAIN})
    return LlmError(503, message, "server_error", "no_model_available", "model", {"retry-after": "30", **headers})


def _no_answer(error: NoAnswerError, message: str, headers: Mapping[str, str]) -> LlmError:
    headers = {**headers, **NEVER_AGAIN}
    outcomes = {one.outcome for one in error.attempts} - {"breaker_open"}
    if error.refused:
        return LlmError(400, message, code="content_filter", headers=headers)
    if error.timed_out:
        return LlmError(504, message, "server_error", "timeout", headers=headers)
    if outcomes == {"context"}:
        return LlmError(400, message, code="context_length_exceeded", param="messages", headers=headers)
    if outcomes == {"bad_request"}:
        return LlmError(400, message, headers=headers)
    if outcomes == {"rate_limit"}:
        return LlmError(
            429, message, "rate_limit_error", "rate_limit_exceeded", headers={**headers, "retry-after": "10"}
        )
    return LlmError(502, message, "server_error", "provider_failed", headers=headers)


def _provider(error: ProviderError, message: str) -> LlmError:
    if error.kind == "timeout":
        return LlmError(504, message, "server_error", "timeout", headers=NEVER_AGAIN)
    if error.kind in ("bad_request", "context", "refused"):
        code = {"context": "context_length_exceeded", "refused": "content_filter"}.get(error.kind)
        return LlmError(400, message, code=code)
    return LlmError(502, message, "server_error", "provider_failed", headers=NEVER_AGAIN)

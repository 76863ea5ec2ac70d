"""The way of one webhook: verified, kept, answered, in this order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from maestro.gateway.answers import Answers
from maestro.gateway.body import Budget, Share, read_body
from maestro.gateway.envelope import Headers, check_content, headers_of, kept, single, traceparent
from maestro.gateway.github import HOOK_HEADER
from maestro.gateway.provider import Provider
from maestro.gateway.refusal import RefusedError, unavailable
from maestro.gateway.secrets import HookRegistry, Hooks
from maestro.inbox import Inbox, InboxBusyError, InboxUnavailableError, InboxWriter, NewDelivery, Stored
from maestro.inbox.model import json_payload
from maestro.server.projects import RegisteredProject

ANSWER_SECONDS = 8.0
"""How long the inbox may take. GitHub gives up after ten."""
_SMALL = 64 * 1024
"""Bytes of a body that is checked where it is; the time that larger ones take would keep others waiting."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A webhook that is what it says.

    Args:
        project: None when no registered project delivers its repository.
    """

    project: RegisteredProject | None
    payload: Mapping[str, Any]


class Intake:
    """Takes webhooks.

    Args:
        inbox_url: where they are kept.
        body_limit: bytes.
    """

    def __init__(
        self, registry: HookRegistry, writer: InboxWriter, inbox_url: str, body_limit: int, budget: Budget
    ) -> None:
        self._registry = registry
        self._writer = writer
        self._inbox_url = inbox_url
        self._body_limit = body_limit
        self._budget = budget
        self._answers: Answers[Stored] = Answers()

    async def take(self, provider: Provider, request: Request, name: str | None) -> tuple[NewDelivery, Stored]:
        """Keeps the webhook in ``request``; when this returns it is on disk.

        Args:
            name: of the project, when the path names one.

        Raises:
            RefusedError: it is not taken.
        """
        headers = headers_of(request.headers.raw)
        check_content(headers)
        provider.check(headers)
        with self._budget.share() as share:
            body = await read_body(request, self._body_limit, share)
            verified = await self._verified(provider, headers, body, name)
            delivery = NewDelivery(
                provider=provider.name,
                delivery=provider.delivery(headers, body),
                event=provider.event(headers),
                project=verified.project.name if verified.project else "",
                headers=kept(headers, provider.kept),
                body=body,
                trace=traceparent(headers),
            )
            stored = await self._stored(delivery, share)
        if not stored.same and not await self._same_event(delivery, stored):
            raise RefusedError(
                409,
                "conflict",
                "a delivery of this id with another body was taken before",
                next_step="send it under an id of its own",
            )
        return delivery, stored

    async def _verified(self, provider: Provider, headers: Headers, body: bytes, name: str | None) -> Verified:
        for _ in range(2):
            hooks = self._registry.hooks
            arguments = (provider, headers, body, name, hooks, time.time())
            found = verify(*arguments) if len(body) <= _SMALL else await asyncio.to_thread(verify, *arguments)
            if found is not None:
                return found
            # A project or a secret may have been added a moment ago.
            await self._registry.newer()
        if not self._registry.hooks.complete:
            raise unavailable("registry", "the registry of projects does not answer")
        # The same for a project that is not there: who has no secret learns nothing of what there is.
        raise RefusedError(
            401,
            "signature",
            "no secret known here has signed this webhook",
            next_step="compare the webhook's secret with the project's, and the path with the project's name",
        )

    async def _stored(self, delivery: NewDelivery, share: Share) -> Stored:
        future = self._writer.put(delivery)
        # The body is held as long as it waits to be written, even when nobody waits for the answer any more.
        share.pass_on()
        future.add_done_callback(lambda _: share.release())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answers.of(future)
        except InboxBusyError as error:
            raise unavailable("busy", "more waits to be written than is held in memory") from error
        except (InboxUnavailableError, TimeoutError) as error:
            # What the database says is for the log, not for whoever sends webhooks.
            raise unavailable("inbox", "the inbox cannot be written now") from error

    async def _same_event(self, delivery: NewDelivery, stored: Stored) -> bool:
        """Whether another webhook of GitHub's has told of the same event, as its id then is the same."""
        hook = delivery.headers.get(HOOK_HEADER)
        if hook is None:
            return False
        try:
            before = await asyncio.to_thread(self._header_of, stored.id)
        except InboxUnavailableError as error:
            raise unavailable("inbox", "the inbox cannot be read now") from error
        return before is not None and before != hook

    def _header_of(self, number: int) -> str | None:
        inbox = Inbox(self._inbox_url)
        try:
            found = inbox.get(number)
        finally:
            inbox.close()
        return found.headers.get(HOOK_HEADER) if found else None


def verify(
    provider: Provider, headers: Headers, body: bytes, name: str | None, hooks: Hooks, now: float
) -> Verified | None:
    """The webhook, when a secret that counts for it has signed it; else None.

    Args:
        name: of the project, when the path names one; its secrets count. Without, those of the project count that
            delivers the repository the body names. The common ones count always.

    Raises:
        RefusedError: it was signed, but is not JSON, is about another project's repository, or is too old.
    """
    if name is not None:
        project = hooks.project(provider.name, name)
        secrets = hooks.secrets[project.name] + hooks.common if project else ()
        if not provider.signed(headers, body, secrets, now) or project is None:
            return None
        payload = read_payload(headers, body)
        repository = provider.repository(payload)
        if repository and repository.lower() != project.repository.lower():
            raise RefusedError(
                403,
                "repository",
                "the webhook is about a repository this project does not deliver",
                next_step="if the repository was renamed, register it under its new name",
            )
        return Verified(project, payload)
    if provider.signed(headers, body, hooks.common, now):
        payload = read_payload(headers, body)
        return Verified(hooks.of_repository(provider.name, provider.repository(payload)), payload)
    try:
        payload = read_payload(headers, body)
    except RefusedError:
        return None
    project = hooks.of_repository(provider.name, provider.repository(payload))
    if project is None or not provider.signed(headers, body, hooks.secrets[project.name], now):
        return None
    return Verified(project, payload)


def read_payload(headers: Headers, body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body.

    Raises:
        RefusedError: 400, there is none.
    """
    try:
        text = json_payload(single(headers, "content-type") or "", body).decode("utf-8")
        payload: object = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RefusedError(
            400, "json", "the body is not JSON in UTF-8", next_step="send it as its sender does"
        ) from None
    if not isinstance(payload, dict):
        raise RefusedError(400, "json", "the body is not a JSON object", next_step="send it as its sender does")
    return payload


def _no_number(_text: str) -> Sequence[object]:
    raise ValueError("NaN and Infinity are no JSON")

"""The gateway as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from maestro.gateway.access_log import AccessLog
from maestro.gateway.body import Budget
from maestro.gateway.github import GitHub
from maestro.gateway.gitlab import GitLab
from maestro.gateway.intake import Intake
from maestro.gateway.llm_app import Mounted
from maestro.gateway.metrics import Metrics
from maestro.gateway.provider import Provider
from maestro.gateway.refusal import RETRY_SECONDS, RefusedError
from maestro.gateway.secrets import HookRegistry
from maestro.gateway.serving_mount import ServingMount
from maestro.gateway.status import Readiness
from maestro.inbox import InboxWriter
from maestro.server.home import ServerHome
from maestro.server.wake import poke

MOST_BODY_BYTES = 128 * 1024 * 1024
"""Bytes of all bodies in memory: of those being read, and of those waiting to be written."""
WAKES = "conductor"

Endpoint = Callable[[Request], Awaitable[Response]]


def app(home: ServerHome) -> Starlette:
    """The gateway of a server; it opens the inbox when it starts and closes it, with everything written, at its end.

    Raises:
        InputError: the settings name a database that cannot be used.
    """
    writer = InboxWriter(home.inbox_url)
    budget = Budget(MOST_BODY_BYTES)
    registry = HookRegistry(home)
    metrics = Metrics(writer, budget, registry)
    intake = Intake(registry, writer, home.inbox_url, home.settings.gateway.body_limit, budget)
    log = AccessLog()
    readiness = Readiness(home.folder, writer, registry)
    models = Mounted(home, log.add, registry=metrics.registry)
    serving = ServingMount(home.folder)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        keeping = asyncio.create_task(registry.keep_current())
        await registry.newer()
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await asyncio.to_thread(writer.close)
            registry.close()
            # After what acknowledged webhooks are written by.
            await models.close()
            await serving.close()
            log.flush()

    wake = _once_a_turn(lambda: poke(home, WAKES))
    routes = [
        *_hooks(GitHub(), intake, metrics, log, wake),
        *_hooks(GitLab(), intake, metrics, log, wake),
        Route("/healthz", _alive, methods=["GET"]),
        Route("/readyz", _ready(readiness), methods=["GET"]),
        Route("/metrics", _measured(metrics), methods=["GET"]),
        *models.routes(),
        *serving.routes(),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _once_a_turn(act: Callable[[], None]) -> Callable[[], None]:
    """``act`` for all that ask for it in one turn of the event loop: what one commit has kept wakes once."""
    asked = False

    def now() -> None:
        nonlocal asked
        asked = False
        act()

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            asyncio.get_running_loop().call_soon(now)

    return ask


def _hooks(
    provider: Provider, intake: Intake, metrics: Metrics, log: AccessLog, wake: Callable[[], None]
) -> list[Route]:
    async def hook(request: Request) -> Response:
        began = time.perf_counter()
        try:
            delivery, stored = await intake.take(provider, request, request.path_params.get("project"))
        except RefusedError as refusal:
            metrics.answers.labels(provider.name, refusal.reason).inc()
            log.add(provider=provider.name, status=refusal.status, outcome=refusal.reason)
            return _refused(refusal)
        if stored.new:
            wake()
        outcome = "stored" if stored.new else "duplicate"
        seconds = time.perf_counter() - began
        metrics.answers.labels(provider.name, outcome).inc()
        metrics.seconds.labels(provider.name).observe(seconds)
        status = 202 if stored.new else 200
        log.add(
            provider=provider.name,
            status=status,
            outcome=outcome,
            id=stored.id,
            delivery=delivery.delivery,
            event=delivery.event,
            project=delivery.project,
            size=len(delivery.body),
            trace=delivery.trace,
            ms=round(seconds * 1000, 1),
        )
        return JSONResponse({"id": stored.id, "outcome": outcome}, status_code=status)

    path = f"/hooks/{provider.name}"
    return [Route(path, hook, methods=["POST"]), Route(path + "/{project}", hook, methods=["POST"])]


def _refused(refusal: RefusedError) -> Response:
    headers = {"retry-after": str(RETRY_SECONDS)} if refusal.status == 503 else {}
    content = {"error": refusal.what} | ({"next": refusal.next_step} if refusal.next_step else {})
    return JSONResponse(content, status_code=refusal.status, headers=headers)


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("alive\n")


def _ready(readiness: Readiness) -> Endpoint:
    async def ready(_request: Request) -> Response:
        problems = await readiness.problems()
        if not problems:
            return JSONResponse({"ready": True})
        return JSONResponse(
            {"ready": False, "problems": problems}, status_code=503, headers={"retry-after": str(RETRY_SECONDS)}
        )

    return ready


def _measured(metrics: Metrics) -> Endpoint:
    async def measured(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return measured

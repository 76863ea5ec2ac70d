"""The OpenAI-compatible endpoint as an application of its own, and as a part of the gateway of a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from maestro.gateway.llm_endpoint import Endpoint
    from maestro.gateway.llm_projects import ProjectCatalogues
    from maestro.llm.catalogue import Catalogue
    from maestro.llm.endpoint_tokens import TokenFile
    from maestro.llm.gateway import Gateway
    from maestro.server.home import ServerHome

LOG = logging.getLogger(__name__)
Opening = Callable[[], "Gateway"]
Log = Callable[..., None]


@dataclass(slots=True)
class OpenedLater:
    """A gateway that is opened when it is first needed, in a thread: it imports much, and asks a database.

    Args:
        opening: opens it.
    """

    opening: Opening
    _gateway: Gateway | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self) -> Gateway:
        """The gateway.

        Raises:
            MaestroError: it cannot be opened; the next request tries again.
        """
        if self._gateway is None:
            async with self._lock:
                if self._gateway is None:
                    self._gateway = await asyncio.to_thread(self.opening)
        return self._gateway

    async def close(self) -> None:
        """Closes it, with everything that was spent written."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.close()


def opening(
    home: Path,
    environ: Mapping[str, str],
    workspace: Path | None = None,
    masker: Any = None,
    profile: str | None = None,
    catalogue: Callable[[], Catalogue] | None = None,
) -> Opening:
    """Opens the gateway of a home when it is called.

    Args:
        profile: whose policies count; a server has its own.
        catalogue: gives it; None: as ``models.yaml`` of server and checkout say.
    """

    def opened() -> Gateway:
        from maestro.artifacts import ArtifactStore
        from maestro.execution.model_policy import engine_of
        from maestro.llm.opening import open_gateway

        store = ArtifactStore.open(str(home / "artifacts")) if (home / "artifacts").is_dir() else None
        policies = engine_of(home, environ, profile)
        return open_gateway(
            home=home,
            environ=environ,
            workspace=workspace,
            store=store,
            masker=masker,
            policies=policies,
            catalogue=catalogue() if catalogue is not None else None,
        )

    return opened


def alone(
    tokens: TokenFile, open_gateway: Opening, log: Log | None = None, projects: ProjectCatalogues | None = None
) -> Starlette:
    """The endpoint as a process of its own; it closes its gateway, with everything settled, at its end.

    Args:
        projects: of a server; None: there is one project, and the gateway's catalogue is its own.
    """
    from maestro.gateway.llm_endpoint import Endpoint
    from maestro.gateway.llm_metrics import LlmMetrics

    later = OpenedLater(open_gateway)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await later.close()
            if projects is not None:
                projects.close()

    async def alive(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    metrics = LlmMetrics()

    async def measured(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    routes = [
        *Endpoint(tokens, later.get, log, metrics, projects.of if projects is not None else None).routes(),
        Route("/healthz", alive, methods=["GET"]),
        Route("/metrics", measured, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _no_such, 405: _no_such})


async def _no_such(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    message = f"there is no {request.method} {request.url.path[:200]}: POST /v1/chat/completions, GET /v1/models"
    content = {"message": message, "type": "invalid_request_error", "param": None, "code": "unknown_url"}
    return JSONResponse({"error": content}, status_code=status)


class Mounted:
    """The endpoint as a part of a server's gateway.

    Nothing of it is imported, and its paths do not exist, while the home has no tokens. The first token makes it
    appear; no restart is needed.

    Args:
        home: the server's.
        registry: what the gateway's ``/metrics`` shows; None: it does not show this.
    """

    def __init__(
        self,
        home: ServerHome,
        log: Log,
        environ: Mapping[str, str] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._home = home
        self._file = home.folder / TOKENS
        self._log = log
        self._registry = registry
        self._environ = {**(os.environ if environ is None else environ), "MAESTRO_SERVER_HOME": str(home.folder)}
        self._later: OpenedLater | None = None
        self._projects: ProjectCatalogues | None = None
        self._endpoint: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] | None = None
        self._importing = asyncio.Lock()
        self._looked = 0.0
        self._there = False

    def routes(self) -> list[Route]:
        """For the gateway's application."""
        return [
            Route("/v1/chat/completions", self._passed, methods=["POST"]),
            Route("/v1/models", self._passed, methods=["GET"]),
            Route("/v1/models/{name:path}", self._passed, methods=["GET"]),
        ]

    async def close(self) -> None:
        """Everything that was spent is written; what cannot be is charged by its lease."""
        try:
            if self._later is not None:
                await self._later.close()
        except Exception:
            LOG.exception("the gateway to models could not be closed in good order")
        if self._projects is not None:
            self._projects.close()

    async def _passed(self, request: Request) -> Response:
        if not self._tokens_are_there():
            return PlainTextResponse("Not Found", status_code=404)
        if self._endpoint is None:
            async with self._importing:
                if self._endpoint is None:
                    made = await asyncio.to_thread(self._made)
                    self._endpoint = {
                        (method, route.path): route.endpoint
                        for route in made.routes()
                        for method in route.methods or ()
                    }
        path = "/v1/models/{name:path}" if "name" in request.path_params else request.url.path
        method = "GET" if request.method == "HEAD" else request.method
        return await self._endpoint[method, path](request)

    def _tokens_are_there(self) -> bool:
        # Anybody may ask; the disk is not asked each time.
        now = time.monotonic()
        if now - self._looked > 1.0:
            self._looked, self._there = now, self._file.exists()
        return self._there

    def _made(self) -> Endpoint:
        from maestro.gateway.llm_endpoint import Endpoint
        from maestro.gateway.llm_metrics import LlmMetrics
        from maestro.gateway.llm_projects import ProjectCatalogues
        from maestro.llm.endpoint_tokens import TokenFile

        self._projects = ProjectCatalogues(self._home)
        self._later = OpenedLater(opening(self._home.folder, self._environ, catalogue=self._projects.base))
        metrics = LlmMetrics(self._registry)
        return Endpoint(TokenFile(self._file), self._later.get, self._log, metrics, self._projects.of)


TOKENS = "llm-tokens"
"""Name of the file of tokens, as ``llm_tokens`` has it."""

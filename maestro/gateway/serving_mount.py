"""The serving lanes of a server, as a part of its gateway: those of ``serving.yaml`` and of ``models.yaml``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maestro.errors import MaestroError

if TYPE_CHECKING:
    from maestro.serving.watch import Lanes

LOG = logging.getLogger(__name__)
LANES_FILE = "serving.yaml"
MODELS_FILE = "models.yaml"


class ServingMount:
    """Routes of the lanes in a server's home; none where it names no lane. A wrong file stops no webhook.

    Args:
        home: the server's folder.
    """

    def __init__(self, home: Path) -> None:
        self._lanes: Lanes | None = None
        self._trouble = ""
        if not any((home / name).exists() for name in (LANES_FILE, MODELS_FILE)):
            return
        from maestro.llm.catalogue import load_catalogue
        from maestro.llm.surroundings import lanes_of
        from maestro.serving.file import read_lanes
        from maestro.serving.watch import Lanes

        try:
            known = lanes_of(load_catalogue(server=home / MODELS_FILE))
            lanes = read_lanes(home / LANES_FILE, known)
            self._lanes = Lanes(lanes) if lanes else None
        except MaestroError as error:
            self._trouble = error.what
            LOG.error("no serving lane is watched: %s", error)

    def routes(self) -> list[Route]:
        """What to mount."""
        if self._lanes is not None:
            from maestro.gateway.serving import serving_routes

            return serving_routes(self._lanes)
        if self._trouble:
            return [Route("/serving/{rest:path}", self._in_trouble, methods=["GET"])]
        return []

    async def close(self) -> None:
        """Ends the connections to the lanes."""
        if self._lanes is not None:
            await self._lanes.close()

    async def _in_trouble(self, _request: Request) -> Response:
        return JSONResponse({"error": self._trouble}, status_code=503)

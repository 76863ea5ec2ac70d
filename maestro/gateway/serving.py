"""Serving lanes over HTTP: metrics for Prometheus, and how many replicas are wanted for KEDA."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maestro.serving.export import expose
from maestro.serving.watch import Lanes, LaneView


def serving_routes(lanes: Lanes) -> list[Route]:
    """Routes to mount: ``GET /serving/metrics``, ``/serving/lanes`` and ``/serving/scale/{lane}``.

    A lane is asked when one of them is, at most once in its interval. Whoever mounts them closes ``lanes``.
    """

    async def metrics(_request: Request) -> Response:
        return Response(expose(await lanes.look()), media_type=CONTENT_TYPE_LATEST)

    async def every(_request: Request) -> Response:
        return JSONResponse({"lanes": [_shown(view) for view in await lanes.look()]})

    async def one(request: Request) -> Response:
        name = request.path_params["lane"]
        if name not in lanes.names:
            close = difflib.get_close_matches(name, lanes.names, n=3)
            known = f"; near are {', '.join(close)}" if close else ""
            return JSONResponse({"error": f"there is no serving lane of this name{known}"}, status_code=404)
        (view,) = await lanes.look(names=[name])
        # Without a wish this is an error for whoever scales, who then keeps what there is (KEDA: `fallback`).
        return JSONResponse(_signal(view), status_code=200 if view.scale.desired is not None else 503)

    return [
        Route("/serving/metrics", metrics, methods=["GET"]),
        Route("/serving/lanes", every, methods=["GET"]),
        Route("/serving/scale/{lane}", one, methods=["GET"]),
    ]


def _signal(view: LaneView) -> dict[str, Any]:
    lane = view.lane
    return {
        "lane": view.name,
        "desired_replicas": view.scale.desired,
        "why": view.scale.why,
        "state": view.verdict.state,
        "reasons": list(view.verdict.why),
        "stale": view.stale,
        "age_seconds": view.age,
        "queue_depth": lane.waiting if lane is not None else None,
        "requests_running": lane.running if lane is not None else None,
        "replicas": lane.replicas if lane is not None else None,
        "kv_cache_usage": lane.kv_cache if lane is not None else None,
    }


def _shown(view: LaneView) -> dict[str, Any]:
    measured = dataclasses.asdict(view.lane) if view.lane is not None else None
    return {**_signal(view), "trouble": view.trouble, "measured": measured}

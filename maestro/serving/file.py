"""``serving.yaml``: bounds, scaling and further lanes, beside what ``models.yaml`` says of model servers."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from maestro.errors import InputError
from maestro.notation.settings_file import place_in, read_settings_file
from maestro.serving.settings import Kind, LaneSettings

FILE = "serving.yaml"
_Seconds = Annotated[float, Field(gt=0, le=86_400)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Replicas = Annotated[int, Field(ge=0, le=10_000)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SloEntry(_Entry):
    """Bounds; see ``Slo``."""

    ttft_p95: _Seconds | None = None
    e2e_p99: _Seconds | None = None
    queue: Annotated[float, Field(ge=0)] | None = None
    kv_cache: _Share | None = None


class ScalingEntry(_Entry):
    """Replicas; see ``Scaling``."""

    least: _Replicas | None = None
    most: _Replicas | None = None
    requests: Annotated[float, Field(gt=0)] | None = None
    kv_cache: _Share | None = None


class LaneEntry(_Entry):
    """One lane; see ``LaneSettings``."""

    url: str | None = None
    kind: Kind | None = None
    model: str | None = None
    application: str | None = None
    deployment: str | None = None
    slo: SloEntry = SloEntry()
    scaling: ScalingEntry = ScalingEntry()
    interval: _Seconds | None = None
    window: _Seconds | None = None
    stale: _Seconds | None = None
    timeout: _Seconds | None = None


class ServingFile(_Entry):
    """All of ``serving.yaml``."""

    lanes: dict[str, LaneEntry] = Field(default_factory=dict)


def read_lanes(file: Path, known: Sequence[LaneSettings] = ()) -> tuple[LaneSettings, ...]:
    """The lanes there are: those that are known, changed as the file says, and those it adds.

    Args:
        file: one that does not exist changes nothing.
        known: of the models in ``models.yaml`` whose provider names its metrics.

    Raises:
        InputError: it is not YAML, a setting is unknown or wrong, or a new lane has no ``url``; with its place.
    """
    lanes = {one.name: one for one in known}
    for name, entry in read_settings_file(file, ServingFile, "the serving lanes").lanes.items():
        told = _told(entry, "slo", "scaling")
        lane = lanes.get(name)
        if lane is None and entry.url is None:
            close = difflib.get_close_matches(name, lanes, n=3)
            near = f"; near are {', '.join(close)}" if close else ""
            raise InputError(
                f"lanes.{name}: it has no 'url', and no model of this name has a provider with 'metrics'{near}",
                where=place_in(file, ("lanes", name), key=True),
                next_step="give it the URL of the server's metrics, or correct its name",
            )
        try:
            lane = dataclasses.replace(lane, **told) if lane is not None else LaneSettings(name=name, **told)
            lanes[name] = dataclasses.replace(
                lane,
                slo=dataclasses.replace(lane.slo, **_told(entry.slo)),
                scaling=dataclasses.replace(lane.scaling, **_told(entry.scaling)),
            )
        except InputError as error:
            place = place_in(file, ("lanes", name), key=True)
            raise InputError(error.what, where=place, next_step="correct the file") from None
    return tuple(lanes.values())


def _told(entry: BaseModel, *without: str) -> Mapping[str, Any]:
    return {
        name: getattr(entry, name) for name in entry.model_fields_set - set(without) if getattr(entry, name) is not None
    }

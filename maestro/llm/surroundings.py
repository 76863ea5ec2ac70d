"""What the machines around the gateway say, for ``Sources``: Ollama, and the queues of model servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from maestro.errors import InputError
from maestro.llm.catalogue import Catalogue
from maestro.llm.state import OllamaState
from maestro.serving.settings import LaneSettings
from maestro.serving.watch import Lanes, lane_queue_depths


def lanes_of(catalogue: Catalogue) -> tuple[LaneSettings, ...]:
    """A lane for every model whose provider names its metrics; it is called as the model is.

    Raises:
        InputError: a URL is none.
    """
    return tuple(
        LaneSettings(name=model.name, url=model.metrics, model=model.wire_model, interval=5.0, stale=30.0, timeout=2.0)
        for model in catalogue.models.values()
        if model.metrics
    )


def queue_source(catalogue: Catalogue) -> Callable[[], Awaitable[Mapping[str, int]]]:
    """Asks the model servers of the catalogue: model -> requests that wait. One that does not answer is left out.

    Raises:
        InputError: a URL is none.
    """
    lanes = Lanes(lanes_of(catalogue))

    async def look() -> Mapping[str, int]:
        try:
            return lane_queue_depths(await lanes.look())
        finally:
            # Nobody tells a source that it is over.
            await lanes.close()

    return look


def ollama_source(
    catalogue: Catalogue, environ: Mapping[str, str], *, pulls: bool = False
) -> Callable[[], Awaitable[OllamaState]]:
    """Asks every Ollama of the catalogue what it has and what fits; of several, what one of them has counts.

    Args:
        environ: where OLLAMA_HOST is, for models without an ``api_base``.

    Raises:
        ModuleNotFoundError: the extra ``models`` is not installed.
    """
    from maestro.llm.ollama.client import OllamaClient
    from maestro.llm.ollama.desk import OllamaDesk

    wanted: dict[str, list[str]] = {}
    for model in catalogue.models.values():
        if model.kind == "ollama":
            wanted.setdefault(model.api_base or environ.get("OLLAMA_HOST", ""), []).append(model.wire_model)
    desks: dict[str, OllamaDesk] = {}

    async def one(address: str) -> OllamaState:
        try:
            desk = desks.setdefault(address, OllamaDesk(OllamaClient(address, seconds=5.0), pulls=pulls))
        except InputError:
            return OllamaState(running=False, pulls=pulls)
        try:
            return await desk.state(wanted[address])
        finally:
            await desk.close()

    async def look() -> OllamaState:
        if not wanted:
            return OllamaState()
        found = await asyncio.gather(*(one(address) for address in wanted))
        present = frozenset[str]().union(*(state.present for state in found))
        fitting = {name for state in found for name in state.present - state.too_big.keys()}
        too_big = {name: why for state in found for name, why in state.too_big.items() if name not in fitting}
        elsewhere = {name: host for state in found for name, host in state.elsewhere.items()}
        return OllamaState(any(state.running for state in found), present, too_big, pulls, elsewhere)

    return look

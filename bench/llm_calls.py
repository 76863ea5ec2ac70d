"""Calls through the gateway as a library, in a process of its own.

``python -m bench.llm_calls latency|concurrent|memory URL N``

Writes one JSON object: the medians in milliseconds of direct calls and of the gateway's, or megabytes of growth.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from bench.llm_load import TEXT
from maestro.ledger.model import Attribution
from maestro.llm.catalogue import load_catalogue
from maestro.llm.gateway import Gateway
from maestro.llm.model import Message, ModelRequest
from maestro.llm.opening import open_gateway

WHO = Attribution("bench", "app", pull_request=1, run="run", step="step")
AT_ONCE = 50
_WARM = 100
_BLOCK = 20


def models_yaml(url: str) -> str:
    """A catalogue with the backend as its only model of that name."""
    provider = {"kind": "openai", "api_base": url, "region": "local"}
    model = {"provider": "bench", "price": {"input": 0.01, "output": 0.02}, "context": 100_000, "max_output": 4096}
    return json.dumps({"providers": {"bench": provider}, "models": {"echo": model}})


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Gateway]:
    """A gateway on a ledger of its own, in SQLite."""
    with tempfile.TemporaryDirectory(prefix="bench-llm-") as folder:
        file = Path(folder, "models.yaml")
        file.write_text(models_yaml(url), encoding="utf-8")
        gateway = open_gateway(home=Path(folder), environ={}, catalogue=load_catalogue([file]))
        try:
            yield gateway
        finally:
            await gateway.close()


def request(number: int) -> ModelRequest:
    """Another one for each number."""
    return ModelRequest([Message("user", f"{number}: {TEXT}")], target="echo", max_output_tokens=100, temperature=0.7)


async def latency(url: str, calls: int, callers: int = 1) -> dict[str, float]:
    """Medians with so many callers at once.

    Blocks of direct calls and of the gateway's take turns, so that both see one machine.
    """
    spent: dict[str, list[float]] = {"direct_ms": [], "gateway_ms": []}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with opened(url) as gateway, httpx.AsyncClient(limits=limits) as client:

        async def direct(number: int) -> None:
            message = {"role": "user", "content": f"{number}: {TEXT}"}
            body = {"model": "echo", "messages": [message], "max_tokens": 100, "temperature": 0.7}
            (await client.post(f"{url}/chat/completions", json=body)).json()

        async def ours(number: int) -> None:
            await gateway.ask(request(number), WHO)

        ways: dict[str, Callable[[int], Awaitable[None]]] = {"direct_ms": direct, "gateway_ms": ours}
        for start in range(0, _WARM * callers + calls, _BLOCK * callers):
            for name, ask in ways.items():
                numbers = iter(range(start, start + _BLOCK * callers))
                times = await asyncio.gather(*(_timed(ask, numbers) for _ in range(callers)))
                if start >= _WARM * callers:
                    spent[name] += itertools.chain(*times)
                # What is settled after the answer belongs to it, and not to whoever is measured next.
                await gateway.settled()
    return {name: statistics.median(times) for name, times in spent.items()}


async def _timed(ask: Callable[[int], Awaitable[None]], numbers: Iterator[int]) -> list[float]:
    """Milliseconds of each call of one caller, which makes another one as soon as it has its answer."""
    times = []
    for number in numbers:
        began = time.perf_counter()
        await ask(number)
        times.append(1000 * (time.perf_counter() - began))
    return times


async def concurrent(url: str, calls: int) -> dict[str, float]:
    """``latency`` with many callers: they wait for each other's work on one core, whichever way they go."""
    return await latency(url, calls, AT_ONCE)


async def memory(url: str, calls: int) -> dict[str, float]:
    """Megabytes the process is larger after so many calls than after the first tenth of them."""
    async with opened(url) as gateway:
        numbers = iter(range(calls + calls // 10))

        async def some(until: int) -> None:
            for number in numbers:
                await gateway.ask(request(number), WHO)
                if number >= until:
                    return

        sizes = []
        for until in (calls // 10, calls + calls // 10):
            began = time.perf_counter()
            await asyncio.gather(*(some(until - AT_ONCE) for _ in range(AT_ONCE)))
            seconds = time.perf_counter() - began
            await gateway.settled()
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss / 1e6)
    return {"growth_mb": sizes[1] - sizes[0], "calls_per_s": calls / seconds}


if __name__ == "__main__":
    what = {"latency": latency, "concurrent": concurrent, "memory": memory}[sys.argv[1]]
    print(json.dumps(asyncio.run(what(sys.argv[2], int(sys.argv[3])))))

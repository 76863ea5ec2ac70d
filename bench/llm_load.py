"""Asks an OpenAI-compatible endpoint over plain sockets, in a process of its own: ``python -m bench.llm_load``.

Reads one JSON object from standard input: ``port``, ``key``, ``connections``, ``calls``. Writes one back: ``seconds``
and ``answered``. An HTTP client would cost more than what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator

TEXT = "Say whether this change is fine: " + "x = x + 1; " * 30


def request(number: int, key: str) -> bytes:
    """A whole HTTP request, another one for each number; warm, so that no answer is given from a cache."""
    message = {"role": "user", "content": f"{number}: {TEXT}"}
    body = json.dumps({"model": "echo", "messages": [message], "max_tokens": 100, "temperature": 0.7}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _connection(port: int, requests: Iterator[bytes]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    for sent in requests:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        if int(head[9:12]) != 200:
            raise RuntimeError(f"{head.decode()}{body.decode()}")
        answered += 1
    writer.close()
    return answered


async def _all(port: int, requests: Iterator[bytes], connections: int) -> int:
    return sum(await asyncio.gather(*(_connection(port, requests) for _ in range(connections))))


def main() -> None:
    """Reads how much to ask, asks it, says how long that took."""
    given = json.load(sys.stdin)
    requests = [request(number, given["key"]) for number in range(given["calls"])]
    began = time.perf_counter()
    answered = asyncio.run(_all(given["port"], iter(requests), given["connections"]))
    print(json.dumps({"seconds": time.perf_counter() - began, "answered": answered}))


if __name__ == "__main__":
    main()

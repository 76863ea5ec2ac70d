"""Sends signed webhooks over plain sockets, in a process of its own: ``python -m bench.intake_load``.

Reads one JSON object from standard input: ``port``, ``secret``, ``connections``, ``deliveries`` (names), ``size``
(bytes of each body). Writes one back: ``answers`` (name: [status, id, milliseconds]) and ``seconds``. A delivery
without a whole answer is left out. An HTTP client would cost more than the gateway that is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

Answers = dict[str, tuple[int, int, float]]
REPOSITORY = "bench/shop"


def body_of(name: str, size: int) -> bytes:
    """The body of a delivery: JSON of about ``size`` bytes, another one for each name."""
    about = {"ref": "refs/heads/main", "delivery": name, "repository": {"full_name": REPOSITORY}}
    text = json.dumps(about)
    return json.dumps(about | {"filling": "x" * max(0, size - len(text) - 14)}).encode()


def request(name: str, secret: str, size: int) -> bytes:
    """A whole HTTP request, as GitHub sends it."""
    body = body_of(name, size)
    signature = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
    head = (
        "POST /hooks/github HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n"
        f"X-GitHub-Delivery: {name}\r\nX-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send_all(port: int, requests: Iterator[tuple[str, bytes]], connections: int) -> Answers:
    """Sends each once, over so many connections; a connection that breaks takes its request with it."""
    answers: Answers = {}
    await asyncio.gather(*(_connection(port, requests, answers) for _ in range(connections)))
    return answers


async def _connection(port: int, requests: Iterator[tuple[str, bytes]], answers: Answers) -> None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    for name, sent in requests:
        began = time.perf_counter()
        try:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            return
        spent = 1000 * (time.perf_counter() - began)
        answers[name] = (int(head[9:12]), int(answer.get("id", 0)), spent)
    writer.close()


def main() -> None:
    """Reads what to send, sends it, says what was answered."""
    given: dict[str, Any] = json.load(sys.stdin)
    requests = [(name, request(name, given["secret"], given["size"])) for name in given["deliveries"]]
    # The parent measures and kills from here on.
    print("ready", flush=True)
    began = time.perf_counter()
    answers = asyncio.run(send_all(given["port"], iter(requests), given["connections"]))
    print(json.dumps({"answers": answers, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()

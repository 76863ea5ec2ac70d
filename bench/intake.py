"""The gateway under a burst of signed webhooks, and what a ``kill -9`` in the middle of one loses."""

from __future__ import annotations

import argparse
import json
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.intake_load import REPOSITORY, Answers, body_of
from bench.report import Figure, at_most
from maestro.inbox import Inbox
from maestro.server.database import open_engine
from maestro.server.home import ServerHome, find_server
from maestro.server.projects import Projects, RegisteredProject

WEBHOOKS = 2_000
CONNECTIONS = 50
SIZE = 12_000
KILLS = 20
_ROUNDS = 3
_TAKEN = (200, 202)


@dataclass(frozen=True, slots=True)
class Burst:
    """What a burst was answered."""

    answers: Answers
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What the inbox holds of the deliveries that were acknowledged."""

    lost: int
    doubled: int


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line."""
    parser.add_argument("--kills", type=int, help=f"how often the gateway is killed (default: {KILLS})")


def measure(*, quick: bool, kills: int | None = None) -> list[Figure]:
    """All figures; the middle one of three bursts at a gateway that is warm, then bursts with a kill in them."""
    kills = (3 if quick else KILLS) if kills is None else kills
    with tempfile.TemporaryDirectory() as folder, _home(Path(folder)) as (home, secret):
        port = _free_port()
        with _gateway(home, port) as process, _watched(process.pid) as peak:
            _burst(port, secret, _names("warm", 200))
            first = peak()
            bursts = [_burst(port, secret, _names(f"burst{number}", WEBHOOKS)) for number in range(_ROUNDS)]
            largest = peak()
        kept = _kept(home, [burst.answers for burst in bursts])
        seconds = sorted(burst.seconds for burst in bursts)[_ROUNDS // 2]
        after = [_killed(home, port, secret, number, seconds) for number in range(kills)]
    p99 = sorted(_p99(burst) for burst in bursts)[_ROUNDS // 2]
    lost = kept.lost + sum(one.lost for one in after)
    doubled = kept.doubled + sum(one.doubled for one in after)
    rps = WEBHOOKS / seconds
    about = f"{WEBHOOKS} signed webhooks of {SIZE // 1000} KB over {CONNECTIONS} connections"
    return [
        Figure("rps", round(rps, 1), "1/s", f"{about}, on disk when answered; middle of {_ROUNDS} bursts"),
        at_most("p99_ms", p99, 50.0, "ms", "99th percentile of the answers; middle of the bursts"),
        Figure(
            "lost", lost, "", f"acknowledged and not in the inbox, bursts and {kills} kill -9 in one", "0", lost == 0
        ),
        Figure("doubled", doubled, "", "in the inbox twice, or acknowledged under two ids", "0", doubled == 0),
        Figure("rss_mb", round(first, 1), "MB", "memory of the gateway after 200 webhooks"),
        at_most("rss_peak_mb", largest, 250.0, "MB", "the most it had during the bursts"),
    ]


def _killed(home: ServerHome, port: int, secret: str, number: int, seconds: float) -> Kept:
    """A burst during which the gateway is killed, and which is sent again to the next one until all is acknowledged."""
    names = _names(f"kill{number}", WEBHOOKS)
    seen: list[Answers] = []
    with _gateway(home, port) as process:
        moment = random.uniform(0.05, 0.95) * seconds  # Not a secret.
        seen.append(_burst(port, secret, names, kill=(process, moment)).answers)
    with _gateway(home, port):
        # Some that were acknowledged are sent again, too, as a sender does that has not heard the answer.
        missing = [name for name in names if seen[0].get(name, (0,))[0] not in _TAKEN]
        seen.append(_burst(port, secret, missing + names[:100]).answers)
    return _kept(home, seen)


def _kept(home: ServerHome, seen: Sequence[Answers]) -> Kept:
    acknowledged: dict[str, set[int]] = {}
    for answers in seen:
        for name, (status, number, _) in answers.items():
            if status in _TAKEN:
                acknowledged.setdefault(name, set()).add(number)
    inbox = Inbox(home.inbox_url)
    rows: Counter[str] = Counter()
    whole: set[str] = set()
    cursor = min((min(numbers) for numbers in acknowledged.values()), default=1) - 1
    while page := inbox.after(cursor, 500):
        cursor = page[-1].id
        for one in page:
            rows[one.delivery] += 1
            if one.id in acknowledged.get(one.delivery, ()) and one.body == body_of(one.delivery, SIZE):
                whole.add(one.delivery)
    inbox.close()
    return Kept(
        lost=sum(name not in whole for name in acknowledged),
        doubled=sum(rows[name] > 1 or len(numbers) > 1 for name, numbers in acknowledged.items()),
    )


def _burst(
    port: int, secret: str, names: Sequence[str], kill: tuple[subprocess.Popen[bytes], float] | None = None
) -> Burst:
    given = {"port": port, "secret": secret, "connections": CONNECTIONS, "size": SIZE, "deliveries": names}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.intake_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdin.write(json.dumps(given))
        load.stdin.close()
        load.stdout.readline()
        if kill is not None:
            time.sleep(kill[1])
            kill[0].kill()
        said = json.load(load.stdout)
    if load.returncode != 0:
        raise RuntimeError("the sender of webhooks failed")
    return Burst(said["answers"], said["seconds"])


@contextmanager
def _home(folder: Path) -> Iterator[tuple[ServerHome, str]]:
    secret = secrets.token_hex(32)
    file = folder / "secret"
    file.touch(mode=0o600)
    file.write_text(secret)
    home = find_server(folder)
    engine = open_engine(home.database_url)
    Projects(engine).add(
        RegisteredProject("shop", url=str(folder), repository=REPOSITORY, hook_secrets=(f"file:{file}",))
    )
    engine.dispose()
    yield home, secret


@contextmanager
def _gateway(home: ServerHome, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "maestro.gateway", "--home", str(home.folder), "--port", str(port)]
    with (home.logs / "gateway.log").open("ab") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            while not _answers(port):
                if process.poll() is not None:
                    raise RuntimeError(f"the gateway ended: {(home.logs / 'gateway.log').read_text()[-2000:]}")
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as probe:
            probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return probe.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


@contextmanager
def _watched(process: int) -> Iterator[Callable[[], float]]:
    """Gives a function that says the most memory the process had so far, in MB."""
    most = 0.0
    done = threading.Event()
    watched = psutil.Process(process)

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, watched.memory_info().rss / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: most
    finally:
        done.set()
        thread.join()


def _p99(burst: Burst) -> float:
    times = sorted(spent for _, _, spent in burst.answers.values())
    return times[int(len(times) * 0.99) - 1]


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:06}-{secrets.token_hex(8)}" for number in range(count)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""What the gateway does when it is killed, when its database is gone, and when the disk is full: nothing is lost."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from maestro.server.wake import Waiter
from tests.integration.gateway_server import (
    PUSH,
    SHOP_SECRET,
    GatewayServer,
    gateway_server,
    github,
    make_home,
    until,
)
from tests.integration.postgres_control import controlled_postgres

SENDERS = 16


class Load:
    """Sends webhooks from several threads until it is told to stop; keeps what was acknowledged."""

    def __init__(self, port: int, prefix: str) -> None:
        self._port = port
        self._prefix = prefix
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(SENDERS)
        self.sent: list[str] = []
        self.acknowledged: dict[str, int] = {}
        self._work = [self._pool.submit(self._send, number) for number in range(SENDERS)]

    def _send(self, sender: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30) as client:
            for number in range(100_000):
                if self._stop.is_set():
                    return
                name = f"{self._prefix}-{sender}-{number}"
                self.sent.append(name)
                body = body_of(name)
                try:
                    answer = client.post("/hooks/github", content=body, headers=github(body, name))
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    self.acknowledged[name] = answer.json()["id"]

    def end(self) -> None:
        self._stop.set()
        for one in self._work:
            one.result(60)
        self._pool.shutdown()


def body_of(name: str) -> bytes:
    return PUSH[:-1] + b', "name": "' + name.encode() + b'"}'


def rows(gateway: GatewayServer) -> dict[str, tuple[int, bytes]]:
    """All that is kept; every delivery once."""
    inbox, found, cursor = gateway.inbox(), [], 0
    while page := inbox.after(cursor, 1000):
        found += page
        cursor = page[-1].id
    inbox.close()
    assert [name for name, count in Counter(one.delivery for one in found).items() if count > 1] == []
    return {one.delivery: (one.id, one.body) for one in found}


def assert_nothing_lost(gateway: GatewayServer, acknowledged: dict[str, int]) -> None:
    kept = rows(gateway)
    assert {name: kept.get(name) for name in acknowledged} == {
        name: (number, body_of(name)) for name, number in acknowledged.items()
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayServer]:
    database = request.getfixturevalue("postgres_database") if request.param == "postgresql" else None
    with gateway_server(make_home(tmp_path / "home", database), tmp_path / "log") as server:
        yield server


def test_a_kill_under_load_loses_nothing_acknowledged_and_doubles_nothing(gateway: GatewayServer) -> None:
    for round in range(3):
        load = Load(gateway.port, f"round{round}")
        until(lambda load=load, enough=50 * (round + 1): len(load.acknowledged) >= enough)
        assert gateway.process is not None
        gateway.process.kill()
        gateway.process.wait()
        load.end()
        assert len(load.acknowledged) < len(load.sent), "nothing was under way when it was killed"
        gateway.start()
        for name in load.sent:
            # As after a lost answer; what is there already stays as it is.
            answer = gateway.post("/hooks/github", body_of(name), github(body_of(name), name))
            assert answer.status_code in (200, 202)
            assert load.acknowledged.setdefault(name, answer.json()["id"]) == answer.json()["id"]
        assert_nothing_lost(gateway, load.acknowledged)


def test_when_it_is_told_to_stop_it_finishes_what_it_has_begun(gateway: GatewayServer) -> None:
    load = Load(gateway.port, "stop")
    until(lambda: len(load.acknowledged) >= 50)
    assert gateway.stop() == 0
    load.end()
    assert_nothing_lost(gateway, load.acknowledged)
    assert "Traceback" not in gateway.said()


def test_the_conductor_is_woken_for_what_is_new(gateway: GatewayServer) -> None:
    waiter = Waiter(gateway.home, "conductor")
    try:
        gateway.post("/hooks/github", PUSH, github(PUSH, "wakes"))
        assert waiter.wait(30)
    finally:
        waiter.close()


def test_without_its_database_it_answers_503_and_recovers_by_itself(tmp_path: Path) -> None:
    with (
        controlled_postgres() as (url, postgres),
        gateway_server(make_home(tmp_path / "home", url), tmp_path / "log") as gateway,
    ):
        assert gateway.post("/hooks/github", body_of("before"), github(body_of("before"), "before")).status_code == 202
        postgres.stop()
        during = gateway.post("/hooks/github", body_of("during"), github(body_of("during"), "during"))
        assert during.status_code == 503
        assert during.headers["retry-after"] == "5"
        assert during.json() == {"error": "the inbox cannot be written now", "next": "send it again later"}
        until(lambda: gateway.client.get("/readyz").status_code == 503)
        assert gateway.client.get("/readyz").json()["problems"] == {"inbox": "cannot be written"}
        assert gateway.client.get("/healthz").is_success
        postgres.start()
        until(lambda: gateway.client.get("/readyz").is_success)
        assert gateway.post("/hooks/github", body_of("during"), github(body_of("during"), "during")).status_code in (
            200,
            202,
        )
        assert set(rows(gateway)) == {"before", "during"}


def test_a_database_that_is_restarted_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with (
        controlled_postgres() as (url, postgres),
        gateway_server(make_home(tmp_path / "home", url), tmp_path / "log") as gateway,
    ):
        load = Load(gateway.port, "restart")
        until(lambda: len(load.acknowledged) >= 50)
        postgres.stop()
        postgres.start()
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) >= before + 50)
        load.end()
        assert_nothing_lost(gateway, load.acknowledged)


def test_it_starts_without_its_database_and_refuses_until_it_is_there(tmp_path: Path) -> None:
    with controlled_postgres() as (url, postgres):
        home = make_home(tmp_path / "home", url)
        postgres.stop()
        with gateway_server(home, tmp_path / "log") as gateway:
            assert gateway.post("/hooks/github", PUSH, github(PUSH, "early")).status_code == 503
            postgres.start()
            until(lambda: gateway.post("/hooks/github", PUSH, github(PUSH, "early")).status_code in (200, 202))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(gateway: GatewayServer) -> dict[str, int]:
    """Sends until it is refused; gives what was acknowledged."""
    acknowledged: dict[str, int] = {}
    for number in range(1000):
        name = f"fill-{number}"
        body = body_of(name + "-" * 60_000)
        answer = gateway.post("/hooks/github", body, github(body, name))
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "5"
            return acknowledged
        assert answer.status_code == 202
        acknowledged[name] = answer.json()["id"]
    raise AssertionError("it was never full")


def assert_all_kept(gateway: GatewayServer, acknowledged: dict[str, int]) -> None:
    kept = rows(gateway)
    for name, number in acknowledged.items():
        assert kept[name] == (number, body_of(name + "-" * 60_000))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_503_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 1_000_000)
        with gateway_server(make_home(disk / "home"), tmp_path / "log") as gateway:
            acknowledged = fill(gateway)
            assert acknowledged
            problems = gateway.client.get("/readyz").json()["problems"]
            assert problems["disk"] == "less than 64 MiB are left"
            filler.unlink()
            until(lambda: gateway.post("/hooks/github", PUSH, github(PUSH, "room")).status_code in (200, 202))
            assert_all_kept(gateway, acknowledged)


def test_a_file_that_may_not_grow_is_503_and_loses_nothing(tmp_path: Path) -> None:
    with gateway_server(make_home(tmp_path / "home"), tmp_path / "log") as gateway:
        assert gateway.process is not None
        process = psutil.Process(gateway.process.pid)
        process.rlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
        acknowledged = fill(gateway)
        assert acknowledged
        assert gateway.client.get("/readyz").json()["problems"] == {"inbox": "cannot be written"}
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: gateway.client.get("/readyz").is_success)
        assert gateway.post("/hooks/github", PUSH, github(PUSH, "room", SHOP_SECRET)).status_code == 202
        assert_all_kept(gateway, acknowledged)

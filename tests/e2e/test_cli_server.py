"""``maestro server``: one command runs everything, takes projects up while it runs, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from maestro.cli import programs
from maestro.cli.server_log import LOAD_FAILED
from maestro.mirror import Mirror
from tests.e2e.cli_process import Running, gone, started, until
from tests.e2e.product import Product
from tests.e2e.served import Served, programs_of

WORKFLOW = """
name: shop
on: {push: {branches: [main]}}
stages:
  - name: all
    steps:
      - {id: first, run: shell, with: {command: 'echo hello'}}
"""
LONG = WORKFLOW.replace("echo hello", "exec sleep 600")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Running]]:
    """A server with the project ``shop`` registered while it ran; Ctrl-C ends it without leaving anything."""
    served = Served.new(tmp_path_factory.mktemp("server"), WORKFLOW)
    with served.running() as running:
        running.says("no project is registered; from another terminal: maestro projects add URL")
        assert f"{served.gateway}/hooks/github/shop" in served.register()
        served.shows(lambda shown: "first" in shown.get("shop", ""))
        yield served, running
        family = running.family()
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.text
        assert running.text.endswith("stopped\n")
    gone(family)


def test_a_second_server_on_the_same_home_is_refused(server: tuple[Served, Running]) -> None:
    served, running = server
    ended = served.product.maestro("server")
    assert ended.code == 2
    assert f"a server runs on this home already (process {running.process.pid})" in ended.err


def test_a_signed_push_becomes_a_run_and_a_replay_another_one(server: tuple[Served, Running]) -> None:
    served, _ = server
    served.push()
    until(lambda: (served.hooks()[0]["outcome"] or {}).get("state") == "started", lambda: str(served.hooks()))
    (first,) = served.hooks()[0]["outcome"]["runs"]
    again = served.product.maestro("hooks", "replay", str(served.hooks()[0]["id"]), "--again")
    assert "it gets a run of its own" in again.out
    until(lambda: (served.hooks()[0]["outcome"] or {}).get("state") == "started", lambda: str(served.hooks()))
    (second,) = served.hooks()[0]["outcome"]["runs"]
    assert first != second


def test_a_webhook_that_is_not_signed_is_refused(server: tuple[Served, Running]) -> None:
    served, _ = server
    headers = {"content-type": "application/json", "x-github-event": "push", "x-github-delivery": "1"}
    request = urllib.request.Request(f"{served.gateway}/hooks/github/shop", b"{}", headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
    assert caught.value.code == 401


def test_a_project_with_a_wrong_workflow_fails_alone_and_can_be_removed(
    server: tuple[Served, Running], tmp_path: Path
) -> None:
    served, running = server
    broken = Product.new(tmp_path / "broken", {"maestro.yaml": "name: broken\n"})
    assert "warning: on main, maestro.yaml:1:1" in served.register("broken", broken)
    served.shows(lambda shown: "message" in shown.get("broken", ""))
    running.says(LOAD_FAILED)
    assert "first" in served.locations()["shop"]
    assert served.product.maestro("projects", "remove", "broken").code == 0
    served.shows(lambda shown: "broken" not in shown)


def test_a_workflow_that_changes_on_the_default_branch_is_loaded_anew(server: tuple[Served, Running]) -> None:
    served, _ = server
    served.product.write({"maestro.yaml": WORKFLOW.replace("first", "renamed")})
    served.product.commit()
    Mirror(served.home / "mirrors" / "shop.git", str(served.product.root)).refresh()
    served.shows(lambda shown: "renamed" in shown["shop"])


@pytest.mark.parametrize("module", ["maestro.gateway", "maestro_defs.conductor", "maestro_defs.warm"])
def test_a_program_that_is_killed_is_started_again(server: tuple[Served, Running], module: str) -> None:
    served, running = server
    killed = programs_of(running, module)
    killed[0].kill()
    until(lambda: any(one not in killed for one in programs_of(running, module)), f"{module} again")
    running.says("was killed by signal 9")
    until(lambda: answers(f"{served.gateway}/readyz"), "the gateway answers")


def test_killed_it_leaves_nothing_running(tmp_path: Path) -> None:
    served = Served.new(tmp_path, WORKFLOW)
    with served.running() as running:
        family = running.family()
        running.process.kill()
        running.end()
    gone(family)


def test_runs_are_given_their_time_when_it_stops_and_a_second_ctrl_c_takes_it_away(tmp_path: Path) -> None:
    served = Served.new(tmp_path, LONG, "launcher: {drain_seconds: 600}\n")
    served.register()
    with served.running() as running:
        served.push()
        until(lambda: bool(sleeping(running)), "the step runs")
        family = running.family()
        running.process.send_signal(signal.SIGINT)
        running.says("runs that go on have 600 s")
        until(lambda: not answers(f"{served.gateway}/healthz"), "no webhook is taken")
        assert sleeping(running)
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.text
    gone(family)


def test_what_does_not_finish_in_time_is_stopped(tmp_path: Path) -> None:
    served = Served.new(tmp_path, LONG, "launcher: {drain_seconds: 0, leave_seconds: 0.5}\n")
    served.register()
    with served.running() as running:
        served.push()
        until(lambda: bool(sleeping(running)), "the step runs")
        family = running.family()
        running.process.terminate()
        assert running.end() == 0, running.text
    gone(family)


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    served = Served.new(tmp_path, WORKFLOW)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (served.home / "server.yaml").write_text(f"gateway: {{port: {port}}}")
        ended = served.product.maestro("server")
    assert ended.code == 2
    assert f"port {port} of 127.0.0.1 is taken" in ended.err
    assert "as gateway.port into" in ended.err


def test_wrong_settings_are_said_with_their_place(tmp_path: Path) -> None:
    served = Served.new(tmp_path, WORKFLOW)
    (served.home / "server.yaml").write_text("gatway: {}")
    ended = served.product.maestro("server")
    assert ended.code == 2
    assert f"{served.home / 'server.yaml'}:1:1: gatway: Extra inputs are not permitted" in ended.err


def test_the_gateway_alone_is_one_process_that_ends_on_sigterm(tmp_path: Path) -> None:
    served = Served.new(tmp_path, WORKFLOW)
    with started(served.product, "server", "gateway") as running:
        until(lambda: answers(f"{served.gateway}/readyz"), lambda: running.text)
        assert len(running.family()) == 1
        running.process.terminate()
        assert running.end() == 0, running.text


def test_the_web_server_alone_has_the_code_of_the_projects(tmp_path: Path) -> None:
    served = Served.new(tmp_path, WORKFLOW)
    served.register()
    with served.running("web") as running:
        served.shows(lambda shown: "first" in shown.get("shop", ""))
        assert not programs_of(running, "maestro.gateway")
        running.process.terminate()
        assert running.end() == 0, running.text


def sleeping(running: Running) -> list[psutil.Process]:
    return programs_of(running, "sleep")


def answers(url: str) -> bool:
    return programs.answers(url)

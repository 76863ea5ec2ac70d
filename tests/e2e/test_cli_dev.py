"""``maestro dev``."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request
from pathlib import Path

from tests.e2e.cli_process import gone, started
from tests.e2e.product import Product

WORKFLOW = """
    name: served
    project: served
    stages:
      - name: all
        steps:
          - {id: one, run: shell, with: {command: 'echo hello'}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_dev_serves_the_ui_and_one_ctrl_c_ends_everything(tmp_path: Path) -> None:
    product = Product.new(tmp_path / "served", {"maestro.yaml": WORKFLOW})
    with started(product, "dev", "--port", str(free_port())) as running:
        running.says("Dagster is at http")
        address = re.search(r"Dagster is at (\S+)", running.text)
        assert address is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address[1]}/server_info", timeout=30) as answer:
            assert b"dagster_version" in answer.read()
        family = running.family()
        assert len(family) >= 4
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.text
    gone(family)
    with product.instance() as instance:
        assert product.git("rev-parse", "HEAD") in product.revisions(instance)


def test_dev_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    product = Product.new(tmp_path / "served", {"maestro.yaml": WORKFLOW})
    with started(product, "dev", "--port", str(free_port())) as running:
        running.says("Dagster is at http")
        family = running.family()
        running.process.kill()
        running.end()
    gone(family)


def test_dev_says_which_port_is_free_when_one_is_taken(tmp_path: Path) -> None:
    product = Product.new(tmp_path / "served", {"maestro.yaml": WORKFLOW})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = product.maestro("dev", "--port", str(taken.getsockname()[1]))
    assert ended.code == 2
    assert "is taken" in ended.err
    assert "maestro dev --port" in ended.err

"""``maestro run --watch``."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.e2e.cli_process import started, until
from tests.e2e.product import Product

WORKFLOW = """
    name: watched
    project: watched
    stages:
      - name: all
        parallel:
          - {id: one, run: shell, inputs: [one.txt], with: {command: 'cat one.txt'}}
          - {id: two, run: shell, inputs: [two.txt], with: {command: 'cat two.txt'}}
"""


def test_a_saved_file_runs_what_it_affects_and_an_ignored_one_nothing(tmp_path: Path) -> None:
    files = {"maestro.yaml": WORKFLOW, "one.txt": "1\n", "two.txt": "2\n", ".gitignore": "*.log\n"}
    product = Product.new(tmp_path / "watched", files)
    with started(product, "run", "--watch") as running:
        running.says("waiting for a saved file")
        product.write({"ignored.log": "x", "one.txt": "11\n"})
        running.says("waiting for a saved file", times=2)
        second = running.text.split("waiting for a saved file")[1]
        assert "changed: one.txt\n" in second
        assert "✓ all/one" in second
        assert "= all/two" in second
        product.write({"maestro.yaml": "name: ["})
        running.says("not YAML")
        product.write({"maestro.yaml": WORKFLOW})
        # The broken file may have been looked at more than once.
        running.says("all/two", times=3)
        ended = running.text.rindex("all/two")
        until(lambda: "waiting for a saved file" in running.text[ended:], lambda: running.text)
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.text
    assert "ignored.log" not in running.text
    assert len(product.maestro("status", "--json").json()["runs"]) == 3

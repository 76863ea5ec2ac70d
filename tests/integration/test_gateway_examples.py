"""Every example that GitHub publishes of its webhooks is taken and kept, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.gateway_server import APP_SECRET, gateway_server, github, make_home

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / ".cache/node/node_modules/@octokit/webhooks-examples/api.github.com/index.json"


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, bytes]]:
    """Event and body of each, installed on first use."""
    subprocess.run(
        [ROOT / "scripts" / "setup-node"], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=600
    )
    events = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return [
        (event["name"], json.dumps(example, ensure_ascii=False).encode())
        for event in events
        for example in event["examples"]
    ]


def test_all_published_examples_are_kept_byte_for_byte(examples: list[tuple[str, bytes]], tmp_path: Path) -> None:
    assert len(examples) == 329
    sent = {f"example-{number}": example for number, example in enumerate(examples)}
    with gateway_server(make_home(tmp_path / "home"), tmp_path / "log") as gateway:
        answers = {
            name: gateway.post("/hooks/github", body, github(body, name, APP_SECRET, event)).status_code
            for name, (event, body) in sent.items()
        }
        inbox = gateway.inbox()
        kept = {one.delivery: (one.event, one.body) for one in inbox.after(0, 1000)}
        inbox.close()
    assert set(answers.values()) == {202}
    assert kept == sent

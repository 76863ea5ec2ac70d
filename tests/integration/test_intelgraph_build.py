"""The second workflow people were promised, from review to image, with the kinds as they are."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.delivery import Delivery
from tests.integration.registry_server import RegistryServer, registry
from tests.unit.vulnerability_corpus import advisory, database
from tests.unit.workflow_kinds import DELIVER

__all__ = ["registry"]

SCRIPTS = {
    "build": "mkdir -p dist && cp index.ts dist/index.js",
    "test:unit": "true",
    "test:integration": "test -f dist/index.js",
    "test:e2e": "true",
}
STEPS = {
    "analyze/litellm_generate": "litellm.generate",
    "build/build_typescript": "build.typescript",
    "test/test_unit": "test.unit",
    "test/test_integration": "test.integration",
    "test/test_e2e": "test.e2e",
    "package/container_build": "container.build",
}


@pytest.fixture
def intelgraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    """A Node project without keys of models."""
    for name in ("OPENAI_API_KEY", "MAESTRO_SERVER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    # What lists components is installed beside the interpreter.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    root = tmp_path / "intelgraph"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    package = {"name": "intelgraph", "version": "1.0.0", "scripts": SCRIPTS}
    files = {"package.json": json.dumps(package), "index.ts": "export const one = 1;\n"}
    made.write({**files, "Containerfile": "FROM scratch\nCOPY dist /\n"})
    return made


def test_it_is_planned_as_it_stands(intelgraph: Delivery) -> None:
    intelgraph.workflow(DELIVER)
    plan = intelgraph.plan()
    assert {step.node.name: step.node.step.run for step in plan.steps} == STEPS
    assert {step.action for step in plan.steps} == {"run"}
    assert [one.tool for step in plan.steps for one in step.missing_tools] == []
    review, *_, image = plan.steps
    assert review.forecast is not None
    assert (review.forecast.at_most, review.forecast.refused) == (0, None)
    assert review.forecast.by.startswith("offline: ")
    assert "pushes it to ghcr.io/intelgraph" in image.does


def test_it_runs_to_its_image_with_a_registry_at_hand(
    intelgraph: Delivery, registry: RegistryServer, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    known = advisory("GHSA-aaaa-bbbb-cccc", "npm/kettle", {"introduced": "0"}, modified=f"{now:%Y-%m-%dT00:00:00Z}")
    database(tmp_path, known, now=now).rename(intelgraph.project.ensure_home() / "advisories")
    intelgraph.workflow(DELIVER.replace("ghcr.io/intelgraph", f"{registry.host}/intelgraph"))
    done = intelgraph.run()
    assert done.passed, done.failures()
    assert set(done.records) == set(STEPS)
    assert done.records["analyze/litellm_generate"].values["offline"] is True
    assert done.records["package/container_build"].values["digest"].startswith("sha256:")

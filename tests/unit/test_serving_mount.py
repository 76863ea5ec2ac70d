"""The lanes of a server's home, mounted in its gateway."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from maestro.gateway.serving_mount import ServingMount

LANE = "lanes: {fast: {url: 'http://127.0.0.1:9/metrics', kind: vllm}}\n"
MODELS = """
providers: {gpu: {kind: openai, api_base: 'http://127.0.0.1:9/v1', metrics: 'http://127.0.0.1:9/metrics'}}
models: {mine: {provider: gpu, wire_model: m, price: free, context: 1000, capabilities: [chat]}}
"""


def paths(mount: ServingMount) -> list[str]:
    return [route.path for route in mount.routes()]


def test_without_either_file_nothing_is_mounted(tmp_path: Path) -> None:
    mount = ServingMount(tmp_path)
    assert mount.routes() == []
    asyncio.run(mount.close())


@pytest.mark.parametrize(
    ("name", "content"), [("serving.yaml", ""), ("models.yaml", ""), ("serving.yaml", "lanes: {}")]
)
def test_files_that_name_no_lane_mount_nothing(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert ServingMount(tmp_path).routes() == []


@pytest.mark.parametrize(("name", "content", "lane"), [("serving.yaml", LANE, "fast"), ("models.yaml", MODELS, "mine")])
def test_lanes_of_either_file_are_mounted(name: str, content: str, lane: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    mount = ServingMount(tmp_path)
    assert paths(mount) == ["/serving/metrics", "/serving/lanes", "/serving/scale/{lane}"]
    with TestClient(Starlette(routes=mount.routes())) as client:
        (told,) = client.get("/serving/lanes").json()["lanes"]
        assert lane in told.values()
        assert client.get("/serving/scale/another").status_code == 404
    asyncio.run(mount.close())


def test_a_wrong_file_stops_no_webhook_and_says_what_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "serving.yaml").write_text("lanes: {fast: {}}\n")
    mount = ServingMount(tmp_path)
    with TestClient(Starlette(routes=mount.routes())) as client:
        answer = client.get("/serving/metrics")
    assert answer.status_code == 503
    assert "lanes.fast: it has no 'url'" in answer.json()["error"]
    assert "serving.yaml" in caplog.text
    # Where the server's home is, is nobody's business who may only look at lanes.
    assert str(tmp_path) not in answer.text
    asyncio.run(mount.close())


def test_lanes_are_watched_without_the_library_of_ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith(("maestro.llm.ollama", "maestro.llm.surroundings"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ollama", None)
    (tmp_path / "models.yaml").write_text(MODELS)
    assert len(ServingMount(tmp_path).routes()) == 3

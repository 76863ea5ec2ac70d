"""serving.yaml: bounds and scaling of lanes."""

from __future__ import annotations

from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.serving.file import read_lanes
from maestro.serving.settings import LaneSettings, Scaling, Slo

KNOWN = LaneSettings("qwen", "http://gpu-1:8000/metrics", model="Qwen/Qwen3-8B", scaling=Scaling(most=2))


def lanes_of(tmp_path: Path, text: str) -> tuple[LaneSettings, ...]:
    file = tmp_path / "serving.yaml"
    file.write_text(text)
    return read_lanes(file, [KNOWN])


def test_a_known_lane_gets_its_bounds_and_keeps_the_rest(tmp_path: Path) -> None:
    (lane,) = lanes_of(tmp_path, "lanes:\n  qwen:\n    slo: { ttft_p95: 1.5 }\n    scaling: { most: 6 }\n")
    assert (lane.url, lane.model) == (KNOWN.url, KNOWN.model)
    assert (lane.slo, lane.scaling) == (Slo(ttft_p95=1.5), Scaling(most=6))


def test_a_lane_can_be_added(tmp_path: Path) -> None:
    text = "lanes:\n  ray: { url: 'http://head:8080/metrics', kind: ray, application: llm, interval: 5 }\n"
    assert lanes_of(tmp_path, text)[1] == LaneSettings(
        "ray", "http://head:8080/metrics", kind="ray", application="llm", interval=5
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "lanes: {}\n"])
def test_a_file_that_says_nothing_changes_nothing(tmp_path: Path, text: str) -> None:
    assert lanes_of(tmp_path, text) == (KNOWN,)


def test_a_file_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    assert read_lanes(tmp_path / "none.yaml", [KNOWN]) == (KNOWN,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("lanes: [", "serving.yaml:1:9: not YAML"),
        ("lane: {}\n", "serving.yaml:1:1: lane: Extra inputs are not permitted"),
        ("lanes: { qwen: { slo: { ttft: 1 } } }\n", "serving.yaml:1:25: lanes.qwen.slo.ttft: Extra inputs are not"),
        (
            "lanes: { qwen: { slo: { kv_cache: 90 } } }\n",
            "serving.yaml:1:35: lanes.qwen.slo.kv_cache: Input should be less than or equal to 1",
        ),
        ("lanes: { qwen: { kind: tgi } }\n", "lanes.qwen.kind: Input should be 'auto', 'vllm', 'ray' or 'llamacpp'"),
        (
            "lanes: { qwn: { slo: { queue: 3 } } }\n",
            "no model of this name has a provider with 'metrics'; near are qwen",
        ),
        ("lanes:\n  qwen: { scaling: { least: 5, most: 2 } }\n", "serving.yaml:2:3: the serving lane 'qwen' cannot"),
        ("lanes:\n  qwn: {}\n", "serving.yaml:2:3: lanes.qwn: it has no 'url'"),
        ("lanes:\n  qwen:\n    interval: soon\n", "serving.yaml:3:15: lanes.qwen.interval: Input should be"),
        ("lanes: { qwen: { scaling: { least: 5, most: 2 } } }\n", "it is to have 5 to 2 replicas"),
        ("lanes: { x: { url: 'gpu-1:8000' } }\n", "is no http or https URL"),
        ("- qwen\n", "the file: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InputError) as refused:
        lanes_of(tmp_path, text)
    assert what in str(refused.value)
    assert "serving.yaml" in str(refused.value)


def test_a_file_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the serving lanes cannot be read"):
        read_lanes(tmp_path)

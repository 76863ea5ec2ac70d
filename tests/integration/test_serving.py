"""Lanes on real HTTP servers: asked, gone, stale; and what Prometheus, KEDA and an autoscaler read."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from maestro.errors import InputError
from maestro.gateway.serving import serving_routes
from maestro.serving.settings import LaneSettings, Scaling, Slo
from maestro.serving.watch import Lanes, LaneView, lane_queue_depths
from tests.loopback import Handler, serving

RECORDED = Path(__file__).parents[1] / "unit" / "recorded" / "serving"
TWO_ENGINES = (RECORDED / "vllm_two_engines.prom").read_text()


class ModelServer:
    """Answers /metrics with ``text``."""

    def __init__(self) -> None:
        self.text, self.status, self.asked, self.url = TWO_ENGINES, 200, 0, ""
        self.encoding = ""
        self.release: threading.Event | None = None


@contextmanager
def model_server() -> Iterator[ModelServer]:
    state = ModelServer()

    class Answering(Handler):
        def do_GET(self) -> None:
            state.asked += 1
            if state.release is not None:
                state.release.wait(30)
            body = state.text.encode()
            if state.encoding:
                self.reply(state.status, gzip.compress(body), {"Content-Encoding": state.encoding})
            else:
                self.reply(state.status, body)

    with serving(Answering) as url:
        state.url = f"{url}/metrics"
        yield state


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_lane(server: ModelServer, name: str = "chat", **changed: Any) -> LaneSettings:
    return LaneSettings(**{"name": name, "url": server.url, **changed})


def looked(settings: list[LaneSettings], act: Callable[[Lanes, Clock], Awaitable[Any]]) -> Any:
    async def acting() -> Any:
        clock = Clock()
        lanes = Lanes(settings, clock=clock)
        try:
            return await act(lanes, clock)
        finally:
            await lanes.close()

    return asyncio.run(acting())


async def one(lanes: Lanes, _clock: Clock) -> LaneView:
    (view,) = await lanes.look()
    return view


@asynccontextmanager
async def web(lanes: Lanes) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Starlette(routes=serving_routes(lanes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


def got(settings: list[LaneSettings], path: str) -> httpx.Response:
    async def asking(lanes: Lanes, _clock: Clock) -> httpx.Response:
        async with web(lanes) as client:
            return await client.get(path)

    response: httpx.Response = looked(settings, asking)
    return response


def test_a_lane_that_answers_is_known(server: ModelServer) -> None:
    view = looked([a_lane(server)], one)
    assert (view.verdict.state, view.age, view.stale, view.trouble) == ("ok", 0.0, False, "")
    assert (view.lane.running, view.lane.waiting) == (8, 2)
    assert lane_queue_depths([view]) == {"chat": 2}


def test_a_lane_is_asked_once_an_interval_however_many_look(server: ModelServer) -> None:
    async def looking(lanes: Lanes, clock: Clock) -> None:
        await asyncio.gather(*(lanes.look() for _ in range(10)))
        clock.now += 9
        await lanes.look()
        assert server.asked == 1
        clock.now += 1
        await lanes.look()

    looked([a_lane(server, interval=10.0)], looking)
    assert server.asked == 2


@pytest.mark.parametrize(
    ("status", "text", "trouble"),
    [
        (503, "", "answers 503 when asked for metrics"),
        (302, "", "answers 302 when asked for metrics"),
        (200, "<html>", "no Prometheus exposition"),
        (200, "# nothing\n", "of no server that is known"),
    ],
)
def test_a_lane_with_a_broken_answer_is_unknown(server: ModelServer, status: int, text: str, trouble: str) -> None:
    server.status, server.text = status, text
    view = looked([a_lane(server)], one)
    assert (view.lane, view.verdict.state, view.scale.desired) == (None, "unknown", None)
    assert trouble in view.trouble
    assert lane_queue_depths([view]) == {}


@pytest.mark.parametrize("place", ["127.0.0.1:1", "gpu..box"])
def test_a_lane_nobody_listens_at_is_unknown(server: ModelServer, place: str) -> None:
    view = looked([a_lane(server, url=f"http://{place}/metrics")], one)
    assert view.verdict.state == "unknown" and f"{place} does not answer" in view.trouble


def test_a_silent_lane_holds_up_nobody_but_itself(server: ModelServer) -> None:
    server.release = threading.Event()
    try:
        with model_server() as other:
            lanes = [a_lane(server, timeout=0.3), a_lane(other, "other")]
            views = looked(lanes, lambda lanes, _clock: lanes.look())
    finally:
        server.release.set()
    assert [view.verdict.state for view in views] == ["unknown", "ok"]
    assert "does not answer within 0.3 s" in views[0].trouble


def test_a_compressed_exposition_which_may_be_a_bomb_is_not_unpacked(server: ModelServer) -> None:
    server.encoding = "gzip"
    assert "are compressed, which was not asked for" in looked([a_lane(server)], one).trouble


@pytest.mark.parametrize("value", ["+Inf", "-Inf", "1e308", "-7"])
def test_a_lane_that_tells_what_cannot_be_does_not_take_the_others_along(server: ModelServer, value: str) -> None:
    server.text = f"vllm:num_requests_running 1\nvllm:num_requests_waiting {value}\n"
    with model_server() as other:
        views = looked([a_lane(server), a_lane(other, "other")], lambda lanes, _clock: lanes.look())
    assert views[1].verdict.state == "ok"
    assert lane_queue_depths(views) == {"other": 2}


def test_an_endless_exposition_is_cut_off(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.serving.watch.LARGEST", 1000)
    server.text = "x" * 5000
    assert "larger than 1,000 bytes" in looked([a_lane(server)], one).trouble


def test_what_was_known_of_a_lane_that_is_gone_counts_no_more(server: ModelServer) -> None:
    async def looking(lanes: Lanes, clock: Clock) -> tuple[LaneView, LaneView]:
        (before,) = await lanes.look()
        server.status = 500
        clock.now += 10
        (after,) = await lanes.look()
        return before, after

    before, after = looked([a_lane(server)], looking)
    assert (before.verdict.state, after.verdict.state, after.lane) == ("ok", "unknown", None)
    assert after.age == 10.0


def test_what_is_too_old_is_said_to_be_so(server: ModelServer) -> None:
    async def looking(lanes: Lanes, clock: Clock) -> LaneView:
        await lanes.look()
        clock.now += 46
        (view,) = lanes.seen()
        return view

    view = looked([a_lane(server, stale=45.0)], looking)
    assert (view.stale, view.lane, view.verdict.state) == (True, None, "unknown")
    assert view.trouble == "what is known of it is 46 s old"


def test_rates_are_over_the_window(server: ModelServer) -> None:
    async def looking(lanes: Lanes, clock: Clock) -> LaneView:
        for tokens in range(13):
            counted = f'vllm:generation_tokens_total{{engine="0"}} {tokens * 1000 if tokens < 7 else tokens * 100}\n'
            server.text = TWO_ENGINES + counted
            (view,) = await lanes.look()
            clock.now += 10
        return view

    view = looked([a_lane(server, window=50.0)], looking)
    # The last five steps of ten seconds are a hundred tokens each.
    assert (view.lane.seconds, view.lane.generated) == (50.0, 10.0)


def test_the_metrics_for_prometheus_are_the_same_for_every_kind(server: ModelServer) -> None:
    with model_server() as llama:
        llama.text = (RECORDED / "llama_server.prom").read_text()
        text = got([a_lane(server), a_lane(llama, "small")], "/serving/metrics").text
    found = {
        (sample.name, sample.labels.get("lane")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("state", "ok") == "ok"
    }
    assert found[("maestro_serving_requests_waiting", "chat")] == 2
    assert found[("maestro_serving_requests_waiting", "small")] == 0
    assert found[("maestro_serving_kv_cache_usage_ratio", "chat")] == 0.45
    assert ("maestro_serving_kv_cache_usage_ratio", "small") not in found
    assert found[("maestro_serving_generation_tokens_per_second", "small")] == 23.2458
    assert found[("maestro_serving_slo_state", "chat")] == 1


def test_a_lane_that_does_not_answer_has_no_numbers_that_look_fine(server: ModelServer) -> None:
    server.status = 500
    text = got([a_lane(server)], "/serving/metrics").text
    assert 'maestro_serving_up{lane="chat"} 0.0' in text
    assert 'maestro_serving_slo_state{lane="chat",state="unknown"} 1.0' in text
    assert "maestro_serving_requests_waiting{" not in text
    assert "maestro_serving_desired_replicas{" not in text


def test_keda_reads_a_number_at_a_place_in_json(server: ModelServer) -> None:
    lane = a_lane(server, scaling=Scaling(1, 8, requests=4), slo=Slo(queue=1))
    response = got([lane], "/serving/scale/chat")
    body = response.json()
    assert response.status_code == 200
    assert (body["desired_replicas"], body["state"], body["queue_depth"], body["stale"]) == (3, "alert", 2, False)
    assert body["reasons"] == ["the queue is 2 requests, more than 1 requests"]


def test_keda_gets_an_error_and_no_number_when_nothing_is_known(server: ModelServer) -> None:
    server.status = 500
    response = got([a_lane(server)], "/serving/scale/chat")
    assert response.status_code == 503
    assert (response.json()["desired_replicas"], response.json()["state"]) == (None, "unknown")


def test_a_lane_that_is_none_gets_the_nearest_names(server: ModelServer) -> None:
    response = got([a_lane(server)], "/serving/scale/chatt")
    assert response.status_code == 404
    assert response.json()["error"] == "there is no serving lane of this name; near are chat"
    assert server.asked == 0


def test_all_lanes_can_be_read_with_what_was_measured(server: ModelServer) -> None:
    (lane,) = got([a_lane(server)], "/serving/lanes").json()["lanes"]
    assert (lane["lane"], lane["measured"]["running"], lane["trouble"]) == ("chat", 8, "")


def test_watched_lanes_are_fresh_without_anybody_asking(server: ModelServer) -> None:
    async def watching() -> LaneView:
        async with Lanes([a_lane(server)]).watching(every=0.01) as lanes:
            while lanes.seen()[0].lane is None:
                await asyncio.sleep(0.01)
            return lanes.seen()[0]

    assert asyncio.run(asyncio.wait_for(watching(), 20)).verdict.state == "ok"


def test_two_lanes_of_one_name_are_refused(server: ModelServer) -> None:
    with pytest.raises(InputError, match="'chat' is there twice"):
        Lanes([a_lane(server), a_lane(server)])

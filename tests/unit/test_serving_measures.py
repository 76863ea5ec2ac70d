"""What a lane's numbers are, from recorded expositions; and quantiles, bounds and wishes from numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.serving.exposition import ScrapeError, read_exposition
from maestro.serving.kinds import reading_of
from maestro.serving.measure import Lane, measure, quantile
from maestro.serving.reading import Reading
from maestro.serving.scale import scale
from maestro.serving.settings import LaneSettings, Scaling, Slo
from maestro.serving.slo import Verdict, judge

RECORDED = Path(__file__).with_name("recorded") / "serving"
OPT = 'model_name="facebook/opt-125m"'
OK = Verdict("ok")


def a_lane(**changed: Any) -> LaneSettings:
    return LaneSettings(**{"name": "chat", "url": "http://gpu-1:8000/metrics", **changed})


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.prom").read_text()


def read(text: str, at: float = 0.0, **changed: Any) -> Reading:
    return reading_of(read_exposition(text), a_lane(**changed), at)


def changed(text: str, **values: str) -> str:
    """``text`` with other values of the lines that begin as the keys' texts."""
    lines = text.splitlines()
    for begin, value in values.items():
        lines = [f"{line.rsplit(' ', 1)[0]} {value}" if line.startswith(begin) else line for line in lines]
    return "\n".join(lines) + "\n"


def test_vllm_is_read_as_it_is_recorded() -> None:
    lane = measure(read(recorded("vllm")))
    assert (lane.kind, lane.running, lane.waiting, lane.replicas, lane.kv_cache) == ("vllm", 0, 0, 1, 0)
    assert (lane.generated, lane.ttft_p95, lane.prefix_hits) == (None, None, None)


def test_two_engines_of_vllm_are_one_lane() -> None:
    lane = measure(read(recorded("vllm_two_engines")))
    assert (lane.running, lane.waiting, lane.replicas, lane.batch, lane.kv_cache) == (8, 2, 2, 4, 0.45)


def test_rates_and_quantiles_of_vllm_are_of_what_happened_between_two_readings() -> None:
    before = recorded("vllm")
    after = before
    for name, value in {
        f"vllm:generation_tokens_total{{{OPT}}}": "1007.0",
        f"vllm:prompt_tokens_total{{{OPT}}}": "505.0",
        f"vllm:prefix_cache_queries_total{{{OPT}}}": "317.0",
        f"vllm:prefix_cache_hits_total{{{OPT}}}": "214.0",
        "process_cpu_seconds_total": "15.95",
        # Ten requests since: eight within 0.1 to 0.25 s, two within 0.25 to 0.5 s.
        'vllm:time_to_first_token_seconds_bucket{le="0.25"': "8.0",
    }.items():
        after = changed(after, **{name: value})
    for bound in ("0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "+Inf"):
        after = changed(after, **{f'vllm:time_to_first_token_seconds_bucket{{le="{bound}"': "11.0"})
    lane = measure(read(after, 10.0), read(before, 0.0))
    assert (lane.generated, lane.prompted, lane.seconds) == (100.0, 50.0, 10.0)
    assert lane.prefix_hits == 0.75
    assert lane.cores == pytest.approx(0.5)
    assert lane.ttft_p50 == pytest.approx(0.1 + 0.15 * 5 / 8)
    assert lane.ttft_p95 == pytest.approx(0.25 + 0.25 * 1.5 / 2)


def test_the_older_engines_names_are_read_where_there_are_no_newer() -> None:
    old = "\n".join(line for line in recorded("vllm").splitlines() if "kv_cache_usage_perc" not in line)
    assert measure(read(changed(old, **{"vllm:gpu_cache_usage_perc": "0.5"}))).kv_cache == 0.5


def test_the_newer_name_is_believed_where_there_are_both() -> None:
    both = changed(recorded("vllm"), **{"vllm:gpu_cache_usage_perc": "0.5", "vllm:kv_cache_usage_perc": "0.25"})
    assert measure(read(both)).kv_cache == 0.25


@pytest.mark.parametrize("prefix", ["ray_vllm:", "ray_vllm_"])
def test_vllm_within_ray_has_other_names(prefix: str) -> None:
    lane = measure(read(recorded("vllm_two_engines").replace("vllm:", prefix)))
    assert (lane.kind, lane.running, lane.waiting) == ("vllm", 8, 2)


def test_only_the_lanes_model_counts() -> None:
    text = recorded("vllm_two_engines").replace(
        'engine="1",model_name="Qwen/Qwen3-4B-Instruct-2507"', 'engine="1",model_name="other"'
    )
    lane = measure(read(text, model="other"))
    assert (lane.running, lane.waiting, lane.kv_cache) == (3, 0, 0.32)


def test_a_model_the_server_does_not_have_is_told_so() -> None:
    with pytest.raises(ScrapeError, match="the metrics tell nothing of model 'gpt-9'"):
        read(recorded("vllm"), model="gpt-9")


def test_ray_serve_is_read_as_it_is_recorded() -> None:
    busy, idle = recorded("ray_serve_busy"), recorded("ray_serve_idle")
    lane = measure(read(busy, application="llm", deployment="Chat"))
    assert (lane.kind, lane.running, lane.waiting, lane.replicas, lane.batch) == ("ray", 3, 2, 2, 1.5)
    assert lane.cores is not None and lane.cores > 0
    later = measure(read(idle, 44.0, application="llm"), read(busy, 0.0, application="llm"))
    assert later.waiting == 0
    # The requests waited for two replicas with two places each, 0.8 s a request: seconds, not milliseconds.
    assert later.e2e_p99 is not None and 5.0 < later.e2e_p99 < 60.0


def test_a_deployment_of_ray_has_the_time_in_its_replicas() -> None:
    first, idle = recorded("ray_serve_first"), recorded("ray_serve_idle")
    lane = measure(read(idle, 44.0, deployment="Chat"), read(first, 0.0, deployment="Chat"))
    assert lane.e2e_p50 == pytest.approx(0.8, abs=0.3)


def test_a_deployment_ray_does_not_have_is_told_so() -> None:
    with pytest.raises(ScrapeError, match="tell nothing of application 'llm' deployment 'Other'"):
        read(recorded("ray_serve_busy"), application="llm", deployment="Other")


def test_llama_cpp_is_read_as_it_is_recorded() -> None:
    text = recorded("llama_server")
    lane = measure(read(text))
    assert (lane.kind, lane.running, lane.waiting, lane.generated, lane.kv_cache) == ("llamacpp", 0, 0, 23.2458, None)
    later = changed(text, **{"llamacpp:tokens_predicted_total": "11011", "llamacpp:requests_deferred": "3"})
    lane = measure(read(later, 10.0), read(text, 0.0))
    assert (lane.generated, lane.waiting) == (10.0, 3)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<html><body>502</body></html>", "no Prometheus exposition"),
        ('vllm:num_requests_running{engine="0" 5', "no Prometheus exposition"),
        ("vllm:num_requests_running many", "no Prometheus exposition"),
        ("", "of no server that is known"),
        ("python_info 1\n", "of no server that is known"),
    ],
)
def test_what_is_no_exposition_of_a_server_is_told_so(text: str, what: str) -> None:
    with pytest.raises(ScrapeError, match=what):
        read(text)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-5", "1e308"])
def test_a_value_that_cannot_be_counts_as_not_there(value: str) -> None:
    text = changed(recorded("vllm"), **{"vllm:kv_cache_usage_perc": value, "vllm:gpu_cache_usage_perc": value})
    assert measure(read(text)).kv_cache is None


def buckets(*counts: tuple[float, float]) -> dict[float, float]:
    return dict(counts)


EVEN = buckets((1.0, 10), (2.0, 20), (math.inf, 20))


@pytest.mark.parametrize(
    ("share", "found", "value"),
    [
        (0.5, EVEN, 1.0),
        (0.75, EVEN, 1.5),
        (0.25, EVEN, 0.5),
        (0.99, buckets((1.0, 1), (math.inf, 100)), 1.0),
        (0.5, buckets((1.0, 0), (2.0, 10), (4.0, 10), (math.inf, 10)), 1.5),
        (0.5, buckets((1.0, 0), (math.inf, 0)), None),
        (0.5, buckets((math.inf, 5)), None),
        (0.5, buckets((1.0, 5), (2.0, 5)), None),
        (0.5, {}, None),
        # A bucket behind the one before it, as a scrape in the middle of an observation leaves it.
        (0.9, buckets((1.0, 10), (2.0, 9), (math.inf, 10)), 0.9),
    ],
)
def test_a_quantile_is_that_of_prometheus(share: float, found: dict[float, float], value: float | None) -> None:
    assert quantile(share, found) == (value if value is None else pytest.approx(value))


def a_reading(at: float, generated: dict[str, float], **histogram: dict[float, float]) -> Reading:
    series = {(("engine", name),): value for name, value in generated.items()}
    whole = {(("engine", name),): found for name, found in histogram.items()}
    return Reading("vllm", at, 1.0, 0.0, 1, generated=series, whole=whole)


def test_an_engine_that_started_anew_counts_from_nothing() -> None:
    before = a_reading(0.0, {"0": 1000.0, "1": 500.0}, a={1.0: 90, math.inf: 90})
    after = a_reading(10.0, {"0": 30.0, "1": 600.0}, a={1.0: 0, 2.0: 4, math.inf: 4})
    lane = measure(after, before)
    assert lane.generated == 13.0
    assert (lane.requests, lane.e2e_p50) == (0.4, 1.5)


def test_an_engine_that_is_new_counts_from_its_second_reading() -> None:
    lane = measure(a_reading(10.0, {"0": 100.0, "1": 99_999.0}), a_reading(0.0, {"0": 0.0}))
    assert lane.generated == 10.0


def test_without_requests_between_two_readings_there_are_no_times() -> None:
    same = {1.0: 5.0, math.inf: 5.0}
    lane = measure(a_reading(10.0, {}, a=same), a_reading(0.0, {}, a=same))
    assert (lane.e2e_p99, lane.requests) == (None, 0.0)


BUSY = Lane("vllm", 8, 2, 2, 4, 0.45, ttft_p95=0.6, e2e_p99=12.0, seconds=60.0)


def test_a_lane_within_its_bounds_is_ok() -> None:
    assert judge(BUSY, Slo(ttft_p95=1.0, e2e_p99=20.0, queue=5, kv_cache=0.9)) == OK


def test_a_lane_without_bounds_is_ok_when_it_answers() -> None:
    assert judge(BUSY, Slo()) == OK


def test_every_bound_that_is_not_kept_is_told() -> None:
    verdict = judge(BUSY, Slo(ttft_p95=0.5, queue=1))
    assert verdict.state == "alert"
    assert verdict.why == (
        "the time to the first token (p95) is 0.6 s, more than 0.5 s",
        "the queue is 2 requests, more than 1 requests",
    )


def test_a_lane_that_does_not_answer_is_unknown_never_fine() -> None:
    assert judge(None, Slo(), trouble="it does not answer") == Verdict("unknown", ("it does not answer",))


def test_a_time_is_unknown_before_the_second_look() -> None:
    lane = replace(BUSY, ttft_p95=None, seconds=0.0)
    assert judge(lane, Slo(ttft_p95=1.0)).why == (
        "the time to the first token (p95) is not known before the second look",
    )


def test_a_time_that_is_missing_because_nothing_was_asked_is_fine() -> None:
    assert judge(replace(BUSY, ttft_p95=None), Slo(ttft_p95=1.0)) == OK


@pytest.mark.parametrize("slo", [Slo(ttft_p95=1.0), Slo(kv_cache=0.9)])
def test_a_bound_on_what_the_server_never_tells_is_unknown(slo: Slo) -> None:
    verdict = judge(Lane("llamacpp", 1, 0, 1, seconds=60.0), slo)
    assert verdict.state == "unknown" and "not told by the server" in verdict.why[0]


@pytest.mark.parametrize(
    ("lane", "scaling", "desired", "why"),
    [
        (BUSY, Scaling(1, 8, requests=4), 3, "10 requests run or wait, 4 to a replica"),
        (BUSY, Scaling(1, 2, requests=1), 2, "that would be 10, 2 are allowed"),
        (BUSY, Scaling(3, 8, requests=10), 3, "at least 3 are kept"),
        (replace(BUSY, kv_cache=0.95), Scaling(1, 8, requests=100, kv_cache=0.6), 4, "KV cache is 95% full"),
        (replace(BUSY, kv_cache=0.82), Scaling(1, 8, requests=100, kv_cache=0.8), 1, "10 requests run or wait"),
        (replace(BUSY, running=0.0, waiting=0.0, kv_cache=0.0), Scaling(0, 8), 0, "0 requests run or wait"),
    ],
)
def test_the_wish_follows_requests_and_cache(lane: Lane, scaling: Scaling, desired: int, why: str) -> None:
    signal = scale(lane, scaling, OK)
    assert signal.desired == desired
    assert why in signal.why


def test_a_lane_that_does_not_keep_a_bound_wants_one_more() -> None:
    signal = scale(BUSY, Scaling(1, 8, requests=100), Verdict("alert", ("it is slow",)))
    assert (signal.desired, signal.why) == (3, "it is slow")


def test_nothing_is_wished_of_what_is_not_known() -> None:
    signal = scale(None, Scaling(), Verdict("unknown", ("it does not answer",)))
    assert (signal.desired, signal.why) == (None, "it does not answer")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"url": "gpu-1:8000/metrics"}, "is no http or https URL"),
        ({"url": "http://me:secret@gpu-1/metrics"}, "holds a user name or a password"),
        ({"scaling": Scaling(3, 2)}, "it is to have 3 to 2 replicas"),
        ({"scaling": Scaling(requests=0)}, "must be above 0"),
        ({"interval": 60.0, "stale": 10.0}, "`stale` not less than `interval`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError) as refused:
        a_lane(**settings)
    assert what in str(refused.value) and "secret" not in str(refused.value)

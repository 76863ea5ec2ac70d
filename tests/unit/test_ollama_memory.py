"""What a model needs, what there is, and whether the one goes into the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro.llm.ollama import memory as looking
from maestro.llm.ollama.facts import LoadedModel, ModelFacts, facts_of, nearest, same_name
from maestro.llm.ollama.fit import Fit, choose, fit
from maestro.llm.ollama.memory import Gpu, Memory, memory_now
from maestro.llm.ollama.need import need_of

GIB = 1024**3
QWEN3_8B = ModelFacts(
    "qwen3:8b", parameters=8_190_735_360, quantization="Q4_K_M", context=40_960, layers=36, kv_heads=288, head_size=256
)
NEED = need_of(QWEN3_8B, size=5_225_388_164)
LITTLE = Memory(4 * GIB, 2 * GIB)
ENOUGH = Memory(16 * GIB, 12 * GIB)


def a_gpu(free: int) -> Memory:
    return Memory(32 * GIB, 24 * GIB, (Gpu("RTX", 24 * GIB, free),))


def loaded(name: str, size: int, vram: int = 0, context: int = 4096) -> LoadedModel:
    return LoadedModel(name, size, vram, context)


def test_the_cache_of_keys_and_values_grows_with_the_context() -> None:
    # Qwen3 8B: 36 layers, 8 heads of 128 + 128 numbers of two bytes each: 144 KiB a token.
    assert need_of(QWEN3_8B, context=8192).cache == 8192 * 144 * 1024


def test_nothing_is_loaded_for_more_tokens_than_the_model_was_made_for() -> None:
    assert need_of(QWEN3_8B, context=1_000_000).context == 40_960


def test_weights_without_a_file_size_come_from_number_and_quantization() -> None:
    reckoned = need_of(QWEN3_8B).weights
    assert abs(reckoned - 5_225_388_164) < 0.06 * 5_225_388_164


def test_an_unknown_quantization_counts_as_two_bytes_a_weight() -> None:
    assert need_of(replace(QWEN3_8B, quantization="Q1_NEW")).weights == 2 * QWEN3_8B.parameters


def test_the_facts_are_read_from_what_ollama_shows() -> None:
    shown = {
        "details": {"parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
        "parameters": 'num_ctx                        8192\nstop                           "<|im_end|>"',
        "capabilities": ["completion", "thinking"],
        "model_info": {
            "general.architecture": "llama",
            "general.parameter_count": 8_030_261_248,
            "llama.attention.head_count": 32,
            "llama.attention.head_count_kv": 8,
            "llama.block_count": 32,
            "llama.context_length": 8192,
            "llama.embedding_length": 4096,
        },
    }
    facts = facts_of("llama3", shown)
    assert (facts.kv_heads, facts.head_size, facts.default_context) == (256, 256, 8192)
    assert facts.capabilities == {"completion", "thinking"}


def test_heads_may_be_given_for_each_layer() -> None:
    info = {"general.architecture": "x", "x.block_count": 3, "x.attention.head_count_kv": [4, 0, 8]}
    assert facts_of("x", {"model_info": info}).kv_heads == 12


def test_nonsense_in_the_facts_counts_as_not_said() -> None:
    info = {"general.architecture": "x", "x.block_count": "many", "general.parameter_count": -5}
    facts = facts_of("x", {"model_info": info, "details": {"parameter_size": "manyB"}})
    assert (facts.parameters, facts.layers) == (0, 0)


def test_a_model_that_goes_in_runs_on_the_cpu_where_there_is_no_gpu() -> None:
    verdict = fit(NEED, ENOUGH)
    assert (verdict.place, verdict.unload) == ("cpu", ())
    assert "qwen3:8b needs about 6.2 GiB for 4,096 tokens of context, 12.0 GiB of memory are free" in verdict.why


def test_a_model_that_does_not_go_in_is_refused_with_both_numbers() -> None:
    verdict = fit(NEED, LITTLE)
    assert not verdict.fits
    assert verdict.why == "qwen3:8b needs about 6.2 GiB for 4,096 tokens of context, 2.0 GiB of memory are free"


def test_a_limit_of_a_cgroup_is_named() -> None:
    assert "under the cgroup's limit" in fit(NEED, replace(LITTLE, limited=True)).why


def test_it_runs_on_the_gpu_when_all_of_it_goes_there() -> None:
    assert fit(NEED, a_gpu(8 * GIB)).place == "gpu"


def test_it_runs_partly_on_the_gpu_when_only_some_of_it_goes_there() -> None:
    assert fit(NEED, a_gpu(3 * GIB)).place == "partly"


def test_one_model_at_a_time_when_memory_does_not_hold_two() -> None:
    verdict = fit(NEED, Memory(8 * GIB, 2 * GIB), [loaded("llama3:latest", 6 * GIB)])
    assert (verdict.place, verdict.unload) == ("cpu", ("llama3:latest",))
    assert "llama3:latest would have to be unloaded" in verdict.why


def test_both_stay_when_memory_holds_both() -> None:
    assert fit(NEED, ENOUGH, [loaded("llama3:latest", 6 * GIB)]).unload == ()


def test_another_leaves_the_gpu_when_that_makes_room_for_all_of_it() -> None:
    verdict = fit(NEED, a_gpu(2 * GIB), [loaded("llama3:latest", 8 * GIB, 8 * GIB)])
    assert (verdict.place, verdict.unload) == ("gpu", ("llama3:latest",))


def test_another_stays_on_the_gpu_when_its_leaving_would_not_be_enough() -> None:
    verdict = fit(NEED, a_gpu(2 * GIB), [loaded("tiny:latest", GIB, GIB)])
    assert (verdict.place, verdict.unload) == ("partly", ())


def test_it_is_refused_when_even_unloading_all_others_is_not_enough() -> None:
    verdict = fit(NEED, Memory(6 * GIB, GIB), [loaded("llama3:latest", 2 * GIB)])
    assert not verdict.fits
    assert "even with llama3:latest unloaded" in verdict.why


def test_a_loaded_model_fits_whatever_is_free() -> None:
    assert fit(NEED, LITTLE, [loaded("qwen3:8b", 6 * GIB, 3 * GIB)]).why == "qwen3:8b is loaded, 50% of it on a GPU"


def test_a_model_loaded_for_less_context_is_reckoned_anew_without_what_it_holds() -> None:
    longer = need_of(QWEN3_8B, size=5_225_388_164, context=8192)
    assert fit(longer, Memory(8 * GIB, GIB), [loaded("qwen3:8b", 6 * GIB)]).place == "cpu"
    assert not fit(longer, Memory(8 * GIB, GIB // 8), [loaded("qwen3:8b", 6 * GIB)]).fits


def test_nothing_speaks_against_a_model_on_a_machine_that_cannot_be_seen() -> None:
    assert fit(NEED, None).fits


@pytest.mark.parametrize(("size", "vram", "ratio"), [(100, 100, 1.0), (100, 25, 0.25), (100, 0, 0.0), (0, 0, 0.0)])
def test_the_offload_ratio_is_what_lies_in_gpu_memory(size: int, vram: int, ratio: float) -> None:
    assert loaded("x", size, vram).offload == ratio


def on(place: Any, name: str = "x") -> Fit:
    return Fit(name, place, f"{name} {place}")


def test_the_first_that_goes_wholly_onto_the_gpu_is_chosen() -> None:
    fits = {"big": on("partly", "big"), "small": on("gpu", "small")}
    assert choose(["big", "small"], ["big:latest", "small:latest"], fits).model == "small"


def test_without_a_gpu_the_first_that_fits_is_chosen() -> None:
    fits = {"huge": on("nowhere", "huge"), "big": on("cpu", "big"), "small": on("cpu", "small")}
    choice = choose(["huge", "big", "small"], ["huge:latest", "big:latest", "small:latest"], fits)
    assert (choice.model, dict(choice.skipped)) == ("big", {"huge": "huge nowhere"})


def test_nothing_is_chosen_from_what_is_not_there() -> None:
    choice = choose(["qwen3:8b"], ["llama3:latest"], {})
    assert (choice.model, choice.why) == (None, "qwen3:8b is not present")


def test_a_name_without_a_tag_means_latest_and_case_does_not_matter() -> None:
    assert same_name("Llama3", "llama3:latest")
    assert not same_name("llama3", "llama3:8b")
    assert same_name("host:5000/me/llama3", "host:5000/me/llama3:latest")


def test_models_of_the_same_family_are_the_nearest() -> None:
    assert nearest("qwen3:8b", ["llama3:latest", "qwen3:1.7b", "qwen2.5:7b"])[0] == "qwen3:1.7b"
    assert nearest("lama3", ["llama3:latest", "mistral:7b"]) == ("llama3:latest",)
    assert nearest("qwen3:8b", ["mistral:latest"]) == ()


def a_cgroup(tmp_path: Path, limit: str, current: int, inactive: int = 0, inside: str = "/app/inner") -> Memory:
    cgroups, proc = tmp_path / "cgroup", tmp_path / "proc"
    outer = cgroups / "app"
    (outer / "inner").mkdir(parents=True)
    (outer / "memory.max").write_text(f"{limit}\n")
    (outer / "memory.current").write_text(f"{current}\n")
    (outer / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")
    (outer / "inner" / "memory.max").write_text("max\n")
    (outer / "inner" / "memory.current").write_text("1\n")
    for process in ("self",):
        (proc / process).mkdir(parents=True)
        (proc / process / "cgroup").write_text(f"0::{inside}\n")
    return memory_now(cgroups=cgroups, proc=proc)


@pytest.fixture(autouse=True)
def no_ollama_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_server", lambda: None)


def test_the_limit_of_a_cgroup_above_counts_and_droppable_pages_do_not(tmp_path: Path) -> None:
    found = a_cgroup(tmp_path, str(64 * 1024**2), 48 * 1024**2, 16 * 1024**2)
    assert (found.total, found.available, found.limited) == (64 * 1024**2, 32 * 1024**2, True)


def test_without_a_limit_the_host_is_what_there_is(tmp_path: Path) -> None:
    assert not a_cgroup(tmp_path, "max", 5).limited


def test_a_path_that_leads_out_of_a_container_is_read_from_the_top(tmp_path: Path) -> None:
    assert a_cgroup(tmp_path, str(64 * 1024**2), 0, inside="/../../app/inner").limited


def test_without_cgroups_the_host_is_what_there_is(tmp_path: Path) -> None:
    found = memory_now(cgroups=tmp_path / "none", proc=tmp_path / "none")
    assert found.total > 0 and not found.limited


def test_looking_at_gpus_raises_nothing_on_any_machine() -> None:
    assert all(one.total >= one.free >= 0 for one in looking.gpus_now())

"""The functions policies may call: each works, and none reads what is not in the input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maestro.policy import decide, load_bundle, open_engine
from maestro.policy.builtins import ALLOWED

SAMPLES: dict[str, str] = json.loads((Path(__file__).parent / "policy_builtins.json").read_text())


def test_there_is_a_sample_of_each_function() -> None:
    assert set(SAMPLES) == ALLOWED


def test_none_reads_the_clock_the_network_the_environment_or_chance() -> None:
    assert not {"time.now_ns", "http.send", "opa.runtime", "rand.intn", "uuid.rfc4122", "net.lookup_ip_addr"} & ALLOWED


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_it_can_be_called(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.rego").write_text(
        f'package maestro.a\nvalue := {SAMPLES[name]}\nrelease := {{"allow": true, "deny": [], "value": value}}\n'
    )
    engine = open_engine(load_bundle(tmp_path), confined=False)
    assert decide(engine, "a.release", {}).error is None

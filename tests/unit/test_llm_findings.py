"""What names a deployment, so that only findings about the very same one count."""

from __future__ import annotations

import dataclasses

import pytest

from maestro.llm.findings import deployment_of
from tests.unit.llm_world import BIG


def test_the_same_endpoint_model_and_key_are_one_deployment() -> None:
    assert deployment_of(BIG, "sk-one") == deployment_of(dataclasses.replace(BIG, quality=0.1), "sk-one")
    assert deployment_of(BIG, "sk-one").startswith("big@")


def test_another_key_endpoint_or_model_is_another_deployment() -> None:
    moved = dataclasses.replace(BIG, api_base="http://gpu-2:8000/v1")
    other = dataclasses.replace(BIG, wire_model="other")
    names = [deployment_of(BIG, "sk-one"), deployment_of(BIG, "sk-two"), deployment_of(BIG, None)]
    names += [deployment_of(moved, "sk-one"), deployment_of(other, "sk-one")]
    assert len(set(names)) == 5
    assert not any("sk-one" in name for name in names)


@pytest.mark.parametrize(
    ("api_base", "alike"), [("http://localhost:1/v1", False), ("http://127.0.0.2:1", False), ("http://gpu:1", True)]
)
def test_an_address_of_the_own_machine_is_another_one_elsewhere(
    monkeypatch: pytest.MonkeyPatch, api_base: str, alike: bool
) -> None:
    # The port keeps what is remembered of other tests apart.
    names = []
    for host in ("one", "two"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        names.append(deployment_of(dataclasses.replace(BIG, wire_model="here", api_base=api_base), None))
    assert (names[0] == names[1]) is alike

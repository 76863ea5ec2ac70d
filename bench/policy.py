"""Time of one decision: thirty rules, an input of one kilobyte; in process, in a child, and by an OPA server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import Figure, at_most
from maestro.policy import Bundle, PolicyEngine, decide, load_bundle, open_engine
from maestro.policy.bundle_building import bundle_bytes

RULES = 30
_POLICY = "bench.release"
_HEAD = """package maestro.bench

release := {"allow": allow, "deny": deny, "warn": []}

default allow := false

allow if count(deny) == 0
"""
_RULE = """
deny contains {{
	"rule": "field_{n}", "message": sprintf("%s is %v, not below %v", [item.name, item.value, {n} + 1000]),
	"object": item.name, "actual": sprintf("%v", [item.value]), "allowed": "{n}",
	"fix": sprintf("lower %s", [item.name]),
}} if {{
	some item in input.items
	item.kind == "k{kind}"
	item.value > {n} + 1000
	not item.name in input.waived
}}
"""


def thirty_rules() -> str:
    """A policy with thirty deny rules, each over all items of the input."""
    return _HEAD + "".join(_RULE.format(n=number, kind=number % 5) for number in range(RULES))


def one_kilobyte() -> dict[str, Any]:
    """An input of about 1 KB as canonical JSON."""
    items = [{"name": f"item-{number:03}", "kind": f"k{number % 5}", "value": number} for number in range(20)]
    return {"project": "bench", "environment": "production", "waived": ["item-001"], "items": items}


def decision_times(*, quick: bool = False) -> dict[str, float | None]:
    """p50 and p99 in milliseconds: in process, in a child (``confined``), by OPA (None where there is none)."""
    times = 200 if quick else 2000
    found: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench.rego").write_text(thirty_rules())
        bundle = load_bundle(folder)
        for key, confined in (("decision", False), ("decision_confined", True)):
            engine = open_engine(bundle, confined=confined)
            found |= _measured(key, engine, times)
            engine.close()
        opa = shutil.which("opa")
        if opa is None:
            return found | {"decision_opa_p50_ms": None, "decision_opa_p99_ms": None}
        with _opa(opa, bundle, folder) as url:
            engine = open_engine(bundle, opa_url=url, timeout=10)
            found |= _measured("decision_opa", engine, times)
            engine.close()
    return found


def figures(*, quick: bool = False) -> list[Figure]:
    """What ``python -m bench evidence`` shows of policy."""
    found = decision_times(quick=quick)
    where = {"decision": "in process", "decision_confined": "in a child", "decision_opa": "by an OPA server"}
    shown = [
        at_most("decision_p99_ms", found["decision_p99_ms"], 2, "ms", f"{RULES} rules, 1 KB input, in process, p99"),
    ]
    for key, value in found.items():
        if key != "decision_p99_ms":
            name, _, rest = key.rpartition("_p")
            about = f"{where[name]}, p{rest.removesuffix('_ms')}"
            shown.append(Figure(key, None if value is None else round(value, 4), "ms", about))
    return shown


def measure(*, quick: bool) -> list[Figure]:
    """For ``python -m bench policy``."""
    return figures(quick=quick)


def _measured(key: str, engine: PolicyEngine, times: int) -> dict[str, float]:
    document = one_kilobyte()
    spent = []
    for number in range(times + 50):
        document["environment"] = f"production-{number}"
        began = time.perf_counter()
        decision = decide(engine, _POLICY, document)
        spent.append(1000 * (time.perf_counter() - began))
        if not decision.allow:
            raise RuntimeError(f"{key}: {decision.error or decision.reasons}")
    # The first ones start processes, connections and caches.
    ordered = sorted(spent[50:])
    return {f"{key}_p50_ms": ordered[len(ordered) // 2], f"{key}_p99_ms": ordered[int(len(ordered) * 0.99)]}


@contextmanager
def _opa(opa: str, bundle: Bundle, folder: Path) -> Iterator[str]:
    import httpx

    archive = folder / "bundle.tar.gz"
    archive.write_bytes(bundle_bytes(bundle))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    argv = [opa, "run", "--server", "--addr", address, "--disable-telemetry", "--log-level", "error", "--bundle"]
    server = subprocess.Popen([*argv, str(archive)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=10), trust_env=False) as client:
            client.get(f"http://{address}/health", params={"bundles": "true"}).raise_for_status()
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    print(json.dumps(decision_times()))

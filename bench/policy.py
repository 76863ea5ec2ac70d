"""Time of one decision: thirty rules, an input of one kilobyte; in process, in a child, and by an OPA server."""

from __future__ import annotations

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
_ABOUT = f"{RULES} rules, 1 KB input"
_WARM = 50
"""Decisions that do not count: they start processes, connections and caches."""
_INTEROP = Path(__file__).resolve().parents[1] / ".cache" / "interop" / "bin"
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


def measure(*, quick: bool) -> list[Figure]:
    """In process, in the child that evaluates everybody else's policies, and by an OPA server when there is one."""
    return [*in_process(quick=quick), *in_a_child(quick=quick), *by_opa(quick=quick)]


def in_process(*, quick: bool) -> list[Figure]:
    """From the input document to the decision, in this process, as for the policies Maestro ships."""
    with _bundle() as bundle:
        p50, p99 = _times(open_engine(bundle, confined=False), quick)
    about = f"a decision in process, {_ABOUT}"
    return [
        Figure("decision_p50_ms", p50, "ms", f"{about}, median"),
        at_most("decision_p99_ms", p99, 2, "ms", f"{about}, p99 of {_count(quick):,}"),
    ]


def in_a_child(*, quick: bool) -> list[Figure]:
    """The same in a child process, as for every other bundle."""
    with _bundle() as bundle:
        p50, p99 = _times(open_engine(bundle, confined=True), quick)
    return [
        Figure("confined_p50_ms", p50, "ms", "the same in a child process, median"),
        at_most("confined_p99_ms", p99, 2, "ms", "the same in a child process, p99"),
    ]


def by_opa(*, quick: bool) -> list[Figure]:
    """The same by an OPA server on this machine; nothing where there is no ``opa``."""
    opa = opa_program()
    if opa is None:
        return []
    with _bundle() as bundle, _opa(opa, bundle) as url:
        p50, p99 = _times(open_engine(bundle, opa_url=url, timeout=10), quick)
    return [
        Figure("opa_http_p50_ms", p50, "ms", "the same decision by an OPA server over HTTP, median"),
        Figure("opa_http_p99_ms", p99, "ms", "the same decision by an OPA server over HTTP, p99"),
    ]


def opa_program() -> str | None:
    """``opa`` on the path, or where ``scripts/interop`` puts it."""
    return shutil.which("opa") or shutil.which(str(_INTEROP / "opa"))


@contextmanager
def _bundle() -> Iterator[Bundle]:
    with tempfile.TemporaryDirectory(prefix="bench-policy-") as folder:
        Path(folder, "bench.rego").write_text(thirty_rules())
        yield load_bundle(Path(folder))


def _count(quick: bool) -> int:
    return 200 if quick else 5000


def _times(engine: PolicyEngine, quick: bool) -> tuple[float, float]:
    """p50 and p99 in milliseconds; the engine is closed."""
    times = _count(quick)
    document = one_kilobyte()
    spent = []
    try:
        for number in range(_WARM + times):
            document["environment"] = f"production-{number}"
            began = time.perf_counter()
            decision = decide(engine, _POLICY, document)
            spent.append(1000 * (time.perf_counter() - began))
            if not decision.allow:
                raise RuntimeError(f"{engine.name}: {decision.error or decision.reasons}")
    finally:
        engine.close()
    ordered = sorted(spent[_WARM:])
    return round(ordered[times // 2], 4), round(ordered[int(times * 0.99)], 4)


@contextmanager
def _opa(opa: str, bundle: Bundle) -> Iterator[str]:
    import httpx

    with tempfile.TemporaryDirectory(prefix="bench-opa-") as folder, socket.socket() as probe:
        archive = Path(folder, "bundle.tar.gz")
        archive.write_bytes(bundle_bytes(bundle))
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        argv = [opa, "run", "--server", "--addr", address, "--disable-telemetry", "--log-level", "error", "--bundle"]
        server = subprocess.Popen([*argv, str(archive)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=10), trust_env=False) as client:
                client.get(f"http://{address}/health", params={"bundles": "true"}).raise_for_status()
            yield f"http://{address}"
        finally:
            server.terminate()
            server.wait(10)

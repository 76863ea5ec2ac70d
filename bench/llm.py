"""The gateway to models: what it adds to a call, beside litellm's proxy; a decision; a reservation; memory."""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.llm_calls import AT_ONCE, WHO, models_yaml
from bench.processes import program, until
from bench.report import Figure, at_most
from maestro.ledger.model import Unit
from maestro.ledger.store import Ledger
from maestro.llm.catalogue import load_catalogue
from maestro.llm.decide import decide
from maestro.llm.model import Message, ModelRequest
from maestro.llm.state import Latency, State
from maestro.llm.tokens import count

LITELLM = "litellm[proxy]==1.101.6"
CANDIDATES = 20
_WORKFLOW = "name: bench\nproject: bench\nstages: [{name: work, steps: [{run: shell, with: {command: 'true'}}]}]\n"
_ROOT = Path(__file__).resolve().parents[1]
_PROXY = _ROOT / ".cache" / "bench" / "litellm"
_MAESTRO = Path(sys.executable).with_name("maestro")


def measure(*, quick: bool) -> list[Figure]:
    """Everything over HTTP asks one backend, which answers at once."""
    with tempfile.TemporaryDirectory(prefix="bench-llm-") as name, _backend(Path(name)) as url:
        times = _calls("latency", url, 200 if quick else 2000)
        many = _calls("concurrent", url, 1000 if quick else 5000)
        memory = _calls("memory", url, 1000 if quick else 20_000)
        rates = _rates(Path(name), url, quick=quick)
    ours, proxy = rates
    ratio = ours / proxy if ours and proxy else None
    return [
        at_most("added_p50_ms", times["gateway_ms"] - times["direct_ms"], 3, "ms", "added to a direct call, 1 caller"),
        Figure("direct_p50_ms", round(times["direct_ms"], 3), "ms", "a direct call with httpx, the same backend"),
        Figure(
            "added_p50_ms_50",
            round(many["gateway_ms"] - many["direct_ms"], 3),
            "ms",
            f"added to a direct call, {AT_ONCE} callers in one process",
        ),
        Figure("direct_p50_ms_50", round(many["direct_ms"], 3), "ms", f"a direct call, {AT_ONCE} callers"),
        Figure(
            "throughput_ratio_to_proxy",
            None if ratio is None else round(ratio, 3),
            "",
            f"calls a second through `maestro llm serve`, over those through litellm's proxy, {AT_ONCE} callers",
            ">= 2",
            None if ratio is None else ratio >= 2,
        ),
        Figure("endpoint_per_s", ours and round(ours, 1), "/s", "`maestro llm serve`: with ledger and decisions"),
        Figure("proxy_per_s", proxy and round(proxy, 1), "/s", f"{LITELLM}, one worker, without a database"),
        Figure("library_per_s", round(memory["calls_per_s"], 1), "/s", f"as a library, {AT_ONCE} callers"),
        at_most("decision_us", _decision(quick=quick), 100, "µs", f"a decision among {CANDIDATES} candidates, median"),
        at_most("reserve_settle_ms", _reserve_settle(quick=quick), 5, "ms", "reserve and settle, SQLite, median"),
        at_most("rss_growth_mb", memory["growth_mb"], 10, "MB", f"over {1000 if quick else 20_000:,} calls"),
    ]


def _calls(what: str, url: str, calls: int) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.llm_calls", what, url, str(calls)]
    done = subprocess.run(argv, cwd=_ROOT, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _rates(folder: Path, url: str, *, quick: bool) -> tuple[float | None, float | None]:
    """Calls a second through our endpoint and through the proxy, taking turns; the medians of three."""
    calls, rounds = (300, 1) if quick else (3000, 3)
    with _endpoint(folder, url) as ours, _proxy(folder, url) as proxy:
        places = [place for place in (ours, proxy) if place is not None]
        for port, key in places:
            _load(port, key, 200)
        found: list[list[float]] = [[] for _ in places]
        for _ in range(rounds):
            for place, (port, key) in enumerate(places):
                found[place].append(_load(port, key, calls))
    medians = [statistics.median(rates) for rates in found]
    return medians[0], medians[1] if proxy is not None else None


def _load(port: int, key: str, calls: int) -> float:
    asked = json.dumps({"port": port, "key": key, "connections": AT_ONCE, "calls": calls})
    done = subprocess.run(
        [sys.executable, "-m", "bench.llm_load"], input=asked, cwd=_ROOT, env=_environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the load came to an end: {done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    return float(said["answered"] / said["seconds"])


@contextmanager
def _backend(folder: Path) -> Iterator[str]:
    port = _free_port()
    with program(["-m", "bench.llm_backend", str(port)], folder):
        until(lambda: _listens(port), "the backend listens", 20)
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _endpoint(folder: Path, url: str) -> Iterator[tuple[int, str]]:
    """``maestro llm serve`` in a project of its own: its port and a token."""
    project = folder / "project"
    project.mkdir()
    (project / "maestro.yaml").write_text(_WORKFLOW, encoding="utf-8")
    (project / "models.yaml").write_text(models_yaml(url), encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    add = [str(_MAESTRO), "llm", "tokens", "add", "bench", "--at-once", "1000", "--json"]
    made = subprocess.run(add, cwd=project, env=_environment(), capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"no token: {made.stderr}")
    port = _free_port()
    argv = ["-m", "maestro.cli", "llm", "serve", "--port", str(port)]
    with program(argv, project):
        until(lambda: _listens(port), "the endpoint listens", 30)
        yield port, _token(json.loads(made.stdout))


def _token(said: Any) -> str:
    found = re.search(r"maestro-[0-9a-f]{12}-[A-Za-z0-9_-]{43}", json.dumps(said))
    if found is None:
        raise RuntimeError("`maestro llm tokens add` showed no token")
    return found[0]


@contextmanager
def _proxy(folder: Path, url: str) -> Iterator[tuple[int, str] | None]:
    """litellm's proxy, in a virtual environment of its own; None where it cannot be had."""
    command = _proxy_command()
    if command is None:
        yield None
        return
    model = {"model": "openai/echo", "api_base": url, "api_key": "none"}  # pragma: allowlist secret
    config = folder / "litellm.yaml"
    settings = {"telemetry": False, "num_retries": 0, "set_verbose": False}
    config.write_text(
        json.dumps({"model_list": [{"model_name": "echo", "litellm_params": model}], "litellm_settings": settings})
    )
    port = _free_port()
    environment = {**_environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION",
                   "LITELLM_LOG": "ERROR"}  # fmt: skip
    argv = [str(command), "--config", str(config), "--port", str(port), "--num_workers", "1", "--host", "127.0.0.1"]
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: _healthy(port), "litellm's proxy answers", 120)
        yield port, "none"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _proxy_command() -> Path | None:
    """The program, installed when it is not there yet."""
    command = _PROXY / "bin" / "litellm"
    done = _PROXY / "installed"
    if not done.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(_PROXY)], check=True, capture_output=True)
            pip = [str(_PROXY / "bin" / "python"), "-m", "pip", "install", "--quiet", LITELLM]
            subprocess.run(pip, check=True, capture_output=True, env=_environment())
            done.touch()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"litellm's proxy cannot be installed: {error}", file=sys.stderr)
            return None
    return command


def _decision(*, quick: bool) -> float:
    """Microseconds, the median over decisions about different requests."""
    models = {
        f"m{number}": {
            "provider": "bench",
            "price": {"input": 0.1 * (number + 1), "output": 0.2},
            "context": 1000 * (number + 1),
            "quality": 0.5 + number / 100,
            "capabilities": ["chat", "code"] if number % 3 else ["chat"],
        }
        for number in range(CANDIDATES)
    }
    route = {"candidates": list(models), "objective": "cost", "min_quality": 0.55}
    provider = {"kind": "openai", "api_base": "http://127.0.0.1:1/v1", "region": "eu"}
    with tempfile.TemporaryDirectory(prefix="bench-llm-") as folder:
        file = Path(folder, "models.yaml")
        file.write_text(json.dumps({"providers": {"bench": provider}, "models": models, "routes": {"bench": route}}))
        catalogue = load_catalogue([file])
    with tempfile.TemporaryDirectory(prefix="bench-llm-") as folder, _ledger(Path(folder)) as ledger:
        ledger.reserve("r", WHO, {Unit.USD: 1000, Unit.TOKENS: 1000})
        balances = tuple(ledger.balances(WHO.scopes()))
    state = State(balances=balances, latency={name: Latency(0.5, 1.0, 50, 1) for name in models})
    spent = []
    for number in range(200 if quick else 5000):
        request = ModelRequest([Message("user", f"request {number}")], "bench", needs=frozenset({"code"}))
        tokens = count(None, request.messages)
        began = time.perf_counter()
        decision = decide(request, WHO, state, catalogue, tokens=tokens)
        spent.append(1e6 * (time.perf_counter() - began))
        if decision.chosen is None or len(decision.candidates) != CANDIDATES:
            raise RuntimeError(decision.why)
    return statistics.median(spent)


def _reserve_settle(*, quick: bool) -> float:
    """Milliseconds, the median; one caller, a limit in every second scope."""
    spent = []
    with tempfile.TemporaryDirectory(prefix="bench-llm-") as folder, _ledger(Path(folder)) as ledger:
        for scope in WHO.scopes()[::2]:
            ledger.set_limit(scope, Unit.USD, 10**15, actor="bench", reason="bench")
        for number in range(50 if quick else 1000):
            began = time.perf_counter()
            ledger.reserve(f"r{number}", WHO, {Unit.USD: 1000, Unit.TOKENS: 1000}, sent=True)
            ledger.settle(f"r{number}", {Unit.USD: 900, Unit.TOKENS: 500}, model="m", provider="p")
            spent.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent)


@contextmanager
def _ledger(folder: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        yield ledger


def _environment() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith(("MAESTRO_", "LITELLM_"))}
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    found["PYTHONPATH"] = str(_ROOT)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False

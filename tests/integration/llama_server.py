"""A real llama.cpp behind its Python server, with the tiny random model; ./scripts/models builds it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.integration.web_server import free_port

_START_SECONDS = 60.0


def llama_python() -> str:
    """The Python that has llama.cpp."""
    found = os.environ.get("MAESTRO_LLAMA_PYTHON")
    assert found, "MAESTRO_LLAMA_PYTHON is not set; run ./scripts/models"
    return found


def tiny_model(folder: Path) -> Path:
    """A new GGUF in ``folder``."""
    path = folder / "tiny.gguf"
    script = Path(__file__).with_name("tiny_gguf.py")
    subprocess.run([llama_python(), str(script), str(path)], check=True, timeout=60)
    return path


@contextmanager
def llama_server(model: Path, log: Path) -> Iterator[str]:
    """A running server's base URL, with ``/v1`` at its end."""
    port = free_port()
    arguments = ["--model", str(model), "--model_alias", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--n_ctx", "512", "--chat_format", "chatml"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [llama_python(), "-m", "llama_cpp.server", *arguments], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            base = f"http://127.0.0.1:{port}/v1"
            _wait(base, process, log)
            yield base
        finally:
            process.terminate()
            process.wait(20)


def _wait(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            if httpx.get(f"{base}/models", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-2000:])

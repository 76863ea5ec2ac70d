"""A real HTTP server that is Ollama as far as its ``/api`` goes, and fails on command.

Form of requests, answers and errors: https://github.com/ollama/ollama/blob/main/docs/api.md and the handlers of its
``server/routes.go``. A model answers with the words it was given, one a line.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any

from tests.loopback import HOST, Handler, serving

VERSION = "0.40.12"
GIB = 1024**3
AT = "2026-11-20T10:00:00.000000Z"


@dataclass
class FakeModel:
    """A model.

    Args:
        words: what it answers, a line each.
        thinks: what it thinks before, a line each.
        calls: tools it calls.
        remote: where it is really run, as with models of Ollama's cloud.
    """

    name: str
    size: int = 5 * GIB
    words: tuple[str, ...] = ("It ", "adds ", "two ", "numbers.")
    thinks: tuple[str, ...] = ()
    calls: tuple[Mapping[str, Any], ...] = ()
    context: int = 40_960
    capabilities: tuple[str, ...] = ("completion", "tools")
    parameters: str = 'stop                           "<|im_end|>"'
    layers: int = 36
    remote: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "qwen3",
            "families": ["qwen3"],
            "parameter_size": "8.2B",
            "quantization_level": "Q4_K_M",
        }

    @property
    def info(self) -> dict[str, Any]:
        return {
            "general.architecture": "qwen3",
            "general.file_type": 15,
            "general.parameter_count": 8_190_735_360,
            "qwen3.attention.head_count": 32,
            "qwen3.attention.head_count_kv": 8,
            "qwen3.attention.key_length": 128,
            "qwen3.attention.value_length": 128,
            "qwen3.block_count": self.layers,
            "qwen3.context_length": self.context,
            "qwen3.embedding_length": 4096,
            "tokenizer.ggml.merges": None,
        }


@dataclass
class Layer:
    """A layer of a model in the registry: what of it came is kept when a pull ends early."""

    digest: str
    total: int
    done: int = 0
    corrupt: bool = False


@dataclass(frozen=True)
class Trouble:
    """How an answer goes wrong.

    Args:
        status, body: in place of the answer.
        after: lines of the stream that come first; then the connection breaks, or ``line`` is sent and it ends.
        line: raw bytes.
        until: nothing more is sent before this is set.
        endless: bytes that are sent again and again until the client is gone.
        matches: path it is for.
    """

    status: int = 200
    body: bytes = b""
    after: int = 0
    line: bytes = b""
    until: threading.Event | None = None
    endless: bytes = b""
    matches: str = ""


class OllamaServer:
    """The server's state; tests look at it and change it."""

    def __init__(self) -> None:
        self.models: dict[str, FakeModel] = {}
        self.loaded: dict[str, dict[str, Any]] = {}
        self.registry: dict[str, list[Layer]] = {}
        self.troubles: deque[Trouble] = deque()
        self.requests: list[tuple[str, str, dict[str, Any], Mapping[str, str]]] = []
        self.unloaded: list[str] = []
        self.vram = 1.0
        """Share of every loaded model that is in GPU memory."""
        self.capacity = 1024 * GIB
        self.url = ""
        self.left = threading.Event()
        """Set when a client has gone in the middle of an answer."""
        self.layer_read: Callable[[Layer], None] = lambda _layer: None
        """Called at every piece of a layer that came; may wait."""

    def add(self, model: FakeModel) -> FakeModel:
        self.models[model.name] = model
        return model

    def load(self, model: FakeModel, context: int = 4096) -> None:
        self.loaded[model.name] = {
            "name": model.name,
            "model": model.name,
            "size": model.size,
            "digest": model.digest,
            "details": model.details,
            "expires_at": "2318-11-20T10:05:00Z",
            "size_vram": int(model.size * self.vram),
            "context_length": context,
        }

    def find(self, name: str) -> FakeModel | None:
        last = name.rsplit("/", 1)[-1]
        wanted = (name if ":" in last else f"{name}:latest").lower()
        return next((one for one in self.models.values() if one.name.lower() == wanted), None)

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Bodies of the requests to ``path``."""
        return [body for _, at, body, _ in self.requests if at == path]

    def trouble_for(self, path: str) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.matches in path:
                self.troubles.remove(trouble)
                return trouble
        return None


class _GoneError(Exception):
    """The connection is to break."""


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(Handler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def state(self) -> OllamaServer:
        return self.server.state

    def do_GET(self) -> None:
        self._take("GET")

    def do_POST(self) -> None:
        self._take("POST")

    def do_DELETE(self) -> None:
        self._take("DELETE")

    def _take(self, method: str) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(data) if data else {}
        except ValueError:
            self._json(400, {"error": "invalid character in JSON"})
            return
        self.state.requests.append((method, self.path, body, {k.lower(): v for k, v in self.headers.items()}))
        trouble = self.state.trouble_for(self.path)
        try:
            if trouble is not None and (trouble.status != 200 or trouble.body):
                self._raw(trouble.status, trouble.body, "application/json; charset=utf-8")
                return
            handler = getattr(self, f"_{method}_{self.path.strip('/').replace('/', '_')}".lower(), None)
            if handler is None:
                self._raw(404, b"404 page not found", "text/plain")
                return
            if method == "POST" and not data:
                raise _RefusedError(400, "missing request body")
            handler(body, trouble)
        except _RefusedError as refused:
            self._json(refused.status, {"error": str(refused)})
        except (BrokenPipeError, ConnectionResetError, _GoneError):
            self.state.left.set()
            self.close_connection = True

    def _get_(self, _body: dict[str, Any], _trouble: Trouble | None) -> None:
        self._raw(200, b"Ollama is running", "text/plain; charset=utf-8")

    def _get_api_version(self, _body: dict[str, Any], _trouble: Trouble | None) -> None:
        self._json(200, {"version": VERSION})

    def _get_api_tags(self, _body: dict[str, Any], _trouble: Trouble | None) -> None:
        models = [
            {
                "name": one.name,
                "model": one.name,
                "modified_at": AT,
                "size": one.size,
                "digest": one.digest,
                "details": one.details,
                **({"remote_host": one.remote, "remote_model": one.name} if one.remote else {}),
            }
            for one in self.state.models.values()
        ]
        self._json(200, {"models": models})

    def _get_api_ps(self, _body: dict[str, Any], _trouble: Trouble | None) -> None:
        self._json(200, {"models": list(self.state.loaded.values())})

    def _post_api_show(self, body: dict[str, Any], _trouble: Trouble | None) -> None:
        if not body.get("model"):
            raise _RefusedError(400, "model is required")
        model = self.state.find(body["model"])
        if model is None:
            raise _RefusedError(404, f"model '{body['model']}' not found")
        self._json(
            200,
            {
                "modelfile": '# Modelfile generated by "ollama show"',
                "parameters": model.parameters,
                "template": "{{ .Prompt }}",
                "details": model.details,
                "model_info": model.info,
                "capabilities": list(model.capabilities),
                "modified_at": AT,
            },
        )

    def _delete_api_delete(self, body: dict[str, Any], _trouble: Trouble | None) -> None:
        model = self.state.find(body.get("model", ""))
        if model is None:
            raise _RefusedError(404, f"model '{body.get('model')}' not found")
        del self.state.models[model.name]
        self._raw(200, b"", "text/plain")

    def _post_api_generate(self, body: dict[str, Any], _trouble: Trouble | None) -> None:
        model = self._model(body)
        answer = {"model": body["model"], "created_at": AT, "response": "", "done": True}
        if not body.get("prompt") and body.get("keep_alive") == 0:
            self.state.loaded.pop(model.name, None)
            self.state.unloaded.append(model.name)
            self._json(200, {**answer, "done_reason": "unload"})
        else:
            self.state.load(model)
            self._json(200, {**answer, "done_reason": "load"})

    def _post_api_chat(self, body: dict[str, Any], trouble: Trouble | None) -> None:
        model = self._model(body)
        if body.get("think") and "thinking" not in model.capabilities:
            raise _RefusedError(400, f'"{body["model"]}" does not support thinking')
        if body.get("tools") and "tools" not in model.capabilities:
            raise _RefusedError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
        if model.size > self.state.capacity:
            needs, has = f"{model.size / GIB:.1f} GiB", f"{self.state.capacity / GIB:.1f} GiB"
            raise _RefusedError(500, f"model requires more system memory ({needs}) than is available ({has})")
        options = body.get("options", {})
        self.state.load(model, options.get("num_ctx", 4096))
        most = options.get("num_predict", -1)
        words = model.words if most < 0 else model.words[:most]
        messages = [{"role": "assistant", "content": "", "thinking": one} for one in model.thinks]
        messages += [{"role": "assistant", "content": one} for one in words]
        if body.get("tools") and model.calls:
            messages = [{"role": "assistant", "content": "", "tool_calls": list(model.calls)}]
        lines = [{"model": body["model"], "created_at": AT, "message": one, "done": False} for one in messages]
        last = {
            "model": body["model"],
            "created_at": AT,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop" if len(words) == len(model.words) else "length",
            "total_duration": 4_883_583_458,
            "load_duration": 1_334_875,
            "prompt_eval_count": sum(len(one.get("content", "").split()) for one in body["messages"]),
            "prompt_eval_duration": 342_546_000,
            "eval_count": len(words),
            "eval_duration": 4_535_599_000,
        }
        self._stream([*lines, last], trouble)

    def _post_api_pull(self, body: dict[str, Any], trouble: Trouble | None) -> None:
        self._stream(self._pulled(body.get("model", "")), trouble)

    def _pulled(self, name: str) -> Iterator[Mapping[str, Any]]:
        yield {"status": "pulling manifest"}
        layers = self.state.registry.get(name)
        if layers is None:
            yield {"error": "pull model manifest: file does not exist"}
            return
        for layer in layers:
            status = {"status": f"pulling {layer.digest[7:19]}", "digest": layer.digest, "total": layer.total}
            yield status if not layer.done else {**status, "completed": layer.done}
            while layer.done < layer.total:
                layer.done = min(layer.total, layer.done + max(1, layer.total // 4))
                self.state.layer_read(layer)
                yield {**status, "completed": layer.done}
        yield {"status": "verifying sha256 digest"}
        for layer in layers:
            if layer.corrupt:
                layer.done, layer.corrupt = 0, False
                got = "sha256:" + "0" * 64
                yield {"error": f"digest mismatch, file must be downloaded again: want {layer.digest}, got {got}"}
                return
        yield {"status": "writing manifest"}
        self.state.add(FakeModel(name))
        yield {"status": "success"}

    def _model(self, body: dict[str, Any]) -> FakeModel:
        model = self.state.find(body.get("model", ""))
        if model is None:
            raise _RefusedError(404, f"model '{body.get('model', '')}' not found")
        return model

    def _json(self, status: int, body: Mapping[str, Any]) -> None:
        self._raw(status, json.dumps(body).encode(), "application/json; charset=utf-8")

    def _raw(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, lines: Any, trouble: Trouble | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, line in enumerate(lines):
            if trouble is not None and number == trouble.after:
                if trouble.until is not None:
                    self.wfile.flush()
                    trouble.until.wait(30)
                while trouble.endless:
                    self._piece(trouble.endless)
                if trouble.line:
                    self._piece(trouble.line)
                    break
                if trouble.until is None:
                    self.close_connection = True
                    raise _GoneError
            self._piece(json.dumps(line).encode() + b"\n")
        self.wfile.write(b"0\r\n\r\n")

    def _piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, state: OllamaServer) -> None:
        self.state = state
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is what some tests are about."""


@contextmanager
def ollama_server(*models: FakeModel) -> Iterator[OllamaServer]:
    """A running server with these models."""
    state = OllamaServer()
    for model in models:
        state.add(model)
    with serving(_Server(state)) as state.url:
        yield state

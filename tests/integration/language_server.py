"""A client of an editor's language server: JSON-RPC over the server's standard input and output."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

DEADLINE_SECONDS = 60.0


class LanguageServer:
    """The yaml-language-server with one schema for every ``*.yaml``; use as a context manager."""

    def __init__(self, argv: list[str], *, schema: Path, folder: Path) -> None:
        self._schema = schema
        self._folder = folder
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
        self._received: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._last_id = 0
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> LanguageServer:
        self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": self._folder.as_uri(),
                "capabilities": {
                    "workspace": {"configuration": True},
                    "textDocument": {"completion": {"completionItem": {"snippetSupport": False}}, "hover": {}},
                },
            },
        )
        self._send({"method": "initialized", "params": {}})
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": {"yaml": self._settings}}})
        return self

    def __exit__(self, *_: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "schemas": {self._schema.as_uri(): "*.yaml"},
            "validate": True,
            "completion": True,
            "hover": True,
            "schemaStore": {"enable": False},
        }

    def open(self, name: str, text: str) -> str:
        """Opens a document; gives its URI."""
        uri = (self._folder / name).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def diagnostics(self, uri: str) -> list[dict[str, Any]]:
        """What the editor would underline in the document."""
        while uri not in self._diagnostics:
            self._take()
        return self._diagnostics[uri]

    def completions(self, uri: str, line: int, column: int) -> list[str]:
        """What the editor would offer; line and column count from 0."""
        found = self._at("textDocument/completion", uri, line, column)
        return [item["label"] for item in found["items"]]

    def hover(self, uri: str, line: int, column: int) -> str:
        """What the editor would show over a word; line and column count from 0."""
        found = self._at("textDocument/hover", uri, line, column)
        return str(found["contents"]["value"]) if found else ""

    def _at(self, method: str, uri: str, line: int, column: int) -> Any:
        # The server answers at once, with nothing, until it has fetched its settings; diagnostics come after them.
        self.diagnostics(uri)
        return self.request(method, {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}})

    def request(self, method: str, params: dict[str, Any]) -> Any:
        """The server's answer to a request."""
        self._last_id += 1
        wanted = self._last_id
        self._send({"id": wanted, "method": method, "params": params})
        while True:
            message = self._take()
            if message.get("id") == wanted and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _take(self) -> dict[str, Any]:
        message = self._received.get(timeout=DEADLINE_SECONDS)
        assert message is not None, "the language server ended"
        method = message.get("method")
        if method == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif method == "workspace/configuration":
            settings = {"yaml": self._settings}
            result = [settings.get(item["section"], {}) for item in message["params"]["items"]]
            self._send({"id": message["id"], "result": result})
        elif method and "id" in message:
            self._send({"id": message["id"], "result": None})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while header := stream.readline().strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if not length:
                self._received.put(None)
                return
            self._received.put(json.loads(stream.read(length)))

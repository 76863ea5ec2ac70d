"""Prism as a validating mock of GitHub: it answers only what GitHub's own OpenAPI description allows.

The description is the one of npm's ``@octokit/openapi``, cut down to the routes Maestro uses, as all of it takes Prism
half a minute to read. A request that breaks it is answered 422 with what is wrong. GitHub ignores members of a body that
it does not know; here they are refused, as a misspelt one would do nothing.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".cache" / "node"
DEADLINE_SECONDS = 120.0
ROUTES: Mapping[str, tuple[str, ...]] = {
    "/user": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    "/repos/{owner}/{repo}/installation": ("get",),
    "/repos/{owner}/{repo}/collaborators/{username}/permission": ("get",),
    "/orgs/{org}/teams/{team_slug}/memberships/{username}": ("get",),
    "/repos/{owner}/{repo}/check-runs": ("post",),
    "/repos/{owner}/{repo}/check-runs/{check_run_id}": ("get", "patch"),
    "/repos/{owner}/{repo}/commits/{ref}/check-runs": ("get",),
    "/repos/{owner}/{repo}/statuses/{sha}": ("post",),
    "/repos/{owner}/{repo}/commits/{ref}/statuses": ("get",),
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ("get", "post"),
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": ("patch",),
    "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses": ("get", "post"),
}
_REFERENCE = re.compile(r'"\$ref":\s*"#/components/([^/"]+)/([^"]+)"')


def trimmed(document: Mapping[str, Any], routes: Mapping[str, tuple[str, ...]] = ROUTES) -> dict[str, Any]:
    """The description with these routes, and only what they refer to."""
    paths = {
        path: {name: value for name, value in document["paths"][path].items() if name in (*methods, "parameters")}
        for path, methods in routes.items()
    }
    for path in paths.values():
        for method in path.values():
            body = method.get("requestBody", {}) if isinstance(method, dict) else {}
            for content in body.get("content", {}).values():
                _refuse_unknown(content["schema"])
    components: dict[str, dict[str, Any]] = {}
    waiting = _REFERENCE.findall(json.dumps(paths))
    while waiting:
        kind, name = waiting.pop()
        name = name.replace("~1", "/").replace("~0", "~")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = found = document["components"][kind][name]
            waiting += _REFERENCE.findall(json.dumps(found))
    return {"openapi": document["openapi"], "info": document["info"], "paths": paths, "components": components}


def _refuse_unknown(schema: dict[str, Any]) -> None:
    if schema.get("properties"):
        schema["additionalProperties"] = False
    for one in (*schema.get("properties", {}).values(), schema.get("items")):
        if isinstance(one, dict):
            _refuse_unknown(one)


def description() -> Path:
    """The trimmed description, kept beside Node until either changes."""
    subprocess.run(
        [ROOT / "scripts" / "setup-node"], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=600
    )
    whole = NODE / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"
    made = NODE / "github-trimmed.json"
    if not made.is_file() or made.stat().st_mtime < max(whole.stat().st_mtime, Path(__file__).stat().st_mtime):
        with tempfile.NamedTemporaryFile("w", dir=NODE, delete=False) as file:
            json.dump(trimmed(json.loads(whole.read_bytes())), file)
        Path(file.name).replace(made)
    return made


@dataclass
class Prism:
    """The mock.

    Args:
        output: what it has written, line by line.
    """

    url: str
    output: list[str] = field(default_factory=list)


@contextmanager
def prism_server() -> Iterator[Prism]:
    """Starts Prism on the trimmed description; stops it at the end."""
    document = description()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = NODE / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    process = subprocess.Popen(
        [NODE / "bin" / "node", program, "mock", "--host", "127.0.0.1", "--port", str(port), "--errors", document],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Prism colours what it writes when it thinks somebody looks.
        env={**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "0"},
    )
    made = Prism(f"http://127.0.0.1:{port}")
    reader = threading.Thread(target=_read, args=(process, made), daemon=True)
    reader.start()
    try:
        _wait(process, made)
        yield made
    finally:
        process.terminate()
        process.wait(30)
        reader.join()


def _read(process: subprocess.Popen[str], made: Prism) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        made.output += output


def _wait(process: subprocess.Popen[str], made: Prism) -> None:
    """Until it answers: what it writes is held back in a pipe."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{made.url}/no-such-route", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"Prism did not start: {''.join(made.output)}")

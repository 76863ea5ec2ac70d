"""Rego by an OPA server (REST API v1, https://www.openpolicyagent.org/docs/rest-api)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from maestro.errors import InputError
from maestro.policy.engine import TIMEOUT, overdue, undefined
from maestro.policy.errors import PolicyEngineError

if TYPE_CHECKING:
    import httpx

    from maestro.policy.bundle import Bundle

_LARGEST_ANSWER = 64 * 1024 * 1024


class OpaServer:
    """An OPA server that has loaded ``bundle``; one that has another revision of it is not believed.

    Args:
        url: ``http://127.0.0.1:8181``.
        timeout: seconds for the whole answer.

    Raises:
        InputError: the address is none.
    """

    def __init__(self, bundle: Bundle, url: str, *, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"'{url[:80]}' is no address of an OPA server", next_step="write http://127.0.0.1:8181")
        self.bundle = bundle
        self._url = url.rstrip("/")
        port = f":{parts.port}" if parts.port else ""
        self._shown = urlunsplit((parts.scheme, f"{parts.hostname}{port}", parts.path.rstrip("/"), "", ""))
        self._timeout = timeout
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``opa <address>``, without credentials."""
        return f"opa {self._shown}"

    def evaluate(self, policy: str, input_json: str) -> Any:
        """See :class:`maestro.policy.engine.PolicyEngine`."""
        answer = self._post(policy, '{"input":' + input_json + "}")
        if not isinstance(answer, dict):
            raise self._strange("it answered with no JSON object")
        provenance = answer.get("provenance")
        loaded = _revisions(provenance if isinstance(provenance, dict) else {})
        if self.bundle.revision not in loaded:
            had = ", ".join(sorted(loaded)) or "no bundle"
            raise PolicyEngineError(
                f"the OPA server {self._shown} has {had}, not revision {self.bundle.revision}",
                next_step="let the server load the bundle of `maestro policy bundle build`",
            )
        if "result" not in answer:
            raise undefined(policy)
        return answer["result"]

    def close(self) -> None:
        """Closes connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _post(self, policy: str, body: str) -> Any:
        import httpx

        path = "/".join(["maestro", *policy.split(".")])
        deadline = time.monotonic() + self._timeout
        try:
            with self._opened().stream(
                "POST",
                f"{self._url}/v1/data/{path}",
                # Without the first a failing function leaves its rule undefined, and a deny rule silent.
                params={"strict-builtin-errors": "true", "provenance": "true"},
                content=body.encode(),
                headers={"content-type": "application/json"},
            ) as response:
                data = bytearray()
                for part in response.iter_bytes():
                    data += part
                    if time.monotonic() > deadline:
                        raise overdue(self._timeout)
                    if len(data) > _LARGEST_ANSWER:
                        raise self._strange("its answer is too large")
        except httpx.TimeoutException:
            raise overdue(self._timeout) from None
        except httpx.HTTPError as error:
            raise PolicyEngineError(
                f"the OPA server {self._shown} cannot be reached: {type(error).__name__}",
                next_step="start it, or correct `opa` under `policy` in the profile's settings.yaml",
            ) from None
        if response.status_code != 200:
            raise self._strange(f"it answered {response.status_code}{_problem(bytes(data))}")
        return _json(bytes(data))

    def _opened(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=self._timeout, follow_redirects=False, trust_env=False)
            return self._client

    def _strange(self, what: str) -> PolicyEngineError:
        return PolicyEngineError(f"the OPA server {self._shown} gave no answer: {what}", next_step="see its log")


def _revisions(provenance: dict[str, Any]) -> set[str]:
    bundles = provenance.get("bundles")
    named = bundles.values() if isinstance(bundles, dict) else ()
    found = {one.get("revision") for one in named if isinstance(one, dict)} | {provenance.get("revision")}
    return {one for one in found if isinstance(one, str) and one}


def _problem(data: bytes) -> str:
    answer = _json(data)
    if not isinstance(answer, dict):
        return ""
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else answer
    return f": {str(first.get('message', answer.get('message', '')))[:300]}"


def _json(data: bytes) -> Any:
    import json

    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None

"""Forwards entries to an HTTP collector: one POST of lines for each batch; an answer of 2xx means they are kept."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from maestro.audit.errors import AuditInputError, ForwardError
from maestro.audit.event import Entry
from maestro.audit.formats import FORMATS

_TRIES = 5
_LONGEST_PAUSE = 30.0
_TYPES = {"jsonl": "application/x-ndjson", "cef": "text/plain; charset=utf-8"}


class HttpReceiver:
    """An HTTP collector.

    Args:
        pause: seconds before the second try; doubled for each one after it, or what the server's Retry-After says.
    """

    def __init__(
        self,
        url: str,
        *,
        form: str,
        headers: Mapping[str, str],
        ca_file: Path | None,
        timeout: float,
        pause: float = 0.5,
    ) -> None:
        try:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise AuditInputError(
                f"the file of authorities {ca_file} cannot be used: {error}", next_step="name a PEM file"
            ) from error
        # No proxy or .netrc of whoever happens to run this: the log goes where it was told to.
        self._client = httpx.Client(timeout=timeout, verify=context, headers=dict(headers), trust_env=False)
        self._url = url
        self._form = form
        self._pause = pause

    def send(self, entries: Sequence[Entry], origin: str) -> None:
        """Posts the entries; tries again when the server is busy or away.

        Raises:
            ForwardError: it refused, or was not there for all tries.
        """
        line = FORMATS[self._form]
        body = "".join(f"{line(entry, origin)}\n" for entry in entries).encode()
        said = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(self._delay(attempt, said))
            try:
                answer = self._client.post(self._url, content=body, headers={"content-type": _TYPES[self._form]})
            except httpx.TransportError as error:
                failure, said = f"{type(error).__name__}: {error}", ""
                continue
            if answer.is_success:
                return
            failure, said = f"HTTP {answer.status_code}", answer.headers.get("retry-after", "")
            if answer.status_code not in (408, 425, 429) and answer.status_code < 500:
                break
        raise ForwardError(
            f"{self._where()} did not take the entries from {entries[0].index} on: {failure}",
            next_step="they are kept and sent again; check the receiver and its token",
        )

    def _where(self) -> str:
        url = httpx.URL(self._url)
        return f"{url.scheme}://{url.netloc.decode()}{url.path}"

    def _delay(self, attempt: int, said: str) -> float:
        if said.isascii() and said.isdigit():
            return min(float(said), _LONGEST_PAUSE)
        # Spread, so that several forwarders do not come back at the same moment.
        return min(self._pause * float(2 ** (attempt - 1)), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)

"""What the headers of a webhook say, apart from who signed it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence

from maestro.gateway.refusal import RefusedError
from maestro.inbox.model import FORM

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. :-]{0,127}")
_JSON = "application/json"
_UTF8 = ("", "utf-8", "utf8", "us-ascii")
_TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_KEPT = 256

Headers = Mapping[str, Sequence[str]]
"""Every value of each header, in the order they were sent; names in lower case."""


def headers_of(sent: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request, as ASGI gives them."""
    found: dict[str, list[str]] = {}
    for name, value in sent:
        found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return found


def single(headers: Headers, name: str) -> str | None:
    """The value of a header, None when it is missing.

    Raises:
        RefusedError: 400, it was sent several times, so that it is unclear which one counts.
    """
    values = headers.get(name, ())
    if len(values) > 1:
        raise RefusedError(400, "headers", f"the header {name} was sent {len(values)} times", next_step="send it once")
    return values[0] if values else None


def name_in(headers: Headers, name: str) -> str:
    """A header that names something: an event, a delivery.

    Raises:
        RefusedError: 400, it is missing, or is no name.
    """
    value = single(headers, name)
    if value is None:
        raise RefusedError(
            400, "headers", f"the header {name} is missing", next_step="send the webhook as its sender does"
        )
    if not _NAME.fullmatch(value):
        raise RefusedError(400, "headers", f"the header {name} is not a name", next_step="use letters, digits, - and _")
    return value


def check_content(headers: Headers) -> None:
    """Looks at how the body is written.

    Raises:
        RefusedError: 415, it is neither JSON nor a form, not in UTF-8, or compressed.
    """
    kind, *parameters = (single(headers, "content-type") or "").lower().split(";")
    if kind.strip() not in (_JSON, FORM):
        raise RefusedError(
            415, "content_type", "the body is neither JSON nor a form", next_step=f"choose {_JSON} for the webhook"
        )
    given = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    if given.get("charset", "").strip().strip('"') not in _UTF8:
        raise RefusedError(415, "charset", "the body is not in UTF-8", next_step="send it in UTF-8")
    if (single(headers, "content-encoding") or "identity").lower() != "identity":
        raise RefusedError(415, "encoding", "the body is compressed", next_step="send it as it is")


def traceparent(headers: Headers) -> str:
    """The sender's ``traceparent`` (W3C Trace Context), or a new one when there is none or it is wrong."""
    given = headers.get("traceparent", ())
    if len(given) == 1 and _TRACE.fullmatch(given[0]):
        return given[0]
    made = ""
    while not _TRACE.fullmatch(made):
        # All but never drawn twice: all zeros would mean that there is none.
        drawn = secrets.token_hex(24)
        made = f"00-{drawn[:32]}-{drawn[32:]}-01"
    return made


def kept(headers: Headers, names: Iterable[str]) -> dict[str, str]:
    """The headers of these names, for the inbox."""
    found = {name: ", ".join(headers[name])[:_LONGEST_KEPT] for name in names if name in headers}
    return {name: value for name, value in found.items() if "\0" not in value}

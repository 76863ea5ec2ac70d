"""What the headers of a webhook say, apart from who signed it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers

from maestro.gateway.refusal import Refusal
from maestro.inbox.model import FORM

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. :-]{0,127}")
_JSON = "application/json"
_UTF8 = ("", "utf-8", "utf8", "us-ascii")
_TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_KEPT = 256


def single(headers: Headers, name: str) -> str | None:
    """The value of a header, None when it is missing.

    Raises:
        Refusal: 400, it was sent several times, so that it is unclear which one counts.
    """
    values = headers.getlist(name)
    if len(values) > 1:
        raise Refusal(400, "headers", f"the header {name} was sent {len(values)} times", next_step="send it once")
    return values[0] if values else None


def name_in(headers: Headers, name: str) -> str:
    """A header that names something: an event, a delivery.

    Raises:
        Refusal: 400, it is missing, or is no name.
    """
    value = single(headers, name)
    if value is None:
        raise Refusal(400, "headers", f"the header {name} is missing", next_step="send the webhook as its sender does")
    if not _NAME.fullmatch(value):
        raise Refusal(400, "headers", f"the header {name} is not a name", next_step="use letters, digits, - and _")
    return value


def check_content(headers: Headers) -> None:
    """Looks at how the body is written.

    Raises:
        Refusal: 415, it is neither JSON nor a form, not in UTF-8, or compressed.
    """
    kind, *parameters = (single(headers, "content-type") or "").lower().split(";")
    if kind.strip() not in (_JSON, FORM):
        raise Refusal(
            415, "content_type", "the body is neither JSON nor a form", next_step=f"choose {_JSON} for the webhook"
        )
    given = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    if given.get("charset", "").strip().strip('"') not in _UTF8:
        raise Refusal(415, "charset", "the body is not in UTF-8", next_step="send it in UTF-8")
    if (single(headers, "content-encoding") or "identity").lower() != "identity":
        raise Refusal(415, "encoding", "the body is compressed", next_step="send it as it is")


def traceparent(headers: Headers) -> str:
    """The sender's ``traceparent`` (W3C Trace Context), or a new one when there is none or it is wrong."""
    given = headers.getlist("traceparent")
    if len(given) == 1 and _TRACE.fullmatch(given[0]):
        return given[0]
    return f"00-{_random(16)}-{_random(8)}-01"


def _random(size: int) -> str:
    # All zeros would mean that there is none.
    return secrets.token_hex(size - 1) + f"{secrets.randbelow(255) + 1:02x}"


def kept(headers: Headers, names: Iterable[str]) -> dict[str, str]:
    """The headers of these names, for the inbox."""
    found = {name: headers.get(name) for name in names}
    return {name: value[:_LONGEST_KEPT] for name, value in found.items() if value is not None and "\0" not in value}

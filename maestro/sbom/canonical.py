"""One way to write a document, so that equal content has equal bytes and an equal digest."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

# Names this project gives to documents (RFC 9562, version 5: from a name).
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://maestro.example/sbom")


def encoded(document: Mapping[str, Any]) -> bytes:
    """Sorted keys, no white space, UTF-8, one newline at the end."""
    # A lone surrogate out of some package's metadata has no UTF-8.
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def content_id(document: Mapping[str, Any]) -> uuid.UUID:
    """An identifier that only another content changes."""
    return uuid.uuid5(_NAMESPACE, encoded(document).decode("utf-8"))


def sort_key(value: Any) -> str:
    """Orders values of any JSON type, the same everywhere."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def timestamp(epoch: int | None) -> str | None:
    """``SOURCE_DATE_EPOCH`` (reproducible-builds.org) as RFC 3339; None for None."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def without_paths(value: Any, prefixes: Sequence[str]) -> Any:
    """``value`` with every text rid of this machine's folders; longer prefixes are tried first."""
    ordered = sorted({one.rstrip("/") for one in prefixes if len(one.rstrip("/")) > 1}, key=len, reverse=True)
    return _without(value, ordered) if ordered else value


def _without(value: Any, prefixes: Sequence[str]) -> Any:
    if isinstance(value, str):
        for prefix in prefixes:
            if prefix in value:
                value = value.replace(prefix + "/", "/").replace(prefix, "/")
        return value
    if isinstance(value, list):
        return [_without(one, prefixes) for one in value]
    if isinstance(value, dict):
        return {key: _without(one, prefixes) for key, one in value.items()}
    return value

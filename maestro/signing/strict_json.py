"""JSON that can be read in one way only: UTF-8, no key twice, finite numbers, bounded size and depth."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 100

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotStrictJsonError(ValueError):
    """Why it is refused; ``duplicate`` when a key is given twice."""

    def __init__(self, reason: str, *, duplicate: bool = False) -> None:
        super().__init__(reason)
        self.duplicate = duplicate


def parse(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """The value ``data`` holds.

    Raises:
        NotStrictJsonError: it is larger than ``max_bytes``, nested deeper than ``max_depth`` objects and arrays, or not
            such JSON.
    """
    if len(data) > max_bytes:
        raise NotStrictJsonError(f"it has {len(data):,} bytes; at most {max_bytes:,} are read")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite
        )
        if _SURROGATE.search(data):
            # Half a surrogate pair is no text and would fail wherever it is written next.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except NotStrictJsonError:
        raise
    except RecursionError:
        raise NotStrictJsonError(f"it is nested deeper than {max_depth} levels") from None
    except UnicodeError as error:
        raise NotStrictJsonError(f"it is not UTF-8: {error.reason}" if hasattr(error, "reason") else "") from None
    except json.JSONDecodeError as error:
        raise NotStrictJsonError(f"it is not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    except ValueError:
        raise NotStrictJsonError("it holds a number with thousands of digits") from None
    # Fewer brackets than levels cannot nest deeper, so what is small pays nothing.
    if data.count(b"{") + data.count(b"[") > max_depth and not _within(value, max_depth):
        raise NotStrictJsonError(f"it is nested deeper than {max_depth} levels")
    return value


def canonical(value: Any) -> bytes:
    """``value`` as JSON: keys sorted, no spaces, UTF-8, so that equal content has equal bytes.

    Raises:
        ValueError, TypeError: it holds what JSON cannot say, infinite numbers included.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _value in pairs:
            if name in seen:
                raise NotStrictJsonError(f"the key {name[:60]!r} is there twice", duplicate=True)
            seen.add(name)
    return made


def _constant(name: str) -> NoReturn:
    raise NotStrictJsonError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotStrictJsonError(f"the number {text[:30]} is too large")
    return value


def _within(value: Any, max_depth: int) -> bool:
    level = [value] if type(value) in (dict, list) else []
    for _ in range(max_depth):
        if not level:
            return True
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in (dict, list)
        ]
    return not level

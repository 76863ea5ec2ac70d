"""Reads the top level of a large JSON object piece by piece, so that memory stays small whatever its size.

The events come from ijson. Values nobody wants are passed over without being built, and items of an array are handed
out one at a time. ijson's own ``items`` would build whatever it is given, however deep, and read the text anew for each
prefix; here one pass does, and depth and number of values are checked while they come.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from maestro.errors import Location
from maestro.sbom.errors import SbomError
from maestro.sbom.limits import Limits

_OPENING = frozenset({"start_map", "start_array"})
_CLOSING = frozenset({"end_map", "end_array"})


def size_of(source: Path | bytes) -> int:
    """Bytes of a document, without opening it.

    Raises:
        SbomError: there is no such file.
    """
    if isinstance(source, bytes):
        return len(source)
    try:
        if not source.is_file():
            raise SbomError(f"there is no file '{source}'", next_step="give the path of a CycloneDX or SPDX document")
        return source.stat().st_size
    except OSError as error:
        raise SbomError(
            f"'{source}' cannot be read: {error.strerror}", next_step="check the path and its permissions"
        ) from error


@contextmanager
def opened(source: Path | bytes) -> Iterator[IO[bytes]]:
    """The bytes of a document."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    with source.open("rb") as stream:
        yield stream


def place_of(source: Path | bytes) -> Location | None:
    """Where a document lies, for errors; None for bytes."""
    return None if isinstance(source, bytes) else Location(str(source))


def top_level(
    source: Path | bytes, wanted: Collection[str], streamed: Collection[str], limits: Limits
) -> Iterator[tuple[str, Any]]:
    """The members of the outermost object, in the order of the text.

    Args:
        source: a file, or the bytes themselves.
        wanted: names whose values are built whole.
        streamed: names of arrays whose items are given one at a time, under the array's name.
        limits: beyond which it is refused.

    Raises:
        SbomError: it is too large, no JSON object, too deep, has a member twice, or ``streamed`` names something else
            than an array.
    """
    import ijson  # type: ignore[import-untyped] # it ships no types

    if size_of(source) >= limits.size:
        raise SbomError(
            f"the document has {size_of(source):,} bytes; {limits.size:,} or more are refused",
            where=place_of(source),
            next_step="split it, or leave out what no reader needs: files, properties, guessed identifiers",
        )
    try:
        with opened(source) as stream:
            yield from _members(ijson.basic_parse(stream, use_float=True), wanted, streamed, limits)
    except SbomError as error:
        raise SbomError(error.what, where=place_of(source), next_step=error.next_step) from error
    except (ijson.JSONError, UnicodeDecodeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise SbomError(
            f"the document is no complete JSON: {reason}",
            where=place_of(source),
            next_step="give a CycloneDX or SPDX document in JSON, whole",
        ) from error


def _members(
    events: Iterator[tuple[str, Any]], wanted: Collection[str], streamed: Collection[str], limits: Limits
) -> Iterator[tuple[str, Any]]:
    first, _ = next(events, ("", None))
    if first != "start_map":
        raise _not_an_object()
    seen: set[str] = set()
    for event, value in events:
        if event == "end_map":
            break
        key: str = value
        if key in wanted or key in streamed:
            if key in seen:
                # Of two members of one name readers take different ones, so two programs would see two documents.
                raise SbomError(f"'{key}' is there twice", next_step="make the document anew; its maker is broken")
            seen.add(key)
        kind, value = next(events)
        if key in streamed:
            if kind != "start_array":
                raise wrong(key, "a list", kind if kind in _OPENING else value)
            for event, item in events:
                if event == "end_array":
                    break
                yield key, _built(events, event, item, 3, limits)
        elif key in wanted:
            yield key, _built(events, kind, value, 2, limits)
        else:
            _passed_over(events, kind, limits)
    # Whatever follows the object is an error, and it is found only by reading on.
    for _ in events:
        pass


def _built(events: Iterator[tuple[str, Any]], kind: str, value: Any, depth: int, limits: Limits) -> Any:
    """The value that begins with this event."""
    if kind not in _OPENING:
        return value
    outermost: Any = {} if kind == "start_map" else []
    holders, keys, parts = [outermost], [""], 0
    for event, item in events:
        if event == "map_key":
            keys[-1] = item
            continue
        if event in _CLOSING:
            holders.pop()
            keys.pop()
            if not holders:
                break
            continue
        parts += 1
        if parts > limits.parts:
            raise SbomError(
                f"one of its parts has more than {limits.parts:,} values",
                next_step="leave out what no reader needs: files, properties, guessed identifiers",
            )
        opens = event in _OPENING
        made: Any = ({} if event == "start_map" else []) if opens else item
        holder = holders[-1]
        if isinstance(holder, dict):
            holder[keys[-1]] = made
        else:
            holder.append(made)
        if opens:
            holders.append(made)
            keys.append("")
            _check_depth(depth + len(holders) - 1, limits)
    return outermost


def _passed_over(events: Iterator[tuple[str, Any]], kind: str, limits: Limits) -> None:
    if kind not in _OPENING:
        return
    depth = 1
    for event, _ in events:
        if event in _OPENING:
            depth += 1
            _check_depth(depth + 1, limits)
        elif event in _CLOSING:
            depth -= 1
            if not depth:
                return


def _check_depth(depth: int, limits: Limits) -> None:
    if depth > limits.depth:
        raise SbomError(f"it is nested more than {limits.depth} deep", next_step="give a document made by an SBOM tool")


def _not_an_object() -> SbomError:
    return SbomError("the document is no JSON object", next_step="give a CycloneDX or SPDX document in JSON")


def wrong(place: str, wanted: str, found: Any) -> SbomError:
    """The error for a value of another type than its format says."""
    names = {"start_map": "an object", "start_array": "a list"}
    is_ = names.get(found) if isinstance(found, str) and found in names else _type_name(found)
    return SbomError(
        f"'{place}' is {is_}, where {wanted} is expected", next_step="check it with a validator of its format"
    )


def _type_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"

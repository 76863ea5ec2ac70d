"""Reads the components of a CycloneDX JSON document (1.2 to 1.6), large ones piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from maestro.vulnerabilities.component import Bom, Component
from maestro.vulnerabilities.errors import SbomError

MEDIA_TYPE = "application/vnd.cyclonedx+json"
BYTES = 96_000_000
"""The largest document that is read: more than 100,000 components."""
_AT_ONCE = 8 * 2**20
_COMPONENTS = 500_000
_TEXT = 4096
_NEXT = "give a CycloneDX document in JSON, such as sbom.generate writes"


def read_bom(file: Path, *, name: str | None = None) -> Bom:
    """The components of the document in ``file``.

    Args:
        name: what errors call it; the path when None.

    Raises:
        SbomError: it cannot be read, is too large, or no CycloneDX JSON document.
    """
    called = name or str(file)
    try:
        size = file.stat().st_size
        if size > BYTES:
            raise SbomError(f"'{called}' has {size:,} bytes; an SBOM may have {BYTES:,}", next_step="split it")
        if size > _AT_ONCE:
            return _streamed(file, called)
        return _of_document(json.loads(file.read_bytes()), called)
    except OSError as error:
        raise SbomError(f"'{called}' cannot be read: {error.strerror}", next_step=_NEXT) from error
    except RecursionError as error:
        raise SbomError(f"'{called}' is nested too deeply", next_step=_NEXT) from error
    except ValueError as error:
        raise SbomError(f"'{called}' is no JSON: {str(error)[:200]}", next_step=_NEXT) from error


def read_bom_bytes(data: bytes, name: str) -> Bom:
    """As :func:`read_bom`, of bytes."""
    if len(data) > BYTES:
        raise SbomError(f"'{name}' has {len(data):,} bytes; an SBOM may have {BYTES:,}", next_step="split it")
    try:
        return _of_document(json.loads(data), name)
    except RecursionError as error:
        raise SbomError(f"'{name}' is nested too deeply", next_step=_NEXT) from error
    except ValueError as error:
        raise SbomError(f"'{name}' is no JSON: {str(error)[:200]}", next_step=_NEXT) from error


def _of_document(document: Any, name: str) -> Bom:
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise _not_cyclonedx(name)
    metadata = document.get("metadata")
    subject = metadata.get("component") if isinstance(metadata, dict) else None
    return _bom(document.get("components"), document.get("serialNumber"), subject, name)


def _streamed(file: Path, name: str) -> Bom:
    import ijson  # type: ignore[import-untyped]  # publishes no types

    def first(opened: IO[bytes], prefix: str) -> Any:
        opened.seek(0)
        return next(ijson.items(opened, prefix), None)

    try:
        with file.open("rb") as opened:
            if first(opened, "bomFormat") != "CycloneDX":
                raise _not_cyclonedx(name)
            serial, subject = first(opened, "serialNumber"), first(opened, "metadata.component")
            opened.seek(0)
            return _bom(ijson.items(opened, "components.item"), serial, subject, name)
    except ijson.JSONError as error:
        raise SbomError(f"'{name}' is no JSON: {str(error).splitlines()[0][:200]}", next_step=_NEXT) from error


def _bom(components: Any, serial: Any, subject: Any, name: str) -> Bom:
    if components is not None and not isinstance(components, Iterable):
        raise _wrong(name, "'components' is no list")
    return Bom(
        components=tuple(_flat(components or (), name)),
        serial=serial if isinstance(serial, str) else None,
        subject=_component(subject, name) if isinstance(subject, dict) else None,
    )


def _flat(documents: Iterable[Any], name: str) -> Iterator[Component]:
    count = 0
    waiting: list[Iterator[Any]] = [iter(documents)]
    while waiting:
        document = next(waiting[-1], None)
        if document is None:
            waiting.pop()
            continue
        count += 1
        if count > _COMPONENTS:
            raise _wrong(name, f"it has more than {_COMPONENTS:,} components")
        yield _component(document, name)
        nested = document.get("components")
        if nested is not None and not isinstance(nested, list):
            raise _wrong(name, "'components' of a component is no list")
        if nested:
            waiting.append(iter(nested))


def _component(document: Any, name: str) -> Component:
    if not isinstance(document, dict):
        raise _wrong(name, "a component is no object")
    title, group = _text(document, "name", name), _text(document, "group", name)
    if title is None:
        raise _wrong(name, "a component has no name")
    return Component(
        name=f"{group}/{title}" if group else title,
        version=_text(document, "version", name) or "",
        purl=_text(document, "purl", name) or None,
        ref=_text(document, "bom-ref", name),
    )


def _text(document: dict[str, Any], member: str, name: str) -> str | None:
    value = document.get(member)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _TEXT:
        raise _wrong(name, f"{member!r} of a component is no text of at most {_TEXT:,} characters")
    return value


def _not_cyclonedx(name: str) -> SbomError:
    return SbomError(f"'{name}' is no CycloneDX document: its 'bomFormat' is not 'CycloneDX'", next_step=_NEXT)


def _wrong(name: str, why: str) -> SbomError:
    return SbomError(f"'{name}' is no usable CycloneDX document: {why}", next_step=_NEXT)

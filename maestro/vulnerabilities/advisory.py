"""One advisory in the OSV format (https://ossf.github.io/osv-schema/), down to what matching and reports need."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maestro.vulnerabilities import moments
from maestro.vulnerabilities.ecosystems import normal_name, split_ecosystem
from maestro.vulnerabilities.errors import AdvisoryError
from maestro.vulnerabilities.ranges import EVENTS, Range

_CVE = re.compile(r"CVE-\d{4}-\d{4,}\Z")
_SUMMARY = 300


@dataclass(frozen=True, slots=True)
class Affected:
    """One package an advisory is about.

    Args:
        ecosystem, release, name: as :mod:`maestro.vulnerabilities.ecosystems` writes them.
        versions: the ones listed.
        ranges: those over versions.
        vectors: CVSS, when this package has its own.
        git: it has ranges over git commits, which are not matched.
    """

    ecosystem: str
    release: str
    name: str
    versions: tuple[str, ...]
    ranges: tuple[Range, ...]
    vectors: tuple[str, ...]
    git: bool


@dataclass(frozen=True, slots=True)
class Advisory:
    """What one advisory says.

    Args:
        names: the ids it is also known by: aliases, and what it passes on from upstream.
        withdrawn: it no longer holds.
        word: the database's own word for the severity.
        nameless: affected entries without a package: they name git repositories only.
        sha256: over its content, whatever the order of its members and the syntax it was written in.
    """

    id: str
    names: tuple[str, ...]
    modified: datetime
    published: datetime | None
    withdrawn: bool
    summary: str
    vectors: tuple[str, ...]
    word: str | None
    affected: tuple[Affected, ...]
    nameless: int
    sha256: str


def is_advisory(document: Any) -> bool:
    """Whether ``document`` means to be an advisory; other files may lie among them."""
    return isinstance(document, dict) and "id" in document and "modified" in document


def cves(ids: frozenset[str] | tuple[str, ...] | list[str]) -> frozenset[str]:
    """Those of ``ids`` that are CVE ids."""
    return frozenset(one for one in ids if _CVE.match(one))


def parse_advisory(document: Mapping[str, Any], where: str) -> Advisory:
    """What ``document`` says.

    Args:
        where: names the file in errors.

    Raises:
        AdvisoryError: it breaks the format.
    """
    try:
        return _parse(document)
    except KeyError as error:
        raise _refused(where, f"{error.args[0]!r} is missing") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _refused(where, str(error)[:200]) from error


def _parse(document: Mapping[str, Any]) -> Advisory:
    identifier = _text(document["id"])
    names = {*_texts(document.get("aliases")), *_texts(document.get("upstream"))} - {identifier}
    entries = _objects(document.get("affected"))
    specific = document.get("database_specific")
    word = specific.get("severity") if isinstance(specific, dict) else None
    return Advisory(
        id=identifier,
        names=tuple(sorted(names)),
        modified=moments.parse(_text(document["modified"])),
        published=moments.read(document.get("published")),
        withdrawn=bool(document.get("withdrawn")),
        summary=_summary(document),
        vectors=_vectors(document),
        # A package that does harm by design is rated by nobody.
        word="critical" if identifier.startswith("MAL-") else word if isinstance(word, str) else None,
        affected=tuple(_affected(entry) for entry in entries if entry.get("package")),
        nameless=sum(not entry.get("package") for entry in entries),
        sha256=_digest(document),
    )


def _affected(entry: Mapping[str, Any]) -> Affected:
    package = entry["package"]
    ecosystem, release = split_ecosystem(_text(package["ecosystem"]))
    ranges = _objects(entry.get("ranges"))
    kinds = [_text(one["type"]) for one in ranges]
    unknown = next((kind for kind in kinds if kind not in ("ECOSYSTEM", "SEMVER", "GIT")), None)
    if unknown is not None:
        raise ValueError(f"a range has the type {unknown[:40]!r}")
    return Affected(
        ecosystem=ecosystem,
        release=release,
        name=normal_name(ecosystem, _text(package["name"])),
        versions=tuple(_texts(entry.get("versions"))),
        ranges=tuple(_events(one) for one, kind in zip(ranges, kinds, strict=True) if kind != "GIT"),
        vectors=_vectors(entry),
        git="GIT" in kinds,
    )


def _events(document: Mapping[str, Any]) -> Range:
    events: list[tuple[str, str]] = []
    for event in _objects(document["events"]):
        known = [(kind, _text(event[kind])) for kind in EVENTS if kind in event]
        if len(known) != 1:
            raise ValueError(f"an event of a range is not one of {', '.join(EVENTS)}")
        events += known
    if not any(kind == "introduced" for kind, _ in events):
        raise ValueError("a range has no 'introduced' event")
    return tuple(events)


def _vectors(document: Mapping[str, Any]) -> tuple[str, ...]:
    found = _objects(document.get("severity"))
    return tuple(_text(one["score"]) for one in found if str(one.get("type", "")).startswith("CVSS_"))


def _summary(document: Mapping[str, Any]) -> str:
    for name in ("summary", "details"):
        text = document.get(name)
        if isinstance(text, str) and text.strip():
            line = " ".join(text.strip().splitlines()[0].split())
            return line if len(line) <= _SUMMARY else f"{line[: _SUMMARY - 1]}…"
    return ""


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list | None):
        raise TypeError(f"{str(value)[:40]!r} is no list")
    return [_text(one) for one in value or ()]


def _objects(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list | None) or not all(isinstance(one, dict) for one in value or ()):
        raise TypeError(f"{str(value)[:40]!r} is no list of objects")
    return value or []


def _refused(where: str, why: str) -> AdvisoryError:
    return AdvisoryError(
        f"{where} is no OSV advisory: {why}", next_step="correct or remove the file, or update from another source"
    )

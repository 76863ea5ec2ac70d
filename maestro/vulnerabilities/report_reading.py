"""Takes the document of a report apart, believing nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maestro.vulnerabilities.report import (
    SCHEMA,
    SEVERITIES,
    STATES,
    STATUSES,
    DatabaseInfo,
    Finding,
    Judgement,
    Report,
    Scanner,
    Target,
    Unscanned,
)


def read(document: Any) -> Report:
    """The report ``document`` holds.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it holds none; see :meth:`Report.from_json`.
    """
    if document["schema"] != SCHEMA:
        raise ValueError(f"schema {document['schema']!r} is not {SCHEMA}")
    return Report(
        state=_one_of(document["state"], STATES),
        reason=_text_or_none(document["reason"]),
        scanner=Scanner(_text(document["scanner"]["name"]), _text(document["scanner"]["version"])),
        database=None if document["database"] is None else _database(document["database"]),
        scanned_at=_text(document["scanned_at"]),
        subjects=tuple(Target(_text(one["name"]), _text(one["digest"])) for one in document["subjects"]),
        components=_number(document["components"]),
        findings=tuple(_finding(one) for one in document["findings"]),
        unscanned=tuple(
            Unscanned(_text(one["purl"] if "purl" in one else one["name"]), _text(one["reason"]))
            for one in document["unscanned"]
        ),
    )


def _database(document: Mapping[str, Any]) -> DatabaseInfo:
    return DatabaseInfo(
        _text(document["digest"]),
        _text(document["modified"]),
        _text(document["built"]),
        _number(document["advisories"]),
        _texts(document["sources"]),
    )


def _finding(document: Mapping[str, Any]) -> Finding:
    judged = document["vex"]
    score = document["score"]
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise TypeError(f"{score!r} is no score")
    return Finding(
        id=_text(document["id"]),
        aliases=_texts(document["aliases"]),
        package=_text(document["package"]),
        version=_text(document["version"]),
        purl=_text(document["purl"]),
        ecosystem=_text(document["ecosystem"]),
        severity=_one_of(document["severity"], SEVERITIES),
        score=None if score is None else float(score),
        vector=_text_or_none(document["vector"]),
        published=_text_or_none(document["published"]),
        modified=_text_or_none(document["modified"]),
        fixed=_texts(document["fixed"]),
        summary=_text(document["summary"]),
        vex=None
        if judged is None
        else Judgement(
            _one_of(judged["status"], STATUSES), _text_or_none(judged["justification"]), _text(judged["source"])
        ),
    )


def _one_of(value: Any, words: Sequence[Any]) -> Any:
    if value not in words:
        raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(words)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{str(value)[:40]!r} is no list")
    return tuple(_text(one) for one in value)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{str(value)[:40]!r} is no number of things")
    return value

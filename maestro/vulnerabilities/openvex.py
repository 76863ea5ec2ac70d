"""OpenVEX 0.2.0 (https://github.com/openvex/spec): statements of a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from maestro.vulnerabilities.report import STATUSES
from maestro.vulnerabilities.vex import Product, Statement, said_at


def statements(document: Mapping[str, Any], name: str) -> list[Statement]:
    """The statements of ``document``.

    Raises:
        KeyError, TypeError, ValueError: it breaks the format. ``not_affected`` needs a justification or an impact
            statement, ``affected`` and ``under_investigation`` need none to be heard.
    """
    author = document.get("author")
    source = f"{name} ({author})" if isinstance(author, str) and author else name
    at = str(document.get("timestamp", ""))
    return [_statement(one, source, at) for one in _objects(document["statements"])]


def _statement(document: Mapping[str, Any], source: str, at: str) -> Statement:
    status = document["status"]
    if status not in STATUSES:
        raise ValueError(f"status {str(status)[:40]!r} is none of {', '.join(STATUSES)}")
    why = [_text(document[member]) for member in ("justification", "impact_statement") if document.get(member)]
    if status == "not_affected" and not why:
        raise ValueError("a statement of 'not_affected' has neither 'justification' nor 'impact_statement'")
    vulnerability = document["vulnerability"]
    if isinstance(vulnerability, str):
        ids = {vulnerability}
    else:
        ids = {_text(vulnerability["name"]), *(_text(one) for one in vulnerability.get("aliases") or ())}
    return Statement(
        ids=frozenset(ids),
        products=tuple(_product(one) for one in document.get("products") or ()),
        status=status,
        justification=": ".join(why) or None,
        at=said_at(document.get("timestamp"), at),
        source=source,
    )


def _product(document: Any) -> Product:
    if isinstance(document, str):
        return Product((document,))
    parts = [name for one in document.get("subcomponents") or () for name in _names(one)]
    return Product(tuple(_names(document)), tuple(parts))


def _names(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
        return
    found = False
    if document.get("@id"):
        found = True
        yield _text(document["@id"])
    identifiers = document.get("identifiers") or {}
    if "purl" in identifiers:
        found = True
        yield _text(identifiers["purl"])
    for algorithm, digest in (document.get("hashes") or {}).items():
        if algorithm in ("sha-256", "sha256"):
            found = True
            yield f"sha256:{_text(digest)}"
    if not found:
        raise ValueError("a product has neither '@id', 'identifiers' nor 'hashes'")


def _objects(value: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise TypeError("'statements' is no list of objects")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value

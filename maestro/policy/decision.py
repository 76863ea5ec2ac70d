"""A decision: what policy said about an input, why, and what would have to change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from maestro.policy.errors import PolicyError

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that spoke.

    Args:
        rule: its name.
        message: one sentence, with object, actual and allowed in it.
        object: what it is about.
        actual: how that is.
        allowed: how it would have to be.
        fix: what to do about it, as an imperative.
    """

    rule: str
    message: str
    object: str
    actual: str
    allowed: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What policy said.

    Args:
        policy: ``supply_chain.release``.
        allow: it may go on.
        reasons: why not; empty when it may.
        changes: what would have to change for an allow, each once.
        warnings: rules that spoke and do not deny.
        bundle_version, bundle_digest: of the policies that were evaluated.
        input_digest: ``sha256:<hex>`` of the canonical JSON of the input.
        engine: what evaluated: ``regorus 0.9.1``, ``opa http://…``.
        at: RFC 3339, UTC.
        error: why there is no answer of the policy; then it is a deny.
        waivers: those that were used, with ``id``, ``reason``, ``approver``, ``expires``, ``finding``, ``object``.
    """

    policy: str
    allow: bool
    reasons: tuple[Reason, ...] = ()
    changes: tuple[str, ...] = ()
    warnings: tuple[Reason, ...] = ()
    bundle_version: str
    bundle_digest: str
    input_digest: str
    engine: str
    at: str
    error: str | None = None
    waivers: tuple[Mapping[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits, from everything the decision says."""
        return hashlib.sha256(canonical(self._content())).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {"schema": _SCHEMA, "id": self.id, **self._content()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Decision:
        """The decision ``document`` holds.

        Raises:
            PolicyError: it holds none, or one that was changed.
        """
        try:
            given = {one.name: document[one.name] for one in fields(cls)}
            given["reasons"] = tuple(Reason(**one) for one in given["reasons"])
            given["warnings"] = tuple(Reason(**one) for one in given["warnings"])
            given["changes"] = tuple(given["changes"])
            given["waivers"] = tuple(dict(one) for one in given["waivers"])
            made = cls(**given)
            unchanged = made.id == document["id"] and document.get("schema") == _SCHEMA
        except (KeyError, TypeError, ValueError):
            raise PolicyError(
                "this is no decision", next_step="give the decision.json a gate has left, or a decision's id"
            ) from None
        if not unchanged:
            raise PolicyError(
                f"the decision {str(document['id'])[:40]} was changed since it was made",
                next_step="read it from its signed statement: maestro evidence show",
            )
        return made

    def _content(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "reasons": [asdict(one) for one in self.reasons],
            "warnings": [asdict(one) for one in self.warnings],
            "changes": list(self.changes),
            "waivers": [dict(one) for one in self.waivers],
        }


def canonical(document: Any) -> bytes:
    """Sorted, compact JSON.

    Raises:
        ValueError, TypeError, RecursionError: it is no JSON.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode(
        "ascii"
    )

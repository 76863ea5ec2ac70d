"""From an engine's answer to a decision. Whatever goes wrong on the way is a deny that says so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from maestro.errors import MaestroError, missing_library
from maestro.policy.decision import Decision, Reason, canonical
from maestro.policy.engine import PolicyEngine
from maestro.policy.errors import PolicyEngineError

_POLICY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_FIELDS = tuple(one.name for one in fields(Reason))
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Answer:
    allow: bool
    deny: tuple[Reason, ...]
    warn: tuple[Reason, ...]
    waived: tuple[Mapping[str, Any], ...]


def decide(
    engine: PolicyEngine | Callable[[], PolicyEngine],
    policy: str,
    input_: Mapping[str, Any],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Decision:
    """What ``policy`` says of ``input_``. Never raises: where there is no usable answer, the decision is a deny.

    Args:
        engine: or what opens it, so that a bundle that cannot be loaded is a deny as well.
        policy: package and rule, ``supply_chain.release``.
        input_: the input document (docs/policies.md).
    """
    opened: PolicyEngine | None = None
    digest = _UNKNOWN
    answer = _Answer(False, (), (), ())
    error: MaestroError | None = None
    try:
        document = _encoded(input_)
        digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
        opened = engine() if callable(engine) else engine
        if not _POLICY.fullmatch(policy):
            raise PolicyEngineError(
                f"'{policy[:80]}' names no policy", next_step="write package and rule, like supply_chain.release"
            )
        answer = _read(policy, opened.evaluate(policy, document.decode("ascii")))
    except MaestroError as told:
        error = told
    except Exception as unexpected:  # noqa: BLE001 - a gate that cannot ask must stay closed, whatever the cause
        error = missing_library(unexpected, "asking a policy") or PolicyEngineError(
            f"the policy engine failed: {type(unexpected).__name__}: {str(unexpected)[:300]}",
            next_step="report this; until then the gate stays closed",
        )
    changes = [one.fix for one in answer.deny if one.fix]
    if error is not None:
        changes = [error.next_step] if error.next_step else []
    return Decision(
        policy=policy,
        allow=answer.allow and error is None,
        reasons=answer.deny,
        changes=tuple(dict.fromkeys(changes)),
        warnings=answer.warn,
        bundle_version=opened.bundle.version if opened else _UNKNOWN,
        bundle_digest=opened.bundle.digest if opened else _UNKNOWN,
        input_digest=digest,
        engine=opened.name if opened else _UNKNOWN,
        at=now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        error=None if error is None else f"{error.where}: {error.what}" if error.where else error.what,
        waivers=answer.waived,
    )


def _encoded(input_: Mapping[str, Any]) -> bytes:
    try:
        if not isinstance(input_, Mapping):
            raise TypeError("it is no object")
        return canonical(dict(input_))
    except (ValueError, TypeError, RecursionError) as error:
        raise PolicyEngineError(
            f"the input is no JSON object: {str(error)[:200]}", next_step="ask with the input document of a gate"
        ) from None


def _read(policy: str, value: Any) -> _Answer:
    def wrong(what: str) -> PolicyEngineError:
        return PolicyEngineError(
            f"'{policy}' gave no usable answer: {what}",
            next_step='let it be {"allow": true or false, "deny": […], "warn": […], "waived": […]} (docs/policies.md)',
        )

    if not isinstance(value, dict):
        raise wrong(f"it is {_kind(value)}, not an object")
    allow = value.get("allow")
    if not isinstance(allow, bool):
        raise wrong(f"'allow' is {_kind(allow)}, not a boolean")
    deny, warn = (_reasons(value.get(name, []), name, wrong) for name in ("deny", "warn"))
    waived = value.get("waived", [])
    if not isinstance(waived, list) or not all(isinstance(one, dict) and "id" in one for one in waived):
        raise wrong("'waived' is no list of waivers")
    if allow and deny:
        raise wrong("it allows and denies at once")
    if not allow and not deny:
        raise wrong("it denies without a reason")
    return _Answer(allow, deny, warn, tuple(waived))


def _reasons(value: Any, name: str, wrong: Callable[[str], PolicyEngineError]) -> tuple[Reason, ...]:
    if not isinstance(value, list):
        raise wrong(f"'{name}' is {_kind(value)}, not a set")
    found = []
    for one in value:
        if not isinstance(one, dict) or set(one) != set(_FIELDS) or not all(isinstance(t, str) for t in one.values()):
            raise wrong(f"'{name}' holds something that has not exactly the texts {', '.join(_FIELDS)}")
        if name == "deny" and not (one["message"] and one["fix"]):
            raise wrong(f"rule '{one['rule']}' denies without a message or a fix")
        found.append(Reason(**one))
    # A set has no order; people compare decisions.
    return tuple(sorted(found, key=lambda one: (one.rule, one.object, one.message)))


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    return {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}.get(type(value), "a number")

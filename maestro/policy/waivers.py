"""Waivers: a named finding may pass, for a reason, by somebody's word, until a day. Only signed ones count."""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from maestro.policy.decision import canonical
from maestro.policy.errors import PolicyError
from maestro.signing.origin import write_seconds

if TYPE_CHECKING:
    from maestro.artifacts import ArtifactStore
    from maestro.signing import TrustRoot

LONGEST = timedelta(days=365)
_FINDING = re.compile(r"[^\s\x00-\x1f\x7f*?]{1,200}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Waiver:
    """Lets a finding pass.

    Args:
        finding: its id or an alias (``CVE-2024-1``); of a secret its fingerprint. Never a pattern.
        reason: why it may pass.
        approver: who says so.
        created, expires: RFC 3339, UTC; at most 365 days apart.
        purl: only in this package: a package URL, with or without its version.
        subject: only in this artifact: ``sha256:<hex>``, or its name as a pattern.
        file: only in files that match this pattern (``tests/*``); for secrets.
    """

    finding: str
    reason: str
    approver: str
    created: str
    expires: str
    purl: str | None = None
    subject: str | None = None
    file: str | None = None

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, from everything it says."""
        return hashlib.sha256(canonical(asdict(self))).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types, for :meth:`from_json`."""
        return {"id": self.id, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Waiver:
        """The waiver ``document`` holds.

        Raises:
            PolicyError: it holds none.
        """
        try:
            made = cls(**{one.name: document[one.name] for one in fields(cls)})
        except (KeyError, TypeError):
            raise PolicyError("this is no waiver") from None
        _check(made)
        return made

    def expired(self, now: datetime) -> bool:
        """It does not count any more, or not yet."""
        return not _time(self.created) - timedelta(minutes=5) <= now < _time(self.expires)


def make_waiver(
    finding: str,
    *,
    reason: str,
    approver: str,
    expires: datetime,
    now: datetime,
    purl: str | None = None,
    subject: str | None = None,
    file: str | None = None,
) -> Waiver:
    """A waiver from now on.

    Raises:
        PolicyError: it has no reason or approver, names no finding, or ends in the past or later than in 365 days.
    """
    made = Waiver(
        finding=finding,
        reason=reason.strip(),
        approver=approver.strip(),
        created=write_seconds(now),
        expires=write_seconds(expires),
        purl=purl,
        subject=subject,
        file=file,
    )
    _check(made)
    return made


def apply_waivers(
    input_: Mapping[str, Any], waivers: Sequence[Waiver], now: datetime
) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """``input_`` with the waivers that count marked on their findings; marks that were there before are taken away.

    Returns:
        The input, and for each finding that is waived ``id``, ``reason``, ``approver``, ``expires``, ``finding`` and
        ``object``.
    """
    made = copy.deepcopy(dict(input_))
    counting = sorted((one for one in waivers if not one.expired(now)), key=lambda one: (one.expires, one.id))
    used: list[dict[str, Any]] = []
    names = {one.get("digest"): one.get("name", "") for one in _objects(made.get("subjects"))}
    for scan in _objects(made.get("vulnerabilities")):
        digest = scan.get("subject")
        for finding in _objects(scan.get("findings")):
            ids = {finding.get("id"), *(finding.get("aliases") or ())}
            waiver = next(
                (
                    one
                    for one in counting
                    if one.finding in ids
                    and one.file is None
                    and _is_package(one.purl, finding.get("purl"))
                    and _is_subject(one.subject, digest, names.get(digest))
                ),
                None,
            )
            _mark(finding, waiver, used, str(finding.get("id")), str(names.get(digest) or digest))
    secrets = made.get("secrets")
    for finding in _objects(secrets.get("findings") if isinstance(secrets, dict) else None):
        name = str(finding.get("file"))
        waiver = next(
            (
                one
                for one in counting
                if one.finding == finding.get("fingerprint")
                and one.purl is None
                and one.subject is None
                and (one.file is None or fnmatch.fnmatchcase(name, one.file))
            ),
            None,
        )
        _mark(finding, waiver, used, str(finding.get("fingerprint")), name)
    return made, tuple(used)


def load_waivers(store: ArtifactStore, trust: TrustRoot, *, now: datetime) -> tuple[Waiver, ...]:
    """The waivers in ``store`` that count now: signed by a trusted key, neither expired nor revoked."""
    from maestro.policy.waiver_store import kept_waivers

    return tuple(one.waiver for one in kept_waivers(store, trust, now=now) if one.state == "active" and one.waiver)


def _mark(
    finding: dict[str, Any], waiver: Waiver | None, used: list[dict[str, Any]], name: str, object_name: str
) -> None:
    finding["waived"] = waiver is not None
    finding["waiver"] = None
    if waiver is not None:
        about = {"id": waiver.id, "reason": waiver.reason, "approver": waiver.approver, "expires": waiver.expires}
        finding["waiver"] = about
        used.append({**about, "finding": name, "object": object_name})


def _is_package(wanted: str | None, purl: object) -> bool:
    if wanted is None:
        return True
    if not isinstance(purl, str):
        return False
    # Qualifiers and subpath name no other package (purl-spec); a version does when it is wanted.
    plain = purl.partition("#")[0].partition("?")[0]
    return wanted in (purl, plain, plain.rpartition("@")[0] if "@" in plain.rpartition("/")[2] else plain)


def _is_subject(wanted: str | None, digest: object, name: object) -> bool:
    if wanted is None or wanted == digest:
        return True
    if _DIGEST.fullmatch(wanted):
        return False
    return isinstance(name, str) and fnmatch.fnmatchcase(name, wanted)


def _objects(value: object) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _check(waiver: Waiver) -> None:
    if not isinstance(waiver.finding, str) or not _FINDING.fullmatch(waiver.finding):
        raise PolicyError(
            f"{ascii(waiver.finding)[:80]} names no finding; a waiver is for one, not for a pattern",
            next_step="give the id the gate's decision shows, such as CVE-2024-1234",
        )
    for name in ("reason", "approver"):
        value = getattr(waiver, name)
        if not isinstance(value, str) or not value or len(value) > 1000 or not value.isprintable():
            raise PolicyError(f"a waiver has to say its {name}, in one line", next_step=f"give it with --{name}")
    for name in ("purl", "subject", "file"):
        value = getattr(waiver, name)
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 500 or not value.isprintable()):
            raise PolicyError(f"the {name} of the waiver cannot be used: {ascii(value)[:80]}")
    lasting = _time(waiver.expires) - _time(waiver.created)
    if lasting <= timedelta():
        raise PolicyError(f"the waiver would expire at {waiver.expires}, which is past", next_step="give a later day")
    if lasting > LONGEST:
        raise PolicyError(
            f"the waiver would last {lasting.days} days; at most {LONGEST.days} are allowed",
            next_step="choose an earlier day, and look at the finding again then",
        )


def _time(text: object) -> datetime:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise PolicyError(f"{ascii(text)[:60]} is no time with a zone", next_step="write it like 2030-01-31T00:00:00Z")
    return at

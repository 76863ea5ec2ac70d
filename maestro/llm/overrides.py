"""Overrides: a person's word that one target goes to one model, with a reason, a scope and an end; kept and revoked.

Whoever calls writes the event that comes with it into the audit log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import InputError, MaestroError
from maestro.ledger.model import ScopeKind
from maestro.llm.catalogue import Catalogue
from maestro.llm.decision_documents import moment
from maestro.llm.overriding import ANY
from maestro.llm.state import Override, PolicyVerdict
from maestro.llm.targets import unknown_target
from maestro.server.database import first_line, make_tables, reading

LONGEST = timedelta(days=90)
"""How long an override may hold."""
METADATA = sa.MetaData()
OVERRIDES = sa.Table(
    "maestro_llm_overrides",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False, index=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("strict", sa.Boolean, nullable=False),
    sa.Column("revoked", sa.Double),
    sa.Column("revoked_by", sa.Text, nullable=False),
    sa.Column("revoked_reason", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

Allowed = Callable[[Override], PolicyVerdict]
"""What the policy says of an override."""


@dataclass(frozen=True, slots=True)
class Change:
    """An override that was put or revoked, and what the audit log is to be told.

    Args:
        kind, object, data: of an ``AuditEvent``: ``llm.override.added`` or ``llm.override.revoked``.
    """

    override: Override
    kind: str
    object: str
    data: Mapping[str, Any]


class OverrideStore:
    """Overrides in a database; its table is made when it is not there.

    Raises:
        MaestroError: the database does not answer.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def put(self, override: Override, catalogue: Catalogue, *, allowed: Allowed | None = None) -> Change:
        """Keeps an override made by :func:`make_override`.

        Args:
            allowed: asked first; None: no policy is in effect.

        Raises:
            InputError: it names what is not in the catalogue, or the policy does not allow it; nothing is kept.
        """
        check_names(override, catalogue)
        if allowed is not None:
            verdict = allowed(override)
            if not verdict.allow:
                told = "; ".join(verdict.reasons) or "it gives no reason"
                raise InputError(
                    f"the policy does not allow this override: {told}",
                    next_step="ask somebody it allows, or have the policy changed (docs/models.md)",
                )
        row = {
            **{one.name: getattr(override, one.name) for one in fields(Override)},
            "created": override.created.timestamp(),
            "expires": override.expires.timestamp(),
            "revoked": None,
            "revoked_reason": "",
        }
        with self._writing() as connection:
            connection.execute(OVERRIDES.insert().values(row))
        return Change(override, "llm.override.added", override.id, override_json(override))

    def revoke(self, id: str, *, reason: str, actor: str, now: datetime | None = None) -> Change:
        """Ends an override; from now on it means nothing.

        Raises:
            InputError: there is no such override in force, or no reason is given.
        """
        reason = _one_line(reason, "a revocation needs a reason, in one line")
        at = now or datetime.now(UTC)
        with self._writing() as connection:
            row = connection.execute(sa.select(OVERRIDES).where(OVERRIDES.c.id == id)).mappings().one_or_none()
            if row is None:
                raise InputError(
                    f"there is no override '{id[:60]}'", next_step="list them with `maestro llm override list`"
                )
            if row["revoked"] is not None:
                raise InputError(f"the override {id} is revoked already")
            connection.execute(
                OVERRIDES.update()
                .where(OVERRIDES.c.id == id)
                .values(revoked=at.timestamp(), revoked_by=actor, revoked_reason=reason)
            )
        override = replace(_override(row), revoked=at, revoked_by=actor)
        return Change(override, "llm.override.revoked", id, {**override_json(override), "revocation_reason": reason})

    def list(self, *, scopes: Sequence[str] | None = None, at: datetime | None = None) -> tuple[Override, ...]:
        """Overrides, the newest first.

        Args:
            scopes: only those of these scopes.
            at: only those in force then; None: all, also expired and revoked ones.
        """
        query = sa.select(OVERRIDES).order_by(OVERRIDES.c.created.desc(), OVERRIDES.c.id)
        if scopes is not None:
            query = query.where(OVERRIDES.c.scope.in_(scopes))
        if at is not None:
            seconds = at.timestamp()
            query = query.where(
                OVERRIDES.c.created <= seconds, OVERRIDES.c.expires > seconds, OVERRIDES.c.revoked.is_(None)
            )
        try:
            with reading(self._engine).begin() as connection:
                return tuple(_override(row) for row in connection.execute(query).mappings())
        except SQLAlchemyError as error:
            raise _unreachable(error) from error

    def active(self, at: datetime | None = None) -> tuple[Override, ...]:
        """Those in force."""
        return self.list(at=at or datetime.now(UTC))

    def _writing(self) -> _Writing:
        return _Writing(self._engine)


def make_override(
    target: str,
    model: str,
    *,
    reason: str,
    scope: str,
    expires: datetime | timedelta,
    actor: str,
    strict: bool = False,
    now: datetime | None = None,
) -> Override:
    """An override, checked but for the names of the catalogue.

    Args:
        target: model, route or capability; ``*``: any.
        scope: ``tenant:acme``, ``project:acme/app``, ``pull_request:acme/app#7``, ``run:<id>``, ``step:<id>/<step>``.
        expires: when, or after how long; at most 90 days.

    Raises:
        InputError: the reason is missing, the scope is none, or it would hold too long or not at all.
    """
    at = now or datetime.now(UTC)
    kind, _, name = scope.partition(":")
    kinds = get_args(ScopeKind)
    if kind not in kinds or not name.strip() or "@" in name:
        raise InputError(
            f"'{scope[:80]}' is no scope",
            next_step=f"write kind and name, like project:acme/app; kinds: {', '.join(kinds)}",
        )
    end = at + expires if isinstance(expires, timedelta) else expires
    if end.tzinfo is None:
        raise InputError("the expiry has no time zone", next_step="write it in UTC, like 2026-12-01T00:00:00Z")
    if end <= at:
        raise InputError("the override would have expired already", next_step="give a time that is to come")
    if end - at > LONGEST:
        raise InputError(
            f"an override holds for at most {LONGEST.days} days",
            next_step="give an earlier end, or change the route in models.yaml",
        )
    if not actor.strip():
        raise InputError("nobody is named who overrides", next_step="sign in, so that it is known who it is")
    return Override(
        id=f"ovr_{int(at.timestamp() * 1000):012x}{os.urandom(4).hex()}",
        target=target or ANY,
        model=model,
        reason=_one_line(reason, "an override needs a reason, in one line"),
        scope=scope,
        actor=actor,
        created=at,
        expires=end,
        strict=strict,
    )


def check_names(override: Override, catalogue: Catalogue) -> None:
    """Whether the catalogue has what the override names.

    Raises:
        NoModelError: it has not; says what is near.
    """
    if override.model not in catalogue.models:
        if override.model in catalogue.routes:
            raise InputError(
                f"'{override.model}' is a route; an override names one model",
                next_step="name a model (`maestro llm models`)",
            )
        raise unknown_target(catalogue, override.model)
    known = override.target in catalogue.models or override.target in catalogue.routes
    if override.target != ANY and not known and override.target not in catalogue.capabilities:
        raise unknown_target(catalogue, override.target)


def override_json(override: Override) -> dict[str, Any]:
    """A dict of JSON types."""
    return {
        **asdict(override),
        "created": moment(override.created),
        "expires": moment(override.expires),
        "revoked": None if override.revoked is None else moment(override.revoked),
    }


def _override(row: Any) -> Override:
    def time(name: str) -> datetime:
        return datetime.fromtimestamp(row[name], UTC)

    return Override(
        **{
            **{one.name: row[one.name] for one in fields(Override)},
            "created": time("created"),
            "expires": time("expires"),
            "revoked": None if row["revoked"] is None else time("revoked"),
        }
    )


def _one_line(text: str, what: str) -> str:
    found = text.strip()
    if not found or not found.isprintable() or len(found) > 500:
        raise InputError(what, next_step="give it with --reason, up to 500 characters")
    return found


def _unreachable(error: SQLAlchemyError) -> MaestroError:
    return MaestroError(
        f"overrides cannot be read or written: {first_line(error)}",
        next_step="check that the ledger's database can be reached",
    )


class _Writing:
    """A transaction whose database errors are Maestro's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._begun = engine.begin()

    def __enter__(self) -> sa.Connection:
        try:
            return self._begun.__enter__()
        except SQLAlchemyError as error:
            raise _unreachable(error) from error

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self._begun.__exit__(kind, error, trace)
        except SQLAlchemyError as failed:
            raise _unreachable(failed) from failed
        if isinstance(error, SQLAlchemyError):
            raise _unreachable(error) from error

"""Compares decisions as they are kept with what the audit log says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from maestro.audit.reader import Filter
from maestro.llm.audit_logs import identity_of
from maestro.llm.audit_report import AuditFinding, DecisionsReport, Kind
from maestro.llm.auditing import AUDIT_KIND, LEFT, MOST, OPEN
from maestro.llm.decision_documents import decision_from, outcome_from
from maestro.llm.decision_lines import digest_of, line_of
from maestro.llm.decision_tables import AUDITED, BATCH_LOGS, BATCHES, CALLS, DECISIONS
from maestro.llm.decisions import answering
from maestro.llm.retention import REMOVED_KIND, moment_of
from maestro.server.database import reading

if TYPE_CHECKING:
    from maestro.audit.event import Entry
    from maestro.audit.log import AuditLog

_NEVER = datetime.min.replace(tzinfo=UTC)
_LATE = timedelta(hours=1)
"""Beyond the time after which the next one brings what was left into the log."""
_PAGE = 2000
_DECISION_COLUMNS = ("id", "at", "tenant", "project", "pull_request", "run", "step", "actor", "target", "route",
                     "chosen", "document")  # fmt: skip
_CALL_COLUMNS = ("decision", "at", "state", "model", "cost_nano", "document")


def verify_decisions(engine: sa.Engine, log: AuditLog, *, now: datetime | None = None) -> DecisionsReport:
    """Recomputes every batch; needs about 100 bytes of memory a decision.

    Raises:
        MaestroError: database or log do not answer, or a row of the log was never written.
    """
    check = _Check(engine, now or datetime.now(UTC))
    check.log(log)
    check.removed_before = _removed_before(log)
    for entry in log.entries(chosen=Filter(kind=AUDIT_KIND)):
        check.entry(entry)
    check.others(identity_of(log).id)
    return DecisionsReport(
        check.entries,
        check.sound,
        check.expired,
        check.waiting,
        tuple(check.repeated),
        tuple(check.findings),
        dict(sorted(check.elsewhere.items())),
    )


def anything_kept(engine: sa.Engine) -> bool:
    """Whether a decision is kept, or anything that only a decision leaves behind.

    Raises:
        MaestroError: the database does not answer.
    """
    traces = (DECISIONS.c.id, CALLS.c.decision, AUDITED.c.decision, BATCHES.c.id, BATCH_LOGS.c.batch)
    with answering("decisions cannot be read"), reading(engine).begin() as connection:
        return any(connection.execute(sa.select(one).limit(1)).first() is not None for one in traces)


def _removed_before(log: AuditLog) -> datetime:
    """What was made before then was removed after its time."""
    found = _NEVER
    for entry in log.entries(chosen=Filter(kind=REMOVED_KIND)):
        try:
            # Whole seconds stand there.
            found = max(found, datetime.fromisoformat(str(entry.data["before"])) + timedelta(seconds=1))
        except (KeyError, ValueError, TypeError):
            continue
    return found


@dataclass
class _Check:
    engine: sa.Engine
    now: datetime
    removed_before: datetime = _NEVER
    entries: int = 0
    sound: int = 0
    expired: int = 0
    waiting: int = 0
    repeated: list[int] = field(default_factory=list)
    findings: list[AuditFinding] = field(default_factory=list)
    elsewhere: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seen: set[bytes] = set()
        self._batches: dict[str, tuple[int, bytes]] = {}

    def log(self, log: AuditLog) -> None:
        report = log.verify()
        if not report.ok:
            what = f"the audit log itself is not what was signed: {report.findings[0].what}; see `maestro audit verify`"
            self._found("log", None, report.findings[0].first, what)

    def entry(self, entry: Entry) -> None:
        self.entries += 1
        before = self._batches.get(entry.object)
        said = _fingerprint(entry.data)
        if before is not None and before[1] == said:
            self.repeated.append(entry.index)
            return
        self._batches.setdefault(entry.object, (entry.index, said))
        listed = entry.data.get("decisions")
        if not isinstance(listed, Mapping) or not all(isinstance(one, str) for one in listed.values()):
            self._found("entry", None, entry.index, f"entry {entry.index} does not say which decisions it is about")
            return
        lines: dict[str, str] = {}
        for ids in _parts(sorted(listed)):
            lines |= self._compared(entry, {id: listed[id] for id in ids})
        # As many as it says and all as they were: then their hash must be the entry's.
        whole = len(lines) == len(listed)
        if whole and (digest_of(lines.values()) != entry.data.get("sha256") or entry.data.get("count") != len(lines)):
            self._found("entry", None, entry.index, f"the hash of entry {entry.index} is not that of its decisions")

    def _compared(self, entry: Entry, listed: Mapping[str, str]) -> dict[str, str]:
        """The lines of those that are as they were."""
        with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
            rows = {row[0]: row for row in connection.execute(_rows(list(listed)))}
        same: dict[str, str] = {}
        for id, said in listed.items():
            if _packed(id) in self._seen:
                self._found("twice", id, entry.index, f"{id} is in entry {entry.index} and in an earlier one")
            self._seen.add(_packed(id))
            row = rows.get(id)
            if row is None:
                self._gone(id, entry)
                continue
            problem, line = _compare(row, said)
            if problem:
                self._found("edited", id, entry.index, f"{id} is not what entry {entry.index} says: {problem}")
            else:
                self.sound += 1
                same[id] = line
        return same

    def _gone(self, id: str, entry: Entry) -> None:
        made = moment_of(id)
        if made is not None and made < self.removed_before:
            self.expired += 1
            return
        when = "" if made is None else f" of {made:%Y-%m-%d %H:%M} UTC"
        what = (
            f"{id}{when} is in entry {entry.index} and gone, and the log does not say that it was removed in its time"
        )
        self._found("removed", id, entry.index, what)

    def others(self, mine: str) -> None:
        """Those in no entry of this log, whose id is ``mine``."""
        for id, at, ended, batch, log, name in self._all():
            if _packed(id) in self._seen:
                continue
            if log is not None and log != mine:
                self.elsewhere[name] = self.elsewhere.get(name, 0) + 1
                continue
            since = at + OPEN.total_seconds() if ended is None else ended + LEFT.total_seconds()
            if since + _LATE.total_seconds() > self.now.timestamp():
                self.waiting += 1
                continue
            if batch is None:
                what = f"no entry has {id}"
            else:
                what = f"{id} is marked as audited in {batch}, and no entry of the audit log has it"
            self._found("unaudited", id, None, what)

    def _all(self) -> Iterator[Sequence[Any]]:
        """Id, when it was made and ended, its batch, and the id and name of the log that one is in."""
        query = (
            sa.select(DECISIONS.c.id, DECISIONS.c.at, CALLS.c.at, AUDITED.c.batch, BATCH_LOGS.c.log, BATCH_LOGS.c.name)
            .select_from(
                DECISIONS.outerjoin(AUDITED, AUDITED.c.decision == DECISIONS.c.id)
                .outerjoin(BATCH_LOGS, BATCH_LOGS.c.batch == AUDITED.c.batch)
                .outerjoin(CALLS, CALLS.c.decision == DECISIONS.c.id)
            )
            .order_by(DECISIONS.c.at, DECISIONS.c.id)
            .limit(_PAGE)
        )
        after: tuple[float, str] | None = None
        while True:
            page = query
            if after is not None:
                place = sa.tuple_(DECISIONS.c.at, DECISIONS.c.id)
                page = query.where(place > sa.tuple_(*map(sa.literal, after)))
            with answering("decisions cannot be read"), reading(self.engine).begin() as connection:
                rows = connection.execute(page).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            after = (rows[-1][1], rows[-1][0])

    def _found(self, kind: Kind, decision: str | None, entry: int | None, what: str) -> None:
        self.findings.append(AuditFinding(kind, decision, entry, what))


def _rows(ids: Sequence[str]) -> sa.Select[Any]:
    columns = [*(DECISIONS.c[name] for name in _DECISION_COLUMNS), *(CALLS.c[name] for name in _CALL_COLUMNS)]
    whole = DECISIONS.outerjoin(CALLS, CALLS.c.decision == DECISIONS.c.id)
    return sa.select(*columns).select_from(whole).where(DECISIONS.c.id.in_(ids))


def _compare(row: Sequence[Any], said: str) -> tuple[str, str]:
    """What is not as it was, nothing when all is; and its line."""
    decision, call = row[: len(_DECISION_COLUMNS)], row[len(_DECISION_COLUMNS) :]
    document, outcome = decision[-1], call[-1]
    try:
        line = line_of(document, outcome)
        if digest_of([line]) != said:
            return "what is kept of it was changed", line
        wrong = [*_differing(_DECISION_COLUMNS, decision, _columns_of(document))]
        if outcome is not None:
            wrong += _differing(_CALL_COLUMNS, call, _columns_of_call(outcome))
    except Exception:  # noqa: BLE001 - whatever stands in a row that was changed, it is one that was changed
        return "what is kept of it cannot be read", ""
    if wrong:
        return f"beside its document, {', '.join(wrong)} was changed in its row", line
    return "", line


def _columns_of(document: str) -> tuple[Any, ...]:
    made = decision_from(document)
    who = made.attribution
    whose = (who.tenant, who.project, who.pull_request, who.run, who.step, who.actor)
    return made.id, made.at.timestamp(), *whose, made.target, made.route, made.chosen


def _columns_of_call(document: str) -> tuple[Any, ...]:
    made = outcome_from(document)
    return made["decision"], made["at"].timestamp(), made["state"], made["model"], made["cost_nano"]


def _differing(names: Sequence[str], row: Sequence[Any], wanted: Sequence[Any]) -> Iterator[str]:
    for name, value, other in zip(names, row, wanted, strict=False):
        if value != other:
            yield f"'{name}'"


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while part := list(islice(rest, MOST)):
        yield part


def _packed(id: str) -> bytes:
    """Short, since of millions each is remembered."""
    try:
        return bytes.fromhex(id.removeprefix("dec_")) if len(id) == 30 else id.encode()
    except ValueError:
        return id.encode()


def _fingerprint(data: Mapping[str, Any]) -> bytes:
    from maestro.llm.decision_lines import canonical

    return digest_of([canonical(dict(data))]).encode()

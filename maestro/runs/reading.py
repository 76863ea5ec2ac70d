"""Lists, shows and follows runs, wherever they are read from."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from maestro.errors import InputError, MaestroError
from maestro.runs.client import News
from maestro.runs.event import Reader, RunEvent, RunRecord
from maestro.runs.fold import LAST_EVENTS, PROGRESS, STEP_EVENTS, RunFold, is_lost, plain_view
from maestro.runs.follow_logs import FollowedLogs
from maestro.runs.view import FINISHED, RunState, RunView

LATEST = "latest"
_PATIENCE = 0.2
_LOOK_SECONDS = 1.0
_SETTLE_SECONDS = 5.0
_SETTLE_PAUSE = 0.05
_ID_LENGTH = 36


def identify(reader: Reader, run_id: str) -> str:
    """The id ``run_id`` stands for: ``latest``, a whole id, or the first characters of one.

    Raises:
        InputError: no run begins so, or several do.
    """
    if run_id == LATEST:
        newest = reader.recent(1)
        if not newest:
            raise InputError("there is no run yet", next_step="start one with `maestro run`")
        return newest[0].run_id
    if len(run_id) >= _ID_LENGTH:
        return run_id
    found = meant(run_id, reader.ids())
    if found is None:
        raise unknown_run(run_id)
    return found


def meant(run_id: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that is ``run_id`` or begins so; None: there is none. A whole id is itself, known or not.

    Raises:
        InputError: several begin so.
    """
    if len(run_id) >= _ID_LENGTH:
        return run_id
    found = [one for one in known if run_id and one.startswith(run_id)]
    if len(found) > 1 and run_id not in found:
        raise InputError(
            f"{len(found)} runs begin with '{run_id}': {', '.join(one[:12] for one in found[:5])}",
            next_step="give more characters of the id",
        )
    return run_id if run_id in found else next(iter(found), None)


def unknown_run(run_id: str) -> InputError:
    """There is no such run."""
    return InputError(f"there is no run '{run_id}'", next_step="list the runs with `maestro status`")


def record_of(reader: Reader, run_id: str) -> RunRecord:
    """The record of the run ``run_id`` stands for.

    Raises:
        InputError: there is none.
    """
    whole = identify(reader, run_id)
    record = reader.record(whole)
    if record is None:
        raise unknown_run(run_id)
    return record


def list_runs(reader: Reader, limit: int) -> list[RunView]:
    """The newest runs first, without their steps."""
    return [plain_view(record) for record in reader.recent(limit)]


def folded(reader: Reader, run_id: str) -> tuple[RunRecord, RunFold]:
    """The run ``run_id`` stands for, and what its events add up to."""
    record = record_of(reader, run_id)
    fold = RunFold(record.run_id)
    for event in reader.events(record.run_id):
        fold.take(event)
    # Read again: a run that ended while its events were read is shown as ended, with all of them.
    again = reader.record(record.run_id) or record
    if again.state != record.state:
        fold = RunFold(record.run_id)
        for event in reader.events(record.run_id):
            fold.take(event)
    return again, fold


def get_run(reader: Reader, run_id: str) -> RunView:
    """One run with its steps."""
    record, fold = folded(reader, run_id)
    return fold.view(record)


def read_log(reader: Reader, run_id: str, step: str) -> Iterator[bytes]:
    """What a step has written so far.

    Raises:
        InputError: the run has no such step.
    """
    _record, fold = folded(reader, run_id)
    names = chosen_steps([one.step for one in fold.steps], [step])
    if len(names) > 1:
        raise InputError(f"'{step}' are several steps: {', '.join(sorted(names))}", next_step="name one of them")
    return _log(reader, fold, names)


def _log(reader: Reader, fold: RunFold, names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        for key in fold.logs(name):
            offset = 0
            while part := reader.logs({key: offset}).get(key):
                data, offset = part
                yield data


def chosen_steps(names: Sequence[str], words: Sequence[str]) -> set[str]:
    """Of ``names``, those the words mean: a step, its id, all cells of a matrix, a stage.

    Raises:
        InputError: a word means none.
    """
    found: set[str] = set()
    for word in words:
        meant = [one for one in names if _means(word, one)]
        if not meant:
            close = difflib.get_close_matches(word, names, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise InputError(
                f"the run has no step '{word}'", next_step=f"{hint}its steps: {', '.join(names) or 'none'}"
            )
        found |= set(meant)
    return found


def _means(word: str, name: str) -> bool:
    return name == word or name.startswith(f"{word.rstrip('/')}/") or name.split("/")[1:2] == [word]


def follow_run(reader: Reader, run_id: str, steps: Sequence[str], logs: bool) -> Iterator[News]:
    """What has happened and what happens, in order, until the run ends."""
    return _Follower(reader, record_of(reader, run_id), steps, logs).news()


class _Follower:
    def __init__(self, reader: Reader, record: RunRecord, words: Sequence[str], logs: bool) -> None:
        self._reader = reader
        self._record = record
        self._fold = RunFold(record.run_id)
        self._words = words
        self._checked = not words
        self._logs = FollowedLogs(reader, self._fold) if logs else None
        self._looked = 0.0
        self._lost = False
        self._end: RunState | None = None

    def news(self) -> Iterator[News]:
        with self._reader.watch(self._record.run_id) as watch:
            ended = False
            while not ended:
                batch = watch.news(_PATIENCE)
                for event in batch:
                    yield from self._take(event)
                    self._end = LAST_EVENTS.get(event.kind, self._end)
                ended = self._end is not None
                if self._logs is not None:
                    yield from self._logs.lines()
                if not batch and not ended:
                    ended = self._is_over()
        if self._logs is not None:
            yield from self._logs.rest()
        self._record = self._settled()
        yield News(self._record.ended or time.time(), run=self._fold.view(self._record))

    def _settled(self) -> RunRecord:
        """The record as it is in the end: Dagster writes the event first, then the run's state."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            record = self._look()
            if record.state in FINISHED or self._end is None:
                return record
            if time.monotonic() >= deadline:
                return replace(record, state=self._end)
            time.sleep(_SETTLE_PAUSE)

    def _take(self, event: RunEvent) -> Iterator[News]:
        if not self._checked and event.kind in PROGRESS.keys() | LAST_EVENTS.keys():
            # Before that, not all of its steps may be known.
            chosen_steps([one.step for one in self._fold.steps], self._words)
            self._checked = True
        step = self._fold.take(event)
        if step is not None and event.kind in STEP_EVENTS and self._is_wanted(step.step):
            if self._logs is not None:
                yield from self._logs.of_step(step)
            yield News(event.time, step=step)
        if event.kind in PROGRESS:
            self._record = self._look()
            # As it was then: what is told may be long past.
            then = replace(self._record, state=PROGRESS[event.kind], ended=None)
            yield News(event.time, run=self._fold.view(then))

    def _is_wanted(self, step: str) -> bool:
        return not self._words or any(_means(word, step) for word in self._words)

    def _is_over(self) -> bool:
        """Asks for the record from time to time: a process that was killed says nothing."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        self._record = self._look()
        # Twice, as a run that Dagster executes again carries the old process's mark for a moment.
        lost, self._lost = self._lost, is_lost(self._record)
        return self._record.state in FINISHED or (lost and self._lost)

    def _look(self) -> RunRecord:
        record = self._reader.record(self._record.run_id)
        if record is None:
            raise MaestroError(
                f"run {self._record.run_id} was deleted meanwhile", next_step="list the runs with `maestro status`"
            )
        return record

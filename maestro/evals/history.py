"""Weeks that were evaluated, in the artifact store; and which of them is the last good one."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from maestro.artifacts import ArtifactStore, keys
from maestro.errors import InputError, MaestroError
from maestro.evals.comparing import Comparison
from maestro.evals.results import ModelRun


class Accepted(BaseModel):
    """A person's word that a regression is the new normal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    at: datetime
    reason: str


class Week(BaseModel):
    """A run as it is kept, with how it compared; None: it has not been compared yet.

    Args:
        accepted: makes a regression a baseline for later weeks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    run: ModelRun
    comparison: Comparison | None = None
    accepted: Accepted | None = None

    @property
    def good(self) -> bool:
        """Whether later weeks may be compared with it: complete, compared, and no regression or an accepted one."""
        if self.run.state != "complete" or self.comparison is None:
            return False
        return self.comparison.state != "regression" or self.accepted is not None


def week_of(day: date) -> str:
    """The week a day is in, by its Monday: ``2026-11-16``."""
    return (day - timedelta(days=day.weekday())).isoformat()


def checked_week(text: str) -> str:
    """The week, when it is the date of a Monday.

    Raises:
        InputError: it is not.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"'{text}' is no date", next_step="give the Monday the week begins with, as 2026-11-16"
        ) from None
    if day.weekday() != 0 or text != day.isoformat():
        raise InputError(f"{text} is no Monday", next_step=f"the week it is in begins with {week_of(day)}")
    return text


class History:
    """The weeks of one project.

    Args:
        store: where they are kept, beside everything else.
        project: its name.
    """

    def __init__(self, store: ArtifactStore, project: str) -> None:
        self._store = store
        self._project = project

    def get(self, dataset: str, model: str, week: str) -> Week | None:
        """What is kept of a week.

        Raises:
            MaestroError: it is damaged.
        """
        key = keys.eval_week(self._project, dataset, model, week)
        found = self._store.objects.read(key)
        return None if found is None else _decode(found[0], key)

    def put(self, run: ModelRun) -> Week:
        """Keeps a run, not compared yet. A complete run of a week is never replaced by a partial one.

        Returns:
            What is kept now.
        """
        kept = self.get(run.asked.dataset, run.model, run.week)
        if kept is not None and kept.run.state == "complete" and run.state != "complete":
            return kept
        return self._write(Week(run=run))

    def compared(self, week: Week, comparison: Comparison) -> Week:
        """Keeps how a week compared."""
        return self._write(week.model_copy(update={"comparison": comparison}))

    def accept(self, dataset: str, model: str, week: str, *, by: str, reason: str, at: datetime) -> Week:
        """Makes a regression a baseline, because a person says so.

        Raises:
            InputError: nothing is kept of that week, it is no regression, or there is no reason.
        """
        kept = self.get(dataset, model, week)
        if kept is None:
            known = ", ".join(self.weeks(dataset, model)[-5:]) or "none"
            raise InputError(f"'{model}' was not evaluated in the week {week}", next_step=f"its weeks: {known}")
        if kept.comparison is None or kept.comparison.state != "regression":
            raise InputError(
                f"the week {week} of '{model}' is no regression", next_step="nothing; nobody has to accept it"
            )
        if not reason.strip():
            raise InputError("there is no reason", next_step="say why it is accepted, in one line")
        return self._write(kept.model_copy(update={"accepted": Accepted(by=by, at=at, reason=reason.strip())}))

    def models(self, dataset: str) -> list[str]:
        """Names of the models that were ever evaluated with a data set, sorted."""
        folder = keys.eval_models(self._project, dataset)
        parts = {info.key.removeprefix(f"{folder}/").partition("/")[0] for info in self._store.objects.under(folder)}
        return sorted(name for one in parts if (name := keys.name_of(one)) is not None)

    def weeks(self, dataset: str, model: str) -> list[str]:
        """Names of the weeks that are kept, the oldest first."""
        folder = keys.eval_weeks(self._project, dataset, model)
        names = (info.key.rpartition("/")[2].removesuffix(".json") for info in self._store.objects.under(folder))
        return sorted(name for one in names if (name := keys.name_of(one)) is not None)

    def last_good(self, dataset: str, model: str, before: str) -> tuple[Week | None, tuple[str, ...]]:
        """The newest good week before one, and a note for each newer one that was passed over."""
        notes: list[str] = []
        for name in reversed(self.weeks(dataset, model)):
            if name >= before:
                continue
            try:
                week = self.get(dataset, model, name)
            except MaestroError:
                notes.append(f"the week {name} is damaged and was passed over")
                continue
            if week is not None and week.good:
                return week, tuple(notes)
            notes.append(f"the week {name} was passed over: {_why(week)}")
        return None, tuple(notes)

    def _write(self, week: Week) -> Week:
        run = week.run
        key = keys.eval_week(self._project, run.asked.dataset, run.model, run.week)
        self._store.objects.replace(key, week.model_dump_json(by_alias=True).encode())
        return week


def _why(week: Week | None) -> str:
    if week is None or week.run.state != "complete":
        return "it was not complete"
    return "it was a regression itself" if week.comparison is not None else "it was never compared"


def _decode(data: bytes, key: str) -> Week:
    try:
        return Week.model_validate_json(data)
    except ValidationError as error:
        raise MaestroError(
            f"the results of an evaluation at {key} cannot be read: {error.errors(include_input=False)[0]['msg']}",
            next_step="run the evaluation of that week again",
        ) from None

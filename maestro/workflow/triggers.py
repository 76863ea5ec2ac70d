"""``on``: what starts a run on a server. What a filter lets through is decided in ``maestro.triggers``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from maestro.workflow.base import Model
from maestro.workflow.cron import CRON_PATTERN, parse_cron, parse_zone
from maestro.workflow.patterns import NamePatterns, PathPatterns

Started = Literal["push", "pull_request", "release"]
"""What may be written as one word or in a list: everything of that kind starts a run."""
PullRequestType = Literal[
    "opened",
    "synchronize",
    "reopened",
    "ready_for_review",
    "edited",
    "labeled",
    "unlabeled",
    "review_requested",
]
ReleaseType = Literal["published", "created", "edited", "prereleased", "released"]
_PULL_REQUEST_TYPES: tuple[PullRequestType, ...] = ("opened", "synchronize", "reopened")
_RELEASE_TYPES: tuple[ReleaseType, ...] = ("published",)

ASSOCIATIONS = ("OWNER", "MEMBER", "COLLABORATOR")
"""GitHub's words for people who belong to a repository; who else it has words for may be anybody."""
_OTHERS = ("CONTRIBUTOR", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN", "NONE")
_LOGIN = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(\[bot\])?\Z")
_TEAM = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)+\Z")


def _person(text: str) -> str:
    if text in ASSOCIATIONS or _TEAM.match(text):
        return text.removeprefix("@")
    if text.upper() in ASSOCIATIONS:
        raise ValueError(f"write {text.upper()} in capitals; for the person of that name write '@{text}'")
    if text.upper() in _OTHERS:
        raise ValueError(f"'{text}' may be anybody; allowed: {', '.join(ASSOCIATIONS)}, logins, teams as 'owner/team'")
    if not _LOGIN.match(text):
        raise ValueError(f"'{text}' is no login; allowed: {', '.join(ASSOCIATIONS)}, logins, teams as 'owner/team'")
    return text if text.removeprefix("@").upper() in ASSOCIATIONS else text.removeprefix("@")


Person = Annotated[str, AfterValidator(_person)]
Cron = Annotated[str, AfterValidator(parse_cron), Field(json_schema_extra={"pattern": CRON_PATTERN})]
Zone = Annotated[str, AfterValidator(parse_zone)]


def _not_both(model: Model, *names: str) -> None:
    for name in names:
        if getattr(model, name) is not None and getattr(model, f"{name}_ignore") is not None:
            raise ValueError(f"'{name}' and '{name}_ignore' exclude each other; put patterns with '!' under '{name}'")


class PushTrigger(Model):
    """Pushes that start a run; without any filter every push of a branch or a tag."""

    branches: NamePatterns | None = Field(None, description="Only branches that match; no tags, unless `tags` says so.")
    branches_ignore: NamePatterns | None = Field(None, description="All branches but those that match.")
    tags: NamePatterns | None = Field(None, description="Only tags that match; no branches, unless `branches` says so.")
    tags_ignore: NamePatterns | None = Field(None, description="All tags but those that match.")
    paths: PathPatterns | None = Field(
        None, description="Only when a changed file matches; not asked for tags and when the changes cannot be known."
    )
    paths_ignore: PathPatterns | None = Field(None, description="Not when every changed file matches; else as `paths`.")

    @model_validator(mode="after")
    def _one_way_to_filter(self) -> PushTrigger:
        _not_both(self, "branches", "tags", "paths")
        return self


class PullRequestTrigger(Model):
    """Pull requests, GitLab's merge requests among them, that start a run of their newest commit."""

    branches: NamePatterns | None = Field(None, description="Only into branches that match.")
    branches_ignore: NamePatterns | None = Field(None, description="Into all branches but those that match.")
    paths: PathPatterns | None = Field(None, description="Only when a changed file matches.")
    paths_ignore: PathPatterns | None = Field(None, description="Not when every changed file matches.")
    types: list[PullRequestType] = Field(
        default_factory=lambda: list(_PULL_REQUEST_TYPES),
        min_length=1,
        description="What has happened to it; `opened`, `synchronize` (new commits) and `reopened` when not given.",
    )
    drafts: bool = Field(
        True, description="False: not while it is a draft; then `ready_for_review` is among `types` in any case."
    )

    @model_validator(mode="after")
    def _one_way_to_filter(self) -> PullRequestTrigger:
        _not_both(self, "branches", "paths")
        return self

    @property
    def starting_types(self) -> frozenset[str]:
        """``types``, with ``ready_for_review`` when drafts are left out."""
        return frozenset(self.types) if self.drafts else frozenset(self.types) | {"ready_for_review"}


class Schedule(Model):
    """A time at which a run of the default branch's newest commit starts."""

    cron: Cron = Field(description="Minute, hour, day of the month, month, day of the week.")
    timezone: Zone = Field("UTC", description="Time zone the times are written in.")


class ReleaseTrigger(Model):
    """Releases that start a run of their tag."""

    types: list[ReleaseType] = Field(
        default_factory=lambda: list(_RELEASE_TYPES),
        min_length=1,
        description="What has happened; `published` if not given.",
    )


class CommentTrigger(Model):
    """Who may give commands in comments of pull requests."""

    allow: list[Person] = Field(
        default_factory=lambda: list(ASSOCIATIONS),
        description="`OWNER`, `MEMBER`, `COLLABORATOR`, logins, and teams as `owner/team`; these three if not given.",
    )


class Triggers(Model):
    """Each key names what starts a run; a key without a value stands for all of its kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    push: PushTrigger | None = Field(None, description="Branches and tags that are pushed.")
    pull_request: PullRequestTrigger | None = Field(None, description="Pull requests and merge requests.")
    schedule: Cron | Schedule | list[Cron | Schedule] = Field(
        default_factory=list, description="Times, for the default branch: cron expressions."
    )
    release: ReleaseTrigger | None = Field(None, description="Releases.")
    comment: CommentTrigger | None = Field(
        None, description="Who may say `/maestro retry`, `cancel` or `approve` in a comment of a pull request."
    )

    @model_validator(mode="before")
    @classmethod
    def _a_key_alone_stands_for_all(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if not data:
            raise ValueError("'on' is empty; say what starts a run, or take 'on' away")
        return {key: {} if value is None and key != "schedule" else value for key, value in data.items()}

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """``schedule`` as a list of mappings."""
        given = self.schedule if isinstance(self.schedule, list) else [self.schedule]
        return tuple(Schedule(cron=one) if isinstance(one, str) else one for one in given)


On = Started | Annotated[list[Started], Field(min_length=1)] | Triggers | None
"""What may stand under ``on``."""


def triggers_of(on: On) -> Triggers | None:
    """``on`` as a mapping, also when it was written as a word or a list; None without ``on``."""
    if on is None or isinstance(on, Triggers):
        return on
    words = [on] if isinstance(on, str) else on
    return Triggers.model_validate(dict.fromkeys(words))

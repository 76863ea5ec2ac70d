"""The parts of GitHub's webhooks that are read; names and meaning as GitHub documents them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from maestro.events.fields import FullName, Line, Name, Ref, Sha, Wire


class Repository(Wire):
    """A repository; its default branch where a webhook names it."""

    full_name: FullName
    default_branch: Name | None = None


class Person(Wire):
    """An account."""

    login: Line


class Delivery(Wire):
    """What every webhook of a repository has."""

    action: Line = ""
    repository: Repository
    sender: Person | None = None


class Commit(Wire):
    """A commit and its message."""

    id: Sha
    message: Line = ""


class PushDelivery(Delivery):
    """Event ``push``."""

    ref: Ref
    before: Sha
    after: Sha
    created: bool = False
    deleted: bool = False
    forced: bool = False
    head_commit: Commit | None = None


class Head(Wire):
    """Where a pull request comes from; no repository when that was deleted."""

    sha: Sha
    ref: Name
    repo: Repository | None = None


class Base(Wire):
    """Where a pull request goes."""

    sha: Sha
    ref: Name
    repo: Repository


class PullRequestBody(Wire):
    """A pull request."""

    head: Head
    base: Base
    user: Person | None = None
    author_association: Line = ""
    draft: bool | None = None
    state: Line
    title: Line = ""


class PullRequestDelivery(Delivery):
    """Event ``pull_request``."""

    action: Line
    number: int
    pull_request: PullRequestBody


class Ids(Wire):
    """A repository, by its number alone."""

    id: int


class End(Wire):
    """One end of a pull request, as checks name it."""

    ref: Name
    sha: Sha
    repo: Ids | None = None


class Member(Wire):
    """A pull request that a check belongs to."""

    number: int
    head: End
    base: End


class Suite(Wire):
    """A check suite, as its check runs name it; no branch when that is in a fork."""

    head_branch: Name | None = None


class CheckSuiteBody(Suite):
    """A check suite."""

    head_sha: Sha
    pull_requests: list[Member] = Field(default_factory=list)


class CheckRunBody(Wire):
    """A check run."""

    head_sha: Sha
    external_id: Line = ""
    check_suite: Suite | None = None
    pull_requests: list[Member] = Field(default_factory=list)


class CheckRunDelivery(Delivery):
    """Event ``check_run``, when it is asked for again."""

    check_run: CheckRunBody


class CheckSuiteDelivery(Delivery):
    """Event ``check_suite``, when it is asked for again."""

    check_suite: CheckSuiteBody


class Button(Wire):
    """A button of a check run."""

    identifier: Line = ""


class Action(Wire):
    """What happened; of a button that was pressed, which one."""

    action: Line = ""
    requested_action: Button | None = None

    @property
    def identifier(self) -> str:
        """Of the button; empty when there was none."""
        return self.requested_action.identifier if self.requested_action else ""


class Issue(Wire):
    """An issue; with ``pull_request`` it is one."""

    number: int
    state: Line = ""
    pull_request: Any = None


class CommentBody(Wire):
    """A comment."""

    id: int
    body: str | None = None
    user: Person | None = None
    author_association: Line = ""


class IssueCommentDelivery(Delivery):
    """Event ``issue_comment``."""

    action: Line
    issue: Issue
    comment: CommentBody


class ReleaseBody(Wire):
    """A release."""

    tag_name: Name
    name: Line = ""
    draft: bool = False
    prerelease: bool = False


class ReleaseDelivery(Delivery):
    """Event ``release``."""

    action: Line
    release: ReleaseBody


class DeploymentBody(Wire):
    """A deployment."""

    id: int
    sha: Sha
    ref: Name
    environment: Line
    task: Line = ""


class DeploymentDelivery(Delivery):
    """Event ``deployment``."""

    deployment: DeploymentBody


class State(Wire):
    """State of a deployment."""

    state: Line


class DeploymentStatusDelivery(Delivery):
    """Event ``deployment_status``."""

    deployment: DeploymentBody
    deployment_status: State


class WorkflowRunBody(Wire):
    """A run of GitHub Actions."""

    id: int
    name: Line = ""
    head_sha: Sha
    head_branch: Name | None = None
    status: Line = ""
    conclusion: Line | None = None


class WorkflowRunDelivery(Delivery):
    """Event ``workflow_run``."""

    workflow_run: WorkflowRunBody

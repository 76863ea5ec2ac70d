"""Carries out what is in the outbox: one message after the other, each thread in order, whatever the other side does.

An outage and a limit are of the other side as a whole, so they stop everything that goes there with the same
credentials; what is wrong with one message stops its thread alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

import httpx

from maestro.errors import MaestroError
from maestro.github.access import GitHubAccess
from maestro.github.errors import CredentialsError, GitHubError, LimitedError, RefusedError, UnavailableError
from maestro.github.rest import TIMEOUT
from maestro.outbox import Message, Outbox, Outgoing
from maestro.outbox.outbox import CLAIM
from maestro.reporting import to_github, to_gitlab
from maestro.reporting.pause import OUTAGE, PERSON, pause
from maestro.server.projects import RegisteredProject
from maestro.server.settings import GitHubSettings

PATIENCE = timedelta(days=3)
"""A message that could not be sent for so long is given up."""
_ROUND = 5

_log = logging.getLogger(__name__)


class Registry(Protocol):
    """Where projects are found."""

    def find(self, name: str) -> RegisteredProject | None:
        """The project called ``name``, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class ProjectMemory:
    """What the providers call a project's things, kept in the outbox's database."""

    outbox: Outbox
    project: str

    def recall(self, key: str) -> str | None:
        """The name noted last, if any."""
        return self.outbox.recall(self.project, key)

    def remember(self, key: str, value: str) -> None:
        """Notes a name."""
        self.outbox.remember(self.project, key, value)


@dataclass(slots=True)
class _Lane:
    """All that goes to one place with the same credentials."""

    until: datetime
    failures: int = 0


class Sender:
    """Sends what is due. One program does this at a time; if two do for a moment, no message is sent by both.

    Args:
        projects: where credentials and repositories are looked up.
        settings: how GitHub is reached.
        transport: of all connections; None: the network.
    """

    def __init__(
        self,
        outbox: Outbox,
        projects: Registry,
        settings: GitHubSettings,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Random | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._outbox = outbox
        self._projects = projects
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._random = random or Random()
        self.github = GitHubAccess(settings, environ=environ, clock=clock, transport=transport)
        self._http = httpx.Client(timeout=TIMEOUT, transport=transport)
        self._lanes: dict[str, _Lane] = {}

    def close(self) -> None:
        """Closes its connections."""
        self.github.close()
        self._http.close()

    def send_due(self, now: datetime | None = None, limit: int = 500) -> int:
        """Sends what is due, and what becomes due behind it; how many messages arrived.

        Args:
            now: None: the time when each is looked at.
            limit: messages it takes in hand at most.
        """
        arrived = taken = 0
        while taken < limit:
            batch = self._outbox.due(now or self._clock(), min(_ROUND, limit - taken))
            if not batch:
                break
            taken += len(batch)
            claimed_until = time.monotonic() + CLAIM.total_seconds() / 2
            for one in batch:
                at = now or self._clock()
                if time.monotonic() < claimed_until:
                    arrived += self._send(one, at)
                else:
                    # Another sender may take it soon, so it is not begun.
                    self._outbox.postponed(one, at)
        return arrived

    def _send(self, one: Outgoing, now: datetime) -> bool:
        project = self._projects.find(one.message.project)
        if project is None:
            self._outbox.dead(one, f"project '{one.message.project}' is not registered any more", now)
            return False
        lane = self._lanes.setdefault(self._lane_of(project), _Lane(now))
        if lane.until > now:
            self._outbox.postponed(one, lane.until)
            return False
        try:
            answer = self._carry_out(project, one)
        except MaestroError as error:
            self._not_sent(one, project, lane, error, now)
            return False
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # An answer of another form than GitHub's; the message is looked at again, the sender goes on.
            _log.exception("message %s of project %s", one.message.key, project.name)
            odd = UnavailableError(f"the answer made no sense: {type(error).__name__}")
            self._not_sent(one, project, lane, odd, now)
            return False
        lane.failures = 0
        self._outbox.sent(one, answer, now)
        return True

    def _carry_out(self, project: RegisteredProject, one: Outgoing) -> Mapping[str, Any]:
        message, again = one.message, one.attempts > 1
        memory = ProjectMemory(self._outbox, project.name)
        if message.kind.startswith("github."):
            return to_github.carry_out(self.github, project, message, memory, again=again)
        if message.kind.startswith("gitlab."):
            return to_gitlab.carry_out(self._http, self._environ, project, message, memory)
        raise RefusedError(f"nobody sends messages of kind '{message.kind}'")

    def _not_sent(
        self, one: Outgoing, project: RegisteredProject, lane: _Lane, error: MaestroError, now: datetime
    ) -> None:
        if isinstance(error, RefusedError) or now - one.created >= PATIENCE:
            _log.warning("gave up: %s: %s", _named(one.message), error.what)
            self._outbox.dead(one, error.what, now)
            return
        everything = isinstance(error, LimitedError | UnavailableError)
        retry_at = now + pause(one.attempts, OUTAGE if everything else PERSON, self._random)
        if everything or (isinstance(error, CredentialsError) and error.status == 401):
            lane.failures += 1
            lane.until = now + pause(lane.failures, OUTAGE, self._random)
        if isinstance(error, GitHubError) and error.retry_at is not None:
            # Not all at the very moment the limit ends.
            lane.until = retry_at = error.retry_at + pause(1, OUTAGE, self._random)
        if one.attempts == 1 or not everything:
            _log.warning("not sent yet: %s: %s", _named(one.message), error.what)
        self._outbox.failed(one, error.what, retry_at)

    def _lane_of(self, project: RegisteredProject) -> str:
        if project.provider == "github" and self.github.uses_app(project):
            # The limits of an App count for each of its installations.
            return f"github app {project.installation or project.repository.partition('/')[0].lower()}"
        return f"{project.provider} {project.credentials or 'server'}"


def _named(message: Message) -> str:
    return f"{message.kind} of project {message.project} ({message.thread})"

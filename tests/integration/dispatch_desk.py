"""A server that takes deliveries and starts nothing, and what GitHub delivers to it."""

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maestro.inbox import Delivery, Outcome
from maestro.server.home import find_server
from maestro.server.projects import RegisteredProject
from maestro_defs.dispatch import Dispatcher, Told
from maestro_defs.server import Server
from tests.integration.mirror_origin import Origin, git

WORKFLOW = """name: app
on: {push: {branches: [main], paths: ['src/**', maestro.yaml]}, pull_request: {}, schedule: '0 3 * * 1'}
concurrency: {group: '{{ git.branch }}', cancel_superseded: true, priority: 7}
stages:
  - name: test
    steps:
      - {id: say, run: shell, with: {command: 'echo {{ git.short_sha }}'}}
      - {id: docs, run: shell, when: "changed('docs/**')", with: {command: 'true'}}
"""


@dataclass
class Desk:
    """A server that takes deliveries and starts nothing."""

    server: Server
    instance: dg.DagsterInstance
    origin: Origin
    told: list[Told] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def take(
        self,
        event: str,
        body: dict[str, Any],
        *,
        attempts: int = 0,
        name: str = "",
        project: str = "app",
        number: int | None = None,
    ) -> Outcome:
        number = next(self.ids) if number is None else number
        delivery = Delivery(
            provider="schedule" if event == "schedule" else "github",
            delivery=name or f"delivery-{number}",
            event=event,
            project=project,
            headers={},
            body=json.dumps(body).encode(),
            trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            id=number,
            received=datetime.now(UTC),
        )
        return Dispatcher(self.server, self.instance, self.told.append).take(delivery, attempts)

    def run(self, outcome: Outcome) -> dg.DagsterRun:
        assert (outcome.state, len(outcome.runs)) == ("started", 1), outcome
        run = self.instance.get_run_by_id(outcome.runs[0])
        assert run is not None
        return run

    def head(self) -> str:
        return git(self.origin.bare, "rev-parse", "main")

    def forks_commit(self, files: dict[str, str | bytes]) -> str:
        """A commit somebody else has made, which the repository hands out under the pull request's reference."""
        main = self.head()
        sha = self.origin.commit(files, branch="tmp")
        git(self.origin.bare, "update-ref", "refs/pull/7/head", sha)
        git(self.origin.bare, "update-ref", "-d", "refs/heads/tmp")
        git(self.origin.clone, "reset", "--quiet", "--hard", main)
        return sha

    def runs(self) -> int:
        return self.instance.get_runs_count()


@pytest.fixture
def desk(tmp_path: Path, made_server: Path) -> Iterator[Desk]:
    server = Server(find_server(tmp_path / "home", environ={}))
    shutil.copytree(made_server, server.home.dagster, dirs_exist_ok=True)
    origin = Origin.make(tmp_path)
    origin.commit({"maestro.yaml": WORKFLOW, "src/a.py": "1"})
    server.projects.add(RegisteredProject("app", str(origin.bare), tenant="web", repository="octo/hello"))
    with server.instance() as instance:
        yield Desk(server, instance, origin)


def push(after: str, before: str | None = None, branch: str = "main") -> dict[str, Any]:
    return {
        "ref": f"refs/heads/{branch}",
        "before": before or "0" * 40,
        "after": after,
        "created": before is None,
        "deleted": False,
        "forced": False,
        "head_commit": {"id": after, "message": "Mend it"},
        "repository": {"full_name": "octo/hello", "default_branch": "main"},
        "sender": {"login": "ada"},
    }


def pull_request(desk: Desk, head: str, *, fork: bool, action: str = "opened") -> dict[str, Any]:
    repository = {"id": 1, "full_name": "octo/hello", "default_branch": "main"}
    other = {"id": 2, "full_name": "eve/hello", "default_branch": "main"}
    inner = {
        "number": 7,
        "state": "open",
        "title": "A change",
        "draft": False,
        "user": {"login": "eve"},
        "author_association": "NONE" if fork else "MEMBER",
        "head": {"sha": head, "ref": "main" if fork else "feature", "repo": other if fork else repository},
        "base": {"sha": desk.head(), "ref": "main", "repo": repository},
    }
    return {
        "action": action,
        "number": 7,
        "pull_request": inner,
        "repository": repository,
        "sender": {"login": "eve"},
    }


def comment(text: str, association: str, author: str = "ann") -> dict[str, Any]:
    return {
        "action": "created",
        "issue": {"number": 7, "state": "open", "pull_request": {}},
        "comment": {"id": 5, "body": text, "user": {"login": author}, "author_association": association},
        "repository": {"full_name": "octo/hello", "default_branch": "main"},
        "sender": {"login": author},
    }


def forks_run(desk: Desk) -> dg.DagsterRun:
    head = desk.forks_commit({"src/a.py": "evil"})
    return desk.run(desk.take("pull_request", pull_request(desk, head, fork=True)))


def rerequested(sha: str, run_id: str) -> dict[str, Any]:
    suite = {"id": 1, "head_branch": "main", "head_sha": sha, "pull_requests": []}
    check = {"id": 2, "head_sha": sha, "external_id": run_id, "check_suite": suite, "pull_requests": []}
    return {
        "action": "rerequested",
        "check_run": check,
        "repository": {"full_name": "octo/hello", "default_branch": "main"},
        "sender": {"login": "ada"},
    }

"""A server under test: its programs on a home of their own, repositories it delivers, and GitHub beside it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psutil
import sqlalchemy as sa

from maestro.artifacts import RecordStore, StepRecord
from maestro.cli.server_parts import CONDUCTOR, GATEWAY, LAUNCHER, Part, part_of
from maestro.inbox import Delivery, Inbox, Outcome, Outcomes
from maestro.outbox import Outbox
from maestro.runs.tags import PROJECT_TAG
from maestro.server.database import open_engine
from maestro.server.home import HOME_VARIABLE, ServerHome, find_server
from maestro.server.projects import Projects, RegisteredProject
from maestro_defs.server import Server
from maestro_defs.warm.records import Records
from tests.e2e.cli_process import until
from tests.e2e.product import Ended, Product
from tests.e2e.served import free_ports
from tests.e2e.server_events import NOTHING, Webhook, push
from tests.integration.gateway_server import secret_file
from tests.integration.github_server import APP_ID, TOKEN, GitHubServer

SECRET = "what GitHub and the server know"
TAKES = (LAUNCHER, CONDUCTOR, GATEWAY)
"""The programs that take a delivery to the end of its run; without Dagster's own."""
_POSTGRES = "MAESTRO_POSTGRES_URL"


@dataclass(frozen=True)
class Repository:
    """A bare repository, as GitHub has it, and a person's clone of it.

    Args:
        name: also of the project; GitHub's name is ``acme/NAME``.
    """

    name: str
    origin: Path
    clone: Product

    @property
    def full_name(self) -> str:
        return f"acme/{self.name}"

    @property
    def head(self) -> str:
        return self.clone.git("rev-parse", "HEAD")

    def change(
        self, files: Mapping[str, str] | None = None, *, ref: str = "refs/heads/main", force: bool = False
    ) -> str:
        """Commits and pushes; the new commit."""
        self.clone.write(files or {})
        sha = self.clone.commit()
        self.clone.git("push", "-q", *(["--force"] if force else []), "origin", f"{sha}:{ref}")
        return sha


@dataclass
class ServerProcess:
    """A server's home and its programs.

    Args:
        environment: what the programs get beside their own.
    """

    home: ServerHome
    github: GitHubServer
    environment: dict[str, str]
    gateway: str
    web: str
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def new(
        cls,
        folder: Path,
        github: GitHubServer,
        *,
        database: str | None = None,
        app: bool = True,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> ServerProcess:
        """A home on SQLite, or on the PostgreSQL ``database``.

        Args:
            app: whether it has a GitHub App; else a token.
        """
        home = folder / "home"
        home.mkdir(parents=True)
        gateway, web = free_ports(2)
        hub: dict[str, Any] = {"api": github.url}
        if app:
            hub |= {"app": APP_ID, "private_key": secret_file(home / "app.pem", github.private_key_pem)}
        else:
            hub |= {"token": secret_file(home / "token", TOKEN)}
        written: dict[str, Any] = {
            "gateway": {"port": gateway, "secrets": [secret_file(home / "hook.secret", SECRET)]},
            "web": {"port": web, "url": f"http://127.0.0.1:{web}"},
            "github": hub,
            "launcher": {"drain_seconds": 5},
            **(settings or {}),
        }
        if database is not None:
            written |= {"profile": "server", "database": secret_file(home / "database.url", database)}
        (home / "server.yaml").write_text(json.dumps(written))
        added = {"DAGSTER_DISABLE_TELEMETRY": "1", HOME_VARIABLE: str(home), **(environment or {})}
        if database is not None:
            added[_POSTGRES] = database
        return cls(find_server(home), github, added, f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{web}")

    # Repositories.

    def repository(self, name: str, files: Mapping[str, str], *, register: bool = True) -> Repository:
        """A repository with ``files`` on ``main``, registered as the project ``name``."""
        base = self.home.folder.parent
        clone = Product.new(base / name, files, self.environment)
        origin = base / f"{name}.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(clone.root), str(origin)], check=True)
        clone.git("remote", "add", "origin", str(origin))
        made = Repository(name, origin, clone)
        if register:
            self.register(made)
        return made

    def register(self, repository: Repository) -> None:
        about = RegisteredProject(
            repository.name, str(repository.origin), repository=repository.full_name, default_branch="main"
        )
        Projects(self.engine).add(about)

    def secret(self, repository: Repository, name: str, value: str) -> None:
        """Gives the project a secret that its workflow may name."""
        folder = self.home.projects / repository.name / "secrets"
        folder.mkdir(parents=True, exist_ok=True)
        secret_file(folder / name, value)

    def maestro(self, repository: Repository, *arguments: str) -> Ended:
        """``maestro ARGUMENTS`` as somebody at the server types it."""
        return repository.clone.maestro(*arguments)

    # Programs.

    def start(self, *names: str) -> None:
        """Starts programs one by one and waits until all are ready."""
        self.launch(*names)
        for name in names:
            self.wait_ready(name)

    def launch(self, *names: str) -> None:
        """Starts programs; Dagster's own know no code location."""
        (self.home.dagster / "workspace.yaml").write_text("load_from: []\n")
        with self.instance():
            pass  # Dagster's programs need its home; and several would make its tables at once.
        with environment(self.environment):
            for name in names:
                part = part_of(self.home, name, self.home.dagster / "workspace.yaml")
                self._parts[name] = part
                with part.log(self.home).open("ab") as log:
                    self.running[name] = subprocess.Popen(
                        [sys.executable, *part.arguments],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=dict(part.environment),
                        cwd=self.home.folder,
                        start_new_session=True,
                    )

    def wait_ready(self, name: str) -> None:
        process, part = self.running[name], self._parts[name]

        def ready() -> bool:
            assert process.poll() is None, f"{name} ended: {self.said(name)}"
            return part.ready()

        until(ready, lambda: f"{name} ready; it says {self.said(name)}")

    def kill(self, name: str) -> None:
        """``kill -9`` of a program."""
        process = self.running.pop(name)
        process.kill()
        process.wait()
        # As the supervisor does, which knows that the process is gone.
        self._parts[name].died(process.pid)

    def stop(self) -> None:
        """Ends all programs and every worker they have left."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
        for record in Records(self.home).all():
            if record.going_on:
                psutil.Process(record.process.pid).kill()

    def said(self, name: str) -> str:
        """A program's log."""
        log = self.home.logs / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    # Webhooks.

    def send(self, hook: Webhook, delivery: str | None = None, *, gateway: str | None = None) -> str:
        """Sends a signed webhook, which must be taken; its id."""
        delivery = delivery or str(uuid.uuid4())
        answer = self.post(hook, delivery, gateway=gateway)
        assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text}"
        return delivery

    def post(self, hook: Webhook, delivery: str, *, gateway: str | None = None) -> httpx.Response:
        body = json.dumps(hook.content).encode()
        headers = {
            "content-type": "application/json",
            "x-github-event": hook.event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}",
        }
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.post(f"{gateway or self.gateway}/hooks/github", content=body, headers=headers)

    def push(
        self,
        repository: Repository,
        files: Mapping[str, str] | None = None,
        *,
        ref: str = "refs/heads/main",
        force: bool = False,
    ) -> str:
        """Changes the repository and sends the webhook of that; the webhook's id."""
        before = repository.clone.git("rev-parse", "HEAD")
        sha = repository.change(files, ref=ref, force=force)
        known = ref == "refs/heads/main"
        return self.send(push(repository.full_name, sha, before=before if known else NOTHING, ref=ref, forced=force))

    # What came of it.

    def delivery(self, delivery: str, provider: str = "github") -> Delivery | None:
        return self.inbox.find(provider, delivery)

    def outcome(self, delivery: str, state: str | None = None, provider: str = "github") -> Outcome:
        """Waits until a delivery has an outcome, and, if given, until it is ``state``."""
        found: list[Outcome] = []

        def there() -> bool:
            kept = self.delivery(delivery, provider)
            outcome = None if kept is None else self.outcomes.get(kept.id)
            found[:] = [] if outcome is None else [outcome]
            settled = bool(found) and found[0].state != "waiting"
            assert not settled or state in (None, found[0].state), found[0]
            return settled

        until(there, lambda: f"{delivery} {state}: {found}\n{self.said(CONDUCTOR)}")
        return found[0]

    def waits(self, delivery: str, provider: str = "github") -> bool:
        """Whether a delivery was tried in vain and is to be tried again."""
        kept = self.delivery(delivery, provider)
        outcome = None if kept is None else self.outcomes.get(kept.id)
        return outcome is not None and outcome.state == "waiting"

    def started(self, delivery: str, provider: str = "github") -> str:
        """Waits until a delivery has started its one run; the run's id."""
        outcome = self.outcome(delivery, "started", provider)
        (run_id,) = outcome.runs
        return run_id

    def ended(self, run_id: str) -> dg.DagsterRun:
        """Waits until a run has ended."""
        with self.instance() as instance:
            until(lambda: _finished(instance, run_id), lambda: f"run {run_id} ends: {self.story(run_id)}")
            return _run(instance, run_id)

    def delivered(self, delivery: str, provider: str = "github") -> dg.DagsterRun:
        """Waits until the run a delivery has started has ended."""
        return self.ended(self.started(delivery, provider))

    def run(self, run_id: str) -> dg.DagsterRun:
        with self.instance() as instance:
            return _run(instance, run_id)

    def becomes(self, run_id: str, *statuses: dg.DagsterRunStatus) -> None:
        """Waits until a run has one of ``statuses``."""
        with self.instance() as instance:
            until(lambda: _run(instance, run_id).status in statuses, lambda: f"{statuses}: {self.story(run_id)}")

    def runs(self, repository: Repository, **tags: str) -> list[dg.DagsterRun]:
        """The project's runs with these tags (``pull_request="7"`` is ``maestro/pull_request``), oldest first."""
        with self.instance() as instance:
            wanted = {PROJECT_TAG: repository.name, **{f"maestro/{name}": value for name, value in tags.items()}}
            return list(reversed(instance.get_runs(dg.RunsFilter(tags=wanted))))

    def begins(self, run_id: str, step: str) -> None:
        """Waits until a step of a run has begun."""
        key = step.replace("/", "__")
        until(lambda: self.steps(run_id, "STEP_START").count(key) > 0, lambda: f"{step} begins: {self.story(run_id)}")

    def steps(self, run_id: str, event: str) -> list[str]:
        """Keys of the steps a run has an event about, in order."""
        return [one.step_key or "" for one in self.events(run_id) if one.event_type_value == event]

    def events(self, run_id: str) -> list[dg.DagsterEvent]:
        with self.instance() as instance:
            return [one.dagster_event for one in instance.all_logs(run_id) if one.dagster_event is not None]

    def records(self, repository: Repository, run_id: str) -> dict[str, StepRecord]:
        """Step -> what a run recorded of it."""
        server = Server(self.home)
        store = server.store(server.projects.get(repository.name))
        return {record.step: record for record in RecordStore(store).of_run(run_id)}

    def log(self, repository: Repository, run_id: str, step: str) -> str:
        """What a step wrote."""
        server = Server(self.home)
        record = self.records(repository, run_id)[step]
        assert record.log is not None
        return server.store(server.projects.get(repository.name)).get_bytes(record.log.sha256).decode()

    def failure(self, run_id: str) -> str:
        """Why a run's steps, or the run itself, failed."""
        errors = [getattr(event.event_specific_data, "error", None) for event in self.events(run_id)]
        return "\n".join(error.to_string() for error in errors if error is not None)

    def story(self, run_id: str) -> str:
        """A run's events, for a test that fails."""
        log = self.home.logs / "runs" / f"{run_id}.log"
        printed = log.read_text(errors="replace")[-3000:] if log.exists() else ""
        lines = [
            f"{one.event_type_value} {one.step_key or ''} {one.message or ''}"[:300] for one in self.events(run_id)
        ]
        return "\n".join([*lines, self.failure(run_id), printed])

    def check(self, sha: str, conclusion: str, count: int = 1) -> dict[str, Any]:
        """Waits until the newest of a commit's ``count`` checks is completed so; GitHub knows no other."""

        def there() -> bool:
            checks = self.github.checks_of(sha)
            return len(checks) == count and checks[-1].get("conclusion") == conclusion

        until(there, lambda: f"{conclusion}: {self.github.checks_of(sha)}\n{self.said(CONDUCTOR)}")
        return self.github.checks_of(sha)[-1]

    def outbox_empty(self) -> bool:
        return not Outbox(self.engine).counts().get("waiting", 0)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with environment(self.environment), Server(self.home).instance() as instance:
            yield instance

    @cached_property
    def engine(self) -> sa.Engine:
        """Of the server's database, as this process opens it."""
        return open_engine(self.home.database_url)

    @cached_property
    def inbox(self) -> Inbox:
        return Inbox(self.home.inbox_url)

    @cached_property
    def outcomes(self) -> Outcomes:
        return Outcomes(self.engine)

    def close(self) -> None:
        """Ends everything, and closes what this process has open."""
        self.stop()
        if "inbox" in vars(self):
            self.inbox.close()
        if "engine" in vars(self):
            self.engine.dispose()


@contextmanager
def server_process(
    folder: Path, github: GitHubServer, programs: Sequence[str] = TAKES, **about: Any
) -> Iterator[ServerProcess]:
    """A server with ``programs`` running, stopped at the end."""
    server = ServerProcess.new(folder, github, **about)
    with ExitStack() as stack:
        stack.callback(server.close)
        server.start(*programs)
        yield server


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Within the block the process has these variables; afterwards it is as before."""
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def statuses(runs: Sequence[dg.DagsterRun]) -> list[str]:
    return [run.status.value for run in runs]


def _run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None, f"there is no run {run_id}"
    return run


def _finished(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished

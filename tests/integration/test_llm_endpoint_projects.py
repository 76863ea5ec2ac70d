"""The endpoint on a server: each token under what the default branch of its own project restricts, routes and weighs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from maestro.gateway.connection import Connection
from maestro.gateway.llm_app import alone, opening
from maestro.gateway.llm_projects import ProjectCatalogues
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.llm.decisions import DecisionStore, Kept
from maestro.llm.endpoint_tokens import FILE, TokenFile, make_token
from maestro.llm.opening import catalogue_for
from maestro.llm.project_files import ProjectFiles
from maestro.server.database import open_engine
from maestro.server.home import ServerHome, find_server
from maestro.server.leases import Leases
from maestro.server.projects import Projects, RegisteredProject
from maestro_defs.conductor import NAME, conduct
from maestro_defs.model_files import ModelFiles
from maestro_defs.server import Server
from tests.integration.llm_endpoint import write_catalogue
from tests.integration.mirror_origin import Origin
from tests.integration.model_server import ModelServer, model_server
from tests.loopback import serving_asgi

SHA = "a" * 40
RESTRICTED = b"restrict: {deny: [echo], max_usd: 3}\nroutes: {ours: {candidates: [seven-words]}}\ndefault_route: ours\n"


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@dataclass
class Serving:
    """A server's endpoint, without the rest of the server."""

    home: ServerHome
    port: int = 0
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> sa.Engine:
        return open_engine(self.home.database_url)

    @property
    def files(self) -> ProjectFiles:
        return ProjectFiles(self.engine)

    def register(
        self, name: str, url: str = "https://example.test/x.git", tenant: str = "default"
    ) -> RegisteredProject:
        made = RegisteredProject(name, url, tenant=tenant, provider="git", repository=name, default_branch="main")
        Projects(self.engine).add(made)
        return made

    def token(self, project: str, tenant: str = "default") -> str:
        now = datetime.now(UTC)
        written, kept = make_token(name=f"{tenant}-{project}", tenant=tenant, project=project, by="ann", now=now)
        TokenFile(self.home.folder / FILE).add(kept)
        return written

    def ask(self, key: str, model: str, **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "one two"}], "max_tokens": 100, **more}
        return httpx.post(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
        )

    def names(self, key: str) -> set[str]:
        url = f"http://127.0.0.1:{self.port}/v1/models"
        answer = httpx.get(url, headers={"authorization": f"Bearer {key}"}, timeout=30)
        return {one["id"] for one in answer.json()["data"]}

    def later(self, key: str, model: str, status: int) -> httpx.Response:
        """What is answered as soon as the endpoint has looked again; asking is all that makes it look."""
        waited = threading.Event()
        for _ in range(400):
            answer = self.ask(key, model)
            if answer.status_code == status:
                return answer
            waited.wait(0.05)
        raise AssertionError(f"still {answer.status_code}: {answer.text}")

    def kept(self, answer: httpx.Response) -> Kept:
        with Ledger.open(ledger_url(self.home.folder, {"MAESTRO_SERVER_HOME": str(self.home.folder)})) as ledger:
            return DecisionStore(ledger.engine).get(answer.headers["x-maestro-decision"])

    def older(self, seconds: float) -> None:
        """Lets time pass for what is known of files."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE maestro_llm_project_files SET confirmed = confirmed - :s"), {"s": seconds}
            )


def write_own(folder: Path, models: ModelServer) -> None:
    """The server's ``models.yaml``; what is not let through is not answered offline either."""
    write_catalogue(folder, models)
    file = folder / "models.yaml"
    file.write_text(json.dumps({**json.loads(file.read_text()), "last_resort": False}))


@contextmanager
def endpoint(folder: Path, models: ModelServer, patience: float = 0.0) -> Iterator[Serving]:
    home = find_server(folder)
    write_own(folder, models)
    projects = ProjectCatalogues(home, patience=patience, fresh=0.05)
    environ = {"MAESTRO_SERVER_HOME": str(folder)}
    serving = Serving(home)
    app = alone(TokenFile(folder / FILE), opening(folder, environ, catalogue=projects.base), projects=projects)
    settings: dict[str, Any] = {"http": Connection, "lifespan": "on", "timeout_graceful_shutdown": 1}
    with serving_asgi(app, abruptly=False, **settings) as serving.port:
        yield serving


@pytest.fixture
def server(tmp_path: Path, models: ModelServer) -> Iterator[Serving]:
    with endpoint(tmp_path / "home", models) as running:
        yield running


def test_a_token_is_under_its_own_project_s_file_and_no_other_s(server: Serving) -> None:
    for name in ("shop", "depot"):
        server.register(name)
    server.files.keep("shop", SHA, RESTRICTED)
    server.files.keep("depot", SHA, None)
    shop, depot = server.token("shop"), server.token("depot")
    refused = server.ask(shop, "echo")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    assert server.kept(refused).decision.candidates[0].skipped == (
        ("rule", f"shop@{SHA[:12]}/models.yaml denies this model"),
    )
    assert server.ask(depot, "echo").status_code == 200
    assert server.ask(shop, "default").json()["model"] == "seven-words"
    assert "ours" in server.names(shop)
    assert "ours" not in server.names(depot)
    assert server.ask(depot, "ours").status_code == 404


def test_it_is_the_very_catalogue_that_steps_of_that_revision_have(server: Serving, tmp_path: Path) -> None:
    server.register("shop")
    server.files.keep("shop", SHA, RESTRICTED)
    answer = server.ask(server.token("shop"), "ours")
    (tmp_path / "models.yaml").write_bytes(RESTRICTED)
    steps = catalogue_for(tmp_path, {"MAESTRO_SERVER_HOME": str(server.home.folder)})
    assert server.kept(answer).decision.catalogue == steps.digest


def test_what_one_request_may_cost_is_the_project_s_to_lower_streamed_or_not(server: Serving) -> None:
    server.register("shop")
    server.files.keep("shop", SHA, RESTRICTED)
    key = server.token("shop")
    for stream in (False, True):
        refused = server.ask(key, "ours", max_tokens=4000, stream=stream)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false"
        assert server.ask(key, "ours", stream=stream).status_code == 200


def test_a_changed_file_counts_within_seconds_and_a_corrected_one_too(server: Serving) -> None:
    server.register("shop")
    server.files.keep("shop", SHA, None)
    key = server.token("shop")
    assert server.ask(key, "echo").status_code == 200
    server.files.keep("shop", "b" * 40, RESTRICTED)
    server.later(key, "echo", 403)
    server.files.keep("shop", "c" * 40, b"restrict: {deny: [ecko]}\n")
    wrong = server.later(key, "echo", 503)
    error = wrong.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "restrictions_unknown", None)
    assert "shop@cccccccccccc/models.yaml:1:19: there is no model 'ecko'; did you mean 'echo'?" in error["message"]
    assert wrong.headers["x-should-retry"] == "false"
    server.files.keep("shop", "d" * 40, b"restrict: {deny: [busy]}\n")
    assert server.later(key, "echo", 200)


def test_a_file_may_say_no_more_than_that_of_a_step_on_a_server(server: Serving) -> None:
    server.register("shop")
    server.files.keep("shop", SHA, b"models: {echo: {price: free}}\n")
    refused = server.ask(server.token("shop"), "echo")
    assert refused.status_code == 503
    assert "prices, endpoints and keys are the server's" in refused.json()["error"]["message"]


def test_a_file_that_cannot_be_read_lets_nothing_through(server: Serving) -> None:
    server.register("shop")
    server.files.keep("shop", SHA, None, "'models.yaml' is not a file of the repository")
    refused = server.ask(server.token("shop"), "echo")
    assert refused.status_code == 503
    assert "cannot be used: 'models.yaml' is not a file of the repository" in refused.json()["error"]["message"]


def test_nothing_is_asked_before_somebody_has_read_the_file_and_asking_has_it_read(server: Serving) -> None:
    server.register("shop")
    key = server.token("shop")
    refused = server.ask(key, "echo")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (503, "restrictions_unknown")
    assert (
        "the models.yaml of project 'shop' has not been read yet; the server's conductor does that" in error["message"]
    )
    assert refused.headers["retry-after"] == "5"
    assert [one.project for one in server.files.wanted()] == ["shop"]
    server.files.keep("shop", SHA, None)
    server.later(key, "echo", 200)


def test_what_was_not_compared_with_the_branch_for_an_hour_counts_no_more(server: Serving) -> None:
    server.register("shop")
    server.files.keep("shop", SHA, None)
    key = server.token("shop")
    server.older(3000)
    assert server.ask(key, "echo").status_code == 200
    server.older(1000)
    server.files.fail("shop", "the origin does not answer")
    refused = server.later(key, "echo", 503)
    assert re.search(r"was last compared with its branch 6\d minutes ago: the origin does not answer", refused.text)


def test_a_project_that_is_gone_or_another_tenant_s_has_no_tokens_any_more(server: Serving) -> None:
    server.register("shop", tenant="acme")
    server.files.keep("shop", SHA, None)
    refused = server.ask(server.token("shop"), "echo")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "unknown_project")
    key = server.token("shop", "acme")
    assert server.ask(key, "echo").status_code == 200
    Projects(server.engine).remove("shop")
    gone = server.later(key, "echo", 403)
    assert "delivers no project 'acme/shop' any more" in gone.json()["error"]["message"]


def test_the_first_call_waits_while_the_file_is_read(tmp_path: Path, models: ModelServer) -> None:
    with endpoint(tmp_path / "home", models, patience=30.0) as server:
        server.register("shop")
        key = server.token("shop")
        answers: list[int] = []
        calls = [threading.Thread(target=lambda: answers.append(server.ask(key, "echo").status_code)) for _ in range(5)]
        for one in calls:
            one.start()
        waited = threading.Event()
        while not server.files.wanted():
            waited.wait(0.02)
        server.files.keep("shop", SHA, RESTRICTED)
        for one in calls:
            one.join(30)
        assert answers == [403] * 5


def test_files_are_kept_in_a_shared_database_as_in_the_server_s_own(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    try:
        files = ProjectFiles(engine)
        files.ask("shop")
        files.keep("shop", SHA, RESTRICTED)
        files.fail("shop", "away")
        files.confirm("shop", SHA)
        (known,) = ProjectFiles(engine).wanted()
        assert (known.revision, known.content, known.trouble) == (SHA, RESTRICTED, "")
        assert known.age is not None and 0 <= known.age < 60
    finally:
        engine.dispose()


# What the conductor does for it


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin.make(tmp_path / "origin")
    made.commit({"a.txt": "a"})
    return made


@contextmanager
def keeping(server: Serving) -> Iterator[ModelFiles]:
    state = Server(server.home)
    with Leases(state.engine).held(NAME, "test", 30.0) as held:
        assert held is not None
        files = ModelFiles(state, held)
        try:
            yield files
        finally:
            files.close()


def looked(server: Serving, files: ModelFiles, revision: str) -> None:
    """Has the project looked at until that is the revision that is known."""
    waited = threading.Event()
    for _ in range(600):
        files.soon("shop")
        files.look()
        known = server.files.get("shop")
        if known is not None and known.revision == revision:
            return
        waited.wait(0.05)
    raise AssertionError(f"never {revision}: {known}")


def test_the_conductor_reads_the_file_of_the_default_branch_as_it_moves(server: Serving, origin: Origin) -> None:
    server.register("shop", str(origin.bare))
    server.files.ask("shop")
    with keeping(server) as files:
        looked(server, files, origin.commit({"b.txt": "b"}))
        assert server.files.get("shop").content is None  # type: ignore[union-attr]  # It was looked at.
        looked(server, files, origin.commit({"models.yaml": RESTRICTED}))
        assert server.files.get("shop").content == RESTRICTED  # type: ignore[union-attr]  # It was looked at.
        origin.commit({"models.yaml": b"restrict: {}\n"}, branch="topic")
        files.soon("shop")
        assert files.look() == 1
        (origin.clone / "models.yaml").unlink()
        looked(server, files, origin.commit({"models.yaml/a": b"a folder"}))
        assert "is not a file" in server.files.get("shop").problem  # type: ignore[union-attr]  # It was looked at.


def test_projects_nobody_asked_for_are_left_alone_and_ones_that_are_gone_forgotten(
    server: Serving, origin: Origin
) -> None:
    server.register("shop", str(origin.bare))
    with keeping(server) as files:
        files.soon("shop")
        assert files.look() == 0
        server.files.ask("gone")
        assert files.look() == 1
        waited = threading.Event()
        while server.files.get("gone") is not None:
            waited.wait(0.02)


def test_an_origin_that_is_away_leaves_what_is_known_and_says_why(server: Serving, origin: Origin) -> None:
    server.register("shop", str(origin.bare))
    server.files.ask("shop")
    with keeping(server) as files:
        looked(server, files, origin.commit({"models.yaml": RESTRICTED}))
        origin.bare.rename(origin.bare.with_name("elsewhere.git"))
        waited = threading.Event()
        while not (known := server.files.get("shop")) or not known.trouble:
            files.soon("shop")
            files.look()
            waited.wait(0.05)
        assert known.content == RESTRICTED


def test_a_push_counts_for_tokens_while_the_server_conducts(
    tmp_path: Path, models: ModelServer, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(tmp_path / "home"))
    origin.commit({"models.yaml": RESTRICTED})
    with endpoint(tmp_path / "home", models, patience=60.0) as server:
        server.register("shop", str(origin.bare))
        key = server.token("shop")
        stop = threading.Event()
        conducting = threading.Thread(target=conduct, args=(server.home, stop))
        conducting.start()
        try:
            assert server.ask(key, "echo").status_code == 403
            assert server.ask(key, "ours").status_code == 200
        finally:
            stop.set()
            conducting.join(60)
        assert not conducting.is_alive()


def test_a_server_s_endpoint_as_a_program_of_its_own_takes_no_checkout_s_file(
    tmp_path: Path, models: ModelServer
) -> None:
    folder = tmp_path / "home"
    home = find_server(folder)
    write_own(folder, models)
    server = Serving(home)
    server.register("shop")
    server.files.keep("shop", SHA, RESTRICTED)
    key = server.token("shop")
    checkout = tmp_path / "shop"
    checkout.mkdir()
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    (checkout / "maestro.yaml").write_text(
        "name: flow\nproject: shop\nstages: [{name: a, steps: [{run: shell, with: {command: 'true'}}]}]\n"
    )
    (checkout / "models.yaml").write_text("restrict: {deny: [seven-words]}\n")
    command = [sys.executable, "-m", "maestro.cli", "--project", str(checkout), "llm", "serve", "--port", "0"]
    environ = {**os.environ, "MAESTRO_SERVER_HOME": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as served:
        try:
            assert served.stdout is not None
            line = served.stdout.readline()
            assert line.startswith("OPENAI_BASE_URL=http://127.0.0.1:"), served.stderr and served.stderr.read()
            server.port = int(line.rpartition(":")[2].partition("/")[0])
            assert server.ask(key, "echo").status_code == 403
            assert server.ask(key, "seven-words").status_code == 200
        finally:
            served.terminate()
            served.communicate(timeout=30)
    assert served.returncode == 0

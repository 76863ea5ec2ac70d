"""Everything Maestro says to GitHub is what GitHub's own OpenAPI description allows; Prism refuses what is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from maestro.github.check_runs import put_check_run
from maestro.github.errors import RefusedError, UnavailableError
from maestro.github.permissions import may_write
from maestro.github.teams import is_member
from maestro.outbox import Message
from maestro.reporting.messages import APP_CHANNELS, TOKEN_CHANNELS, report_messages
from maestro.reporting.model import (
    Annotation,
    ComponentsReport,
    GateReason,
    GateReport,
    ReportState,
    RunReport,
    StepReport,
    TestFailure,
    TestsReport,
)
from maestro.reporting.reporter import Reporter
from maestro.server.home import ServerHome
from maestro.server.projects import Projects, RegisteredProject
from maestro.server.settings import GitHubSettings, ServerSettings
from tests.integration.prism_server import Prism, prism_server

SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
STATES: tuple[ReportState, ...] = ("queued", "running", "succeeded", "failed", "cancelled", "invalid")


@pytest.fixture(scope="module")
def prism() -> Iterator[Prism]:
    with prism_server() as server:
        yield server


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("key") / "app.pem"
    made.touch(mode=0o600)
    made.write_bytes(
        rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


@pytest.fixture(params=["app", "token"])
def reporter(request: pytest.FixtureRequest, prism: Prism, key: Path, tmp_path: Path) -> Iterator[Reporter]:
    credentials: dict[str, Any] = {"app": "1", "private_key": f"file:{key}"}
    if request.param == "token":
        credentials = {"token": "env:GITHUB_TOKEN"}
    settings = ServerSettings(github=GitHubSettings(api=prism.url, **credentials))
    made = Reporter(ServerHome(tmp_path, settings), environ={"GITHUB_TOKEN": "ghp_token"})
    project = RegisteredProject("shop", "https://github.com/acme/shop.git", repository="acme/shop")
    Projects(made.outbox._engine).add(project)
    yield made
    made.close()


def full_report(state: ReportState, run_id: str) -> RunReport:
    """One with everything in it that can be said."""
    return RunReport(
        project="shop",
        repository="acme/shop",
        sha=SHA,
        run_id=run_id,
        workflow="delivery",
        state=state,
        created=1000.0,
        reason="the disk is full",
        url=f"https://maestro.example/runs/{run_id}",
        pull_request=5,
        deployment=42,
        environment="production",
        started=1001.0,
        ended=1060.0,
        steps=(StepReport("test/unit", "failed", "1 failed", 12.0), StepReport("build/wheel", "cached", "", 0.1, "r0")),
        tests=(TestsReport("test/unit", 11, 1, 0, 10.0, (TestFailure("test_a", "tests/a.py", 7, "assert 1 == 2"),)),),
        gates=(GateReport("release/gate", "supply_chain.release", False, (GateReason("r", "no SBOM", "make one"),)),),
        components=(ComponentsReport("shop", "b" * 40, 1, 2, 3, 4, {"high": 1}, ("left-pad 1.0",)),),
        annotations=(
            Annotation("maestro.yaml", 3, "there is no key 'stepps'", "the workflow file is wrong", column=5),
            Annotation("tests/a.py", 7, "assert 1 == 2", "test_a", "warning"),
        ),
    )


# The description's example of a listing holds a check run of external id 42: that one is changed, the other is made.
@pytest.mark.parametrize("run_id", ["42", "0b5fa0e2-8f2c-4b6f-9a39-6e0f8ed7a4f7"], ids=["known", "new"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_run_can_be_told(reporter: Reporter, state: ReportState, run_id: str) -> None:
    told = reporter.report(full_report(state, run_id))
    assert told == (2 if state == "queued" else 3)
    assert reporter.send_due() == told, [one.reason for one in reporter.outbox.listed()]


@pytest.mark.parametrize("reporter", ["app"], indirect=True)
def test_the_app_gets_a_token_to_fetch_with(reporter: Reporter) -> None:
    token = reporter.github.fetch_token(RegisteredProject("shop", "", repository="acme/shop"))
    assert token is not None
    assert token.startswith("ghs_")


@pytest.mark.parametrize("reporter", ["app"], indirect=True)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"status": "done"}, "allowed values: queued, in_progress, completed"),
        ({"statuss": "queued"}, "must NOT have additional properties"),
        ({"output": {"title": "x", "summary": "x" * 65_536}}, "65535"),
        ({"actions": [{"label": "x" * 21, "description": "", "identifier": ""}]}, "20"),
    ],
    ids=["value", "name", "length", "button"],
)
def test_a_wrong_call_would_fail_here(reporter: Reporter, wrong: dict[str, Any], said: str) -> None:
    class Memory:
        def recall(self, key: str) -> str | None:
            return None

        def remember(self, key: str, value: str) -> None:
            raise AssertionError("it was let through")

    client = reporter.github.client(RegisteredProject("shop", "", repository="acme/shop"))
    body = {"name": "x", "head_sha": SHA, "external_id": "run-1", **wrong}
    with pytest.raises(RefusedError) as raised:
        put_check_run(client, "acme/shop", body, (), Memory())
    assert said in raised.value.what


def test_all_kinds_of_messages_are_tried_here() -> None:
    def kinds(messages: list[Message]) -> set[str]:
        return {one.kind for one in messages}

    made = full_report("failed", "run-1")
    assert kinds(report_messages(made, APP_CHANNELS | TOKEN_CHANNELS)) == {
        "github.check_run",
        "github.status",
        "github.deployment_status",
        "github.comment",
    }


def test_a_teams_member_is_asked_for_as_github_takes_it(reporter: Reporter) -> None:
    client = reporter.github.client(RegisteredProject("shop", "", repository="acme/shop"))
    assert is_member(client, "octo-org/justice-league", "octocat") in (True, False)


def test_a_permission_is_asked_for_as_github_takes_it(reporter: Reporter) -> None:
    client = reporter.github.client(RegisteredProject("shop", "", repository="acme/shop"))
    # The request passes; the description's own example of an answer lacks a field the description demands.
    with pytest.raises(UnavailableError, match=r"\['response', 'body', 'user'\] required"):
        may_write(client, "acme/shop", "octocat")

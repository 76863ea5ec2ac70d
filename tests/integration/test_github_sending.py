"""Reports reach GitHub once and in order, whatever happens on the way: against a server that fails on command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from maestro.outbox import Outgoing
from maestro.reporting.model import Annotation, RunReport, StepReport
from maestro.reporting.reporter import Reporter
from maestro.server.home import ServerHome
from maestro.server.projects import Projects, RegisteredProject
from maestro.server.settings import GitHubSettings, ServerSettings, WebSettings
from tests.integration import github_server
from tests.integration.github_server import APP_ID, TOKEN, GitHubServer, bad_gateway, lost_answer

SHA = "a" * 40
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def on(self, **passed: float) -> datetime:
        self.now += timedelta(**passed)
        return self.now


@dataclass
class World:
    """A GitHub, a server's reporter, and the clock both go by."""

    github: GitHubServer
    reporter: Reporter
    clock: Clock

    def send(self) -> int:
        return self.reporter.send_due(self.clock())

    def send_all(self, minutes: int = 30) -> None:
        """Sends until nothing waits, letting time pass; fails when that takes longer than ``minutes`` of the clock."""
        end = self.clock() + timedelta(minutes=minutes)
        while True:
            self.send()
            following = self.reporter.outbox.next_at()
            if following is None:
                return
            assert following < end, self.waiting()[0].reason
            self.clock.now = max(following, self.clock.now)

    def waiting(self) -> list[Outgoing]:
        return self.reporter.outbox.listed("waiting")

    def dead(self) -> list[Outgoing]:
        return self.reporter.outbox.listed("dead")


def world_with(github: GitHubServer, clock: Clock, folder: Path, project: RegisteredProject, **settings: Any) -> World:
    github.clock = clock
    key = folder / "app.pem"
    key.write_text(github.private_key_pem)
    key.chmod(0o600)
    chosen = settings or {"app": APP_ID, "private_key": f"file:{key}"}
    made = ServerSettings(
        github=GitHubSettings(api=github.url, **chosen), web=WebSettings(url="https://maestro.example")
    )
    reporter = Reporter(ServerHome(folder, made), environ={"GITHUB_TOKEN": TOKEN}, clock=clock, random=Random(7))
    Projects(reporter.outbox._engine).add(project)
    return World(github, reporter, clock)


@pytest.fixture
def github() -> Iterator[GitHubServer]:
    with github_server.github_server() as server:
        yield server


@pytest.fixture
def world(github: GitHubServer, tmp_path: Path) -> Iterator[World]:
    project = RegisteredProject("shop", "https://github.example/acme/shop.git", repository="acme/shop")
    made = world_with(github, Clock(), tmp_path, project)
    yield made
    made.reporter.close()


@pytest.fixture
def token_world(github: GitHubServer, tmp_path: Path) -> Iterator[World]:
    project = RegisteredProject("shop", "https://github.example/acme/shop.git", repository="acme/shop")
    made = world_with(github, Clock(), tmp_path, project, token="env:GITHUB_TOKEN")
    yield made
    made.reporter.close()


def report(state: Any, run_id: str = "run-1", created: float = 1000.0, **changes: Any) -> RunReport:
    made = RunReport(
        project="shop",
        repository="acme/shop",
        sha=SHA,
        run_id=run_id,
        workflow="delivery",
        state=state,
        created=created,
        steps=(StepReport("test/unit", "passed", "12 passed", 1.5),),
    )
    return replace(made, **changes)


def test_a_run_is_one_check_run_that_goes_from_queued_to_its_end(world: World) -> None:
    for state in ("queued", "running", "succeeded"):
        world.reporter.report(report(state, started=1001.0, ended=1002.5))
        world.send()

    (check,) = world.github.checks_of(SHA)
    assert (check["external_id"], check["status"], check["conclusion"]) == ("run-1", "completed", "success")
    assert check["name"] == "maestro / delivery"
    assert "12 passed" in check["output"]["summary"]
    assert [one.method for one in world.github.writes()] == ["POST", "PATCH", "PATCH"]


def test_the_same_report_twice_is_sent_once(world: World) -> None:
    assert world.reporter.report(report("running")) == 1
    assert world.reporter.report(report("running")) == 0
    world.send()
    assert len(world.github.writes()) == 1


@pytest.mark.parametrize("failure", [lost_answer("POST"), bad_gateway("POST", acts=True)], ids=["no answer", "502"])
def test_a_check_run_whose_answer_got_lost_is_found_again_and_not_made_twice(
    world: World, failure: github_server.Failure
) -> None:
    world.github.fail_next(replace(failure, matches="POST /repos/acme/shop/check-runs"))
    world.reporter.report(report("succeeded"))
    assert world.send() == 0
    world.send_all()
    (check,) = world.github.checks_of(SHA)
    assert check["conclusion"] == "success"


def test_a_check_run_of_another_run_of_the_commit_is_left_alone(world: World) -> None:
    world.reporter.report(report("failed"))
    world.send()
    world.reporter.report(report("succeeded", "run-2", 2000.0))
    world.send()
    assert [(one["external_id"], one["conclusion"]) for one in world.github.checks_of(SHA)] == [
        ("run-1", "failure"),
        ("run-2", "success"),
    ]


def test_a_comment_whose_answer_got_lost_is_found_again_and_not_made_twice(world: World) -> None:
    world.github.fail_next(lost_answer("POST /repos/acme/shop/issues/5/comments"))
    world.reporter.report(report("failed", pull_request=5))
    world.send_all()
    assert len(world.github.comments) == 1


def test_a_status_and_a_deployment_status_whose_answers_got_lost_are_not_set_twice(token_world: World) -> None:
    token_world.github.fail_next(
        lost_answer("POST /repos/acme/shop/statuses"), lost_answer("POST /repos/acme/shop/deployments")
    )
    token_world.reporter.report(report("succeeded", deployment=3))
    token_world.send_all()
    assert [one["state"] for one in token_world.github.statuses] == ["success"]
    assert [one["state"] for one in token_world.github.deployment_statuses[3]] == ["success"]


def test_the_next_run_of_a_pull_request_changes_the_comment_that_is_there(world: World) -> None:
    world.reporter.report(report("failed", pull_request=5))
    world.send()
    world.reporter.report(report("running", "run-2", 2000.0, pull_request=5))
    world.send()
    (comment,) = world.github.comments.values()
    assert "running" in comment["body"]
    world.reporter.report(report("succeeded", "run-2", 2000.0, pull_request=5))
    world.send()
    (comment,) = world.github.comments.values()
    assert "succeeded" in comment["body"]


def test_a_run_that_has_only_begun_makes_no_comment(world: World) -> None:
    world.reporter.report(report("running", pull_request=5))
    world.send()
    assert world.github.comments == {}


def test_an_older_run_that_ends_late_does_not_take_the_comment_back(world: World) -> None:
    world.reporter.report(report("succeeded", "run-2", 2000.0, pull_request=5))
    world.send()
    world.reporter.report(report("failed", "run-1", 1000.0, pull_request=5))
    world.send()
    (comment,) = world.github.comments.values()
    assert "succeeded" in comment["body"]


def test_a_comment_that_somebody_deleted_is_written_anew(world: World) -> None:
    world.reporter.report(report("failed", pull_request=5))
    world.send()
    world.github.comments.clear()
    world.reporter.report(report("succeeded", "run-2", 2000.0, pull_request=5))
    world.send()
    assert len(world.github.comments) == 1


def test_a_comment_is_found_by_its_marker_when_its_id_is_not_remembered(world: World) -> None:
    for number in range(120):
        world.github.add_comment("acme/shop", 5, f"looks good {number}", {"id": 1, "type": "User"})
    world.reporter.report(report("failed", pull_request=5))
    world.send()
    world.reporter.outbox.prune(datetime(2100, 1, 1, tzinfo=UTC))
    world.reporter.report(report("succeeded", "run-2", 2000.0, pull_request=5))
    world.send()
    assert sum("maestro:" in one["body"] for one in world.github.comments.values()) == 1


@pytest.mark.parametrize("which", ["world", "token_world"])
def test_a_comment_of_somebody_else_with_our_marker_is_not_ours(which: str, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(which)
    world.reporter.report(report("failed", pull_request=6))
    world.send()
    (ours,) = world.github.comments.values()
    forged = world.github.add_comment("acme/shop", 5, ours["body"], {"id": 1, "type": "User"})

    world.reporter.report(report("failed", pull_request=5))
    world.send()

    assert world.github.comments[forged]["body"] == ours["body"]
    assert [one["user"]["id"] for one in world.github.comments.values() if one["number"] == 5][-1] != 1


def test_an_hour_without_github_loses_nothing_and_keeps_the_order(world: World) -> None:
    world.reporter.report(report("running", "run-0", 500.0))
    world.send()
    world.github.down()
    for number in range(1, 6):
        for state in ("queued", "running", "succeeded"):
            world.reporter.report(report(state, f"run-{number}", 1000.0 + number))
            world.clock.on(minutes=2)
            assert world.send() == 0
    world.reporter.report(report("succeeded", "run-0", 500.0))
    world.clock.on(minutes=30)
    assert world.send() == 0

    world.github.up()
    world.send_all(minutes=2)

    checks = world.github.checks_of(SHA)
    assert sorted(one["external_id"] for one in checks) == [f"run-{number}" for number in range(6)]
    assert {one["conclusion"] for one in checks} == {"success"}
    assert world.dead() == []


def test_states_that_waited_while_a_later_one_came_are_not_sent(world: World) -> None:
    world.github.down()
    for state in ("queued", "running", "succeeded"):
        world.reporter.report(report(state))
    world.github.up()
    world.send_all()
    assert [one.body["status"] for one in world.github.writes()] == ["completed"]


def test_while_github_does_not_answer_not_every_message_is_tried(world: World) -> None:
    world.github.fail_next(*[bad_gateway()] * 50)
    for number in range(30):
        world.reporter.report(report("succeeded", f"run-{number}", 1000.0 + number))
    world.send()
    assert len(world.github.requests) == 1
    assert {one.attempts for one in world.waiting()} == {0, 1}


def test_reports_of_one_run_that_differ_in_when_it_was_created_are_still_one_run(token_world: World) -> None:
    token_world.reporter.report(report("queued", created=1000.5))
    token_world.reporter.report(report("succeeded", created=1000.0))
    token_world.send_all()
    assert [one["state"] for one in token_world.github.statuses] == ["success"]


def test_an_older_state_that_is_reported_late_is_not_sent(world: World) -> None:
    world.reporter.report(report("succeeded"))
    world.send()
    assert world.reporter.report(report("running")) == 0
    world.send()
    (check,) = world.github.checks_of(SHA)
    assert check["status"] == "completed"


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (github_server.secondary_limit(retry_after=90), 90),
        (github_server.secondary_limit(), 60),
        (github_server.primary_limit(START + timedelta(minutes=20)), 1200),
        (github_server.too_many(45), 45),
    ],
    ids=["secondary", "secondary without a time", "primary", "429"],
)
def test_a_limit_stops_everything_until_it_ends(world: World, failure: github_server.Failure, seconds: int) -> None:
    world.reporter.report(report("running"))
    world.send()
    world.github.fail_next(replace(failure, matches="PATCH"))
    world.reporter.report(report("succeeded"))
    world.reporter.report(report("succeeded", "run-2", 2000.0))
    before = len(world.github.requests)

    assert world.send() == 0
    world.clock.on(seconds=seconds - 1)
    assert world.send() == 0
    assert len(world.github.requests) == before + 1

    world.clock.on(seconds=4)
    assert world.send() == 2


def test_a_token_that_is_not_accepted_any_more_is_renewed_once(world: World) -> None:
    world.reporter.report(report("running"))
    world.send()
    world.github.revoke_tokens()
    world.reporter.report(report("succeeded"))
    assert world.send() == 1
    assert [one.status for one in world.github.requests if one.method == "PATCH"] == [401, 200]


def test_a_token_is_used_for_many_requests_and_renewed_before_it_expires(world: World) -> None:
    def given() -> int:
        return sum(one.path.endswith("access_tokens") for one in world.github.requests)

    for number in range(3):
        world.reporter.report(report("succeeded", f"run-{number}", 1000.0 + number))
        world.send()
    assert given() == 1
    world.clock.on(minutes=56)
    world.reporter.report(report("succeeded", "run-9", 9000.0))
    world.send()
    assert given() == 2
    assert 401 not in {one.status for one in world.github.requests}


def test_a_clock_that_is_wrong_is_allowed_for(world: World) -> None:
    true = world.clock.now
    world.github.clock = lambda: true + timedelta(minutes=42)
    world.reporter.report(report("succeeded"))
    assert world.send() == 1


def test_what_github_refuses_is_given_up_with_its_reason_and_the_next_goes_on(world: World) -> None:
    world.reporter.report(report("succeeded", pull_request=5))
    world.github.fail_next(
        github_server.Failure(
            422,
            {"message": "Validation Failed", "errors": [{"field": "head_sha", "code": "invalid"}]},
            matches="POST /repos/acme/shop/check-runs",
        )
    )
    assert world.send() == 1
    (dead,) = world.dead()
    assert dead.reason == (
        "GitHub answers POST /repos/acme/shop/check-runs with 422: Validation Failed; head_sha invalid"
    )
    assert len(world.github.comments) == 1


def test_a_permission_that_is_missing_keeps_the_message_until_a_person_grants_it(world: World) -> None:
    denied = github_server.Failure(403, {"message": "Resource not accessible by integration"}, matches="check-runs")
    world.github.fail_next(denied)
    world.reporter.report(report("succeeded", pull_request=5))
    assert world.send() == 1, "the comment is let through"
    assert "Resource not accessible" in world.waiting()[0].reason
    world.send_all()
    assert len(world.github.checks_of(SHA)) == 1


def test_an_app_that_is_not_installed_is_told_and_loses_nothing(world: World) -> None:
    world.github.installed["acme/shop"] = -1
    world.reporter.report(report("succeeded"))
    world.send()
    assert "the GitHub App gets no token for acme/shop" in world.waiting()[0].reason
    world.github.installed["acme/shop"] = 77
    world.send_all()
    assert len(world.github.checks_of(SHA)) == 1


def test_what_could_not_be_sent_for_days_is_given_up(world: World) -> None:
    world.github.down()
    world.reporter.report(report("succeeded"))
    world.send()
    world.clock.on(days=3)
    world.send()
    (dead,) = world.dead()
    assert "does not answer" in dead.reason


def test_no_secret_stands_in_what_is_kept(world: World) -> None:
    world.reporter.report(report("running"))
    world.send()
    tokens = list(world.github.tokens)
    said = github_server.Failure(403, {"message": f"nothing for {tokens[0]}"}, matches="PATCH")
    world.github.fail_next(said)
    world.reporter.report(report("succeeded"))
    world.send()
    assert world.waiting()[0].reason.endswith("nothing for ***")


def test_annotations_beyond_what_a_request_holds_are_all_sent_and_none_twice(world: World) -> None:
    annotations = tuple(Annotation("maestro.yaml", line, f"wrong {line}") for line in range(1, 121))
    world.github.fail_next(lost_answer("PATCH /repos/acme/shop/check-runs"))
    world.reporter.report(report("invalid", annotations=annotations))
    world.send_all()
    (check,) = world.github.checks_of(SHA)
    assert [one["start_line"] for one in check["annotations"]] == list(range(1, 121))
    assert all(len(one.body["output"].get("annotations", ())) <= 50 for one in world.github.writes())


def test_what_has_not_changed_is_read_for_nothing(world: World) -> None:
    client = world.reporter.github.client(RegisteredProject("shop", "", repository="acme/shop"))
    world.github.add_comment("acme/shop", 5, "hello", {"id": 1})
    first = client.get("/repos/acme/shop/issues/5/comments").body
    second = client.get("/repos/acme/shop/issues/5/comments").body
    assert first == second
    assert [one.status for one in world.github.requests if one.method == "GET"][-2:] == [200, 304]
    world.github.add_comment("acme/shop", 5, "again", {"id": 1})
    assert len(client.get("/repos/acme/shop/issues/5/comments").body) == 2


def test_two_senders_at_once_send_each_message_once(world: World, tmp_path: Path) -> None:
    for number in range(40):
        world.reporter.report(report("succeeded", f"run-{number}", 1000.0 + number))
    home = ServerHome(tmp_path, ServerSettings(github=world.reporter._home.settings.github))
    other = Reporter(home, clock=world.clock)
    begin = threading.Barrier(2)
    arrived: list[int] = []

    def send(reporter: Reporter) -> None:
        begin.wait()
        arrived.append(reporter.send_due(world.clock()))

    threads = [threading.Thread(target=send, args=(one,)) for one in (world.reporter, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()

    assert sum(arrived) == 40
    ids = [one["external_id"] for one in world.github.checks_of(SHA)]
    assert len(ids) == len(set(ids)) == 40


def test_what_a_killed_sender_had_in_hand_is_sent_by_the_next_and_not_twice(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """Nothing of the sender's runs after it, as after SIGKILL."""

    def killed(*_arguments: Any) -> None:
        raise KilledError

    world.reporter.report(report("succeeded", pull_request=5))
    with monkeypatch.context() as patch:
        # GitHub has made it; that it has is never written down.
        patch.setattr("maestro.reporting.sending.ProjectMemory.remember", killed)
        with pytest.raises(KilledError):
            world.send()
    assert len(world.github.checks_of(SHA)) == 1

    home = ServerHome(tmp_path, ServerSettings(github=world.reporter._home.settings.github))
    following = World(world.github, Reporter(home, clock=world.clock), world.clock)
    following.send_all()
    following.reporter.close()
    assert len(world.github.checks_of(SHA)) == len(world.github.comments) == 1


def test_the_token_for_fetching_can_only_read_the_one_repository(world: World) -> None:
    project = RegisteredProject("shop", "", repository="acme/shop")
    token = world.reporter.github.fetch_token(project)
    assert token is not None
    given = world.github.tokens[token]
    assert (given["permissions"], given["repositories"]) == ({"contents": "read"}, ["shop"])


def test_a_project_that_was_removed_is_not_spoken_for(world: World) -> None:
    world.reporter.report(report("succeeded"))
    Projects(world.reporter.outbox._engine).remove("shop")
    world.send()
    (dead,) = world.dead()
    assert dead.reason == "project 'shop' is not registered any more"
